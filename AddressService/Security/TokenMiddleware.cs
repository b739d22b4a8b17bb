using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Endpoints;

namespace DynamicLb.AddressService.Security;

/// <summary>Lets only callers with a token through to <c>/v1</c>: in <c>X-Auth-Token</c>, or as <c>Authorization: Bearer</c>.</summary>
internal static class TokenMiddleware
{
    private const string Bearer = "Bearer ";

    public static void UseTokens(this WebApplication app)
    {
        if (app.Services.GetRequiredService<AddressServiceOptions>().AllowAnonymous)
            return;
        var tokens = app.Services.GetRequiredService<TokenFile>();
        app.Use((context, next) =>
        {
            if (!context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase) || (Given(context.Request) is { } token && tokens.Accepts(token)))
                return next(context);
            context.Response.Headers.WWWAuthenticate = "Bearer";
            return Errors.WriteAsync(context, StatusCodes.Status401Unauthorized, "a valid token is required, in X-Auth-Token or Authorization: Bearer");
        });
    }

    private static string? Given(HttpRequest request)
    {
        if (request.Headers.TryGetValue("X-Auth-Token", out var own) && own.Count == 1)
            return own[0];
        string? authorization = request.Headers.Authorization.Count == 1 ? request.Headers.Authorization[0] : null;
        return authorization?.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) == true ? authorization[Bearer.Length..].Trim() : null;
    }
}
