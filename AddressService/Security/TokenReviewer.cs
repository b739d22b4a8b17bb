using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.AddressService.Security;

/// <summary>Whose token it is cannot be found out now.</summary>
internal sealed class TokenReviewException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Asks the Kubernetes API server whose service account a token is. Thread-safe.</summary>
internal sealed class TokenReviewer(IKubernetesClient kubernetes, string audience, TimeProvider time)
{
    private const string ServiceAccountPrefix = "system:serviceaccount:";
    private const int MostKept = 1024;
    private const int MostAtOnce = 16;
    private readonly TokenVerdicts<string?> _accounts = new(
        (token, cancellationToken) => AskAsync(kubernetes, audience, token, cancellationToken), static account => account is not null, MostKept, MostAtOnce, time);

    /// <summary>Whether a text has the form of a service account's token: anything else is not worth a question.</summary>
    public static bool IsCandidate(string token) =>
        token.Count(static c => c == '.') == 2 && token.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '=');

    /// <returns>The service account as <c>namespace/name</c>; null when the token is not a good one.</returns>
    /// <exception cref="TokenReviewException">The API server does not answer, or refuses to.</exception>
    public Task<string?> AccountAsync(string token, CancellationToken cancellationToken) =>
        _accounts.TryAsk(token, out var account) ? account.WaitAsync(cancellationToken) : throw new TokenReviewException("too many tokens are being reviewed");

    private static async Task<string?> AskAsync(IKubernetesClient kubernetes, string audience, string token, CancellationToken cancellationToken)
    {
        try
        {
            var question = new TokenReview { Spec = new TokenReviewSpec { Token = token, Audiences = [audience] } };
            var status = (await kubernetes.CreateAsync(ResourceTypes.TokenReviews, question, cancellationToken)).Status;
            // A server that knows nothing of audiences names none: then the token may be for anybody.
            if (!status.Authenticated || status.Audiences?.Contains(audience, StringComparer.Ordinal) != true)
                return null;
            string[] parts = status.User?.Username is { } user && user.StartsWith(ServiceAccountPrefix, StringComparison.Ordinal)
                ? user[ServiceAccountPrefix.Length..].Split(':') : [];
            return parts.Length == 2 ? $"{parts[0]}/{parts[1]}" : null;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            // The cause may name the API server, never the token.
            throw new TokenReviewException($"the Kubernetes API server does not review tokens: {(e is OperationCanceledException ? "no answer in time" : e.Message)}", e);
        }
    }
}
