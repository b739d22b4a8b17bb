using DynamicLb.AddressService.Configuration;
using DynamicLb.Kubernetes.Client;
using Microsoft.Extensions.DependencyInjection.Extensions;

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
        if (options.TokenReview.IsEnabled)
        {
            services.TryAddSingleton<IKubernetesClient>(provider => Connect(options, provider.GetRequiredService<TimeProvider>()));
            services.AddSingleton(provider => new TokenReviewer(
                provider.GetRequiredService<IKubernetesClient>(), options.TokenReview.Audience, provider.GetRequiredService<TimeProvider>()));
        }
        services.AddSingleton(provider => new Authenticator(options, provider.GetService<AccessList>(), provider.GetService<TokenReviewer>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<AccessMiddleware>();
    }

    /// <exception cref="UnusableException">There is no kubeconfig, or a faulty one.</exception>
    private static KubernetesClient Connect(AddressServiceOptions options, TimeProvider time)
    {
        try
        {
            return new KubernetesClient(KubernetesClientConfiguration.Load(options.KubeConfig), time);
        }
        catch (KubeConfigException e)
        {
            throw new UnusableException(e.Message, e);
        }
    }

    public static void UseAccess(this WebApplication app) => app.Use(app.Services.GetRequiredService<AccessMiddleware>().InvokeAsync);
}
