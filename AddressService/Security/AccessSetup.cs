using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Security;

/// <summary>Who may call, and how much.</summary>
internal static class AccessSetup
{
    public static void AddAccess(this IServiceCollection services, AddressServiceOptions options)
    {
        if (options.TokenFiles.Count > 0)
        {
            services.AddSingleton(provider => new AccessList(
                options.TokenFiles, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<AccessList>>()));
        }
        services.AddSingleton(provider => new Authenticator(options, provider.GetService<AccessList>()));
        services.AddSingleton<AccessMiddleware>();
    }

    public static void UseAccess(this WebApplication app) => app.Use(app.Services.GetRequiredService<AccessMiddleware>().InvokeAsync);
}
