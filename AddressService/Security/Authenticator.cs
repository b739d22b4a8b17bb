using System.Security.Cryptography.X509Certificates;
using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Security;

/// <summary>Finds out who calls: by a token in <c>X-Auth-Token</c> or <c>Authorization: Bearer</c>, or, without one, by its certificate. Thread-safe.</summary>
internal sealed class Authenticator(AddressServiceOptions options, AccessList? list)
{
    private const string Bearer = "Bearer ";
    private const int LongestToken = 8192;

    /// <returns>The caller; null when it proves nothing that we know of.</returns>
    public ValueTask<Caller?> FindAsync(HttpContext context)
    {
        if (options.AllowAnonymous)
            return ValueTask.FromResult<Caller?>(Caller.Anonymous);
        return ValueTask.FromResult(Token(context.Request) is { } token ? FindToken(token) : FindCertificate(context.Connection.ClientCertificate));
    }

    private Caller? FindToken(string token) => token.Length is > 0 and <= LongestToken ? list?.FindToken(token) : null;

    // The connection would not be there if it did not chain to a root of ours.
    private Caller? FindCertificate(X509Certificate2? certificate) =>
        certificate is null || options.Tls.ClientCaFile is null ? null : list?.FindCertificate(ServerCertificates.Names(certificate));

    private static string? Token(HttpRequest request)
    {
        if (request.Headers.TryGetValue("X-Auth-Token", out var own) && own.Count == 1)
            return own[0];
        string? authorization = request.Headers.Authorization.Count == 1 ? request.Headers.Authorization[0] : null;
        return authorization?.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) == true ? authorization[Bearer.Length..].Trim() : null;
    }
}
