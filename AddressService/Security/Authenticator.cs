using System.Security.Cryptography.X509Certificates;
using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Security;

/// <summary>Finds out who calls: by a token in <c>X-Auth-Token</c> or <c>Authorization: Bearer</c>, or, without one, by its certificate. A token
/// is one of ours, or one of a Kubernetes service account. Thread-safe.</summary>
internal sealed class Authenticator(AddressServiceOptions options, AccessList? list, TokenReviewer? reviewer, TimeProvider time)
{
    private const string Bearer = "Bearer ";
    private const int LongestToken = 8192;
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(15);

    /// <returns>The caller; null when it proves nothing that we know of.</returns>
    /// <exception cref="TokenReviewException">It cannot be found out now.</exception>
    public async ValueTask<Caller?> FindAsync(HttpContext context)
    {
        if (options.AllowAnonymous)
            return Caller.Anonymous;
        return Token(context.Request) is { } token
            ? await FindTokenAsync(token, context.RequestAborted)
            : FindCertificate(context.Connection.ClientCertificate);
    }

    private async ValueTask<Caller?> FindTokenAsync(string token, CancellationToken cancellationToken)
    {
        if (token.Length is 0 or > LongestToken || list is null)
            return null;
        if (list.FindToken(token) is { } owner)
            return owner;
        if (reviewer is null || !TokenReviewer.IsCandidate(token) || await reviewer.AccountAsync(token, cancellationToken) is not { } account)
            return null;
        // Somebody, but nobody who may do anything: that is 403, not 401.
        return list.FindServiceAccount(account) ?? new Caller($"serviceaccount:{account}", Roles.None, new HashSet<string>(StringComparer.Ordinal));
    }

    /// <summary>For calls that go on and on: completes when their caller has no longer the rights that it came with.</summary>
    public async Task WaitUntilRevokedAsync(HttpContext context, CancellationToken cancellationToken)
    {
        var caller = context.Caller();
        using var timer = new PeriodicTimer(LookAgainAfter, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                try
                {
                    if (await FindAsync(context) is not { } now || !now.HasRightsOf(caller))
                        return;
                }
                catch (TokenReviewException)
                {
                    // Nothing says that they are gone.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The call has ended.
        }
    }

    /// <summary>Whether a call shows a token, right or wrong.</summary>
    public static bool ShowsToken(HttpContext context) => Token(context.Request) is { Length: > 0 };

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
