using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Security;

/// <summary>Finds out who calls: by a token in <c>X-Auth-Token</c> or <c>Authorization: Bearer</c>. Thread-safe.</summary>
internal sealed class Authenticator(AddressServiceOptions options, AccessList? list)
{
    private const string Bearer = "Bearer ";
    private const int LongestToken = 8192;

    /// <returns>The caller; null when it proves nothing that we know of.</returns>
    public ValueTask<Caller?> FindAsync(HttpContext context)
    {
        if (options.AllowAnonymous)
            return ValueTask.FromResult<Caller?>(Caller.Anonymous);
        var caller = Token(context.Request) is { Length: > 0 and <= LongestToken } token ? list?.FindToken(token) : null;
        return ValueTask.FromResult(caller);
    }

    private static string? Token(HttpRequest request)
    {
        if (request.Headers.TryGetValue("X-Auth-Token", out var own) && own.Count == 1)
            return own[0];
        string? authorization = request.Headers.Authorization.Count == 1 ? request.Headers.Authorization[0] : null;
        return authorization?.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) == true ? authorization[Bearer.Length..].Trim() : null;
    }
}
