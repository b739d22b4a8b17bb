using System.Security.Cryptography;
using System.Text;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.AddressService.Security;

/// <summary>Whose token it is cannot be found out now.</summary>
internal sealed class TokenReviewException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// Asks the Kubernetes API server whose service account a token is. Answers are kept for a short time, a bounded number of them and by the token's hash only, and
/// calls with the same token share one question. Thread-safe.
/// </summary>
internal sealed class TokenReviewer(IKubernetesClient kubernetes, string audience, TimeProvider time)
{
    private const string ServiceAccountPrefix = "system:serviceaccount:";
    private const int MostKept = 1024;
    private const int MostAtOnce = 16;
    private static readonly TimeSpan KeepGood = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan KeepBad = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Review> _reviews = new(StringComparer.Ordinal);
    private int _running;

    /// <summary>Whether a text has the form of a service account's token: anything else is not worth a question.</summary>
    public static bool IsCandidate(string token) =>
        token.Count(static c => c == '.') == 2 && token.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '=');

    /// <returns>The service account as <c>namespace/name</c>; null when the token is not a good one.</returns>
    /// <exception cref="TokenReviewException">The API server does not answer, or refuses to.</exception>
    public Task<string?> AccountAsync(string token, CancellationToken cancellationToken)
    {
        string key = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        lock (_gate)
        {
            if (_reviews.TryGetValue(key, out var known) && IsFresh(known))
                return known.Account.WaitAsync(cancellationToken);
            if (_running >= MostAtOnce)
                throw new TokenReviewException("too many tokens are being reviewed");
            MakeRoom();
            _running++;
            // Not with the caller's own cancellation: others may wait for the same answer.
            var asked = Task.Run(() => AskAsync(token), CancellationToken.None);
            _reviews[key] = new Review(asked, time.GetTimestamp());
            return asked.WaitAsync(cancellationToken);
        }
    }

    private bool IsFresh(Review review) => time.GetElapsedTime(review.At) < (review.Account is { IsCompleted: true } and not { IsCompletedSuccessfully: true, Result: not null } ? KeepBad : KeepGood);

    private void MakeRoom()
    {
        if (_reviews.Count < MostKept)
            return;
        foreach (string key in _reviews.Where(r => !IsFresh(r.Value)).Select(r => r.Key).ToList())
            _reviews.Remove(key);
        if (_reviews.Count >= MostKept)
            _reviews.Remove(_reviews.MinBy(r => r.Value.At).Key);
    }

    private async Task<string?> AskAsync(string token)
    {
        try
        {
            using var patience = new CancellationTokenSource(Patience, time);
            var question = new TokenReview { Spec = new TokenReviewSpec { Token = token, Audiences = [audience] } };
            var status = (await kubernetes.CreateAsync(ResourceTypes.TokenReviews, question, patience.Token)).Status;
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
        finally
        {
            lock (_gate)
                _running--;
        }
    }

    private sealed record Review(Task<string?> Account, long At);
}
