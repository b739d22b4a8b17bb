using System.Security.Cryptography;
using System.Text;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Hosting;

/// <summary>
/// Lets those read the metrics whom Kubernetes lets: the API server is asked whose the bearer token is (TokenReview), and whether its owner may <c>get</c> the path
/// (SubjectAccessReview, non-resource URL). Answers are kept for a short time, a bounded number of them and by the token's hash only. Thread-safe.
/// </summary>
public sealed partial class MetricsAccess(IKubernetesClient kubernetes, TimeProvider time, ILogger<MetricsAccess> logger)
{
    private const string Scheme = "Bearer ";
    private const int MostKept = 256;
    private const int MostAtOnce = 8;
    private const int LongestToken = 16 * 1024;
    private static readonly TimeSpan KeepGood = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan KeepBad = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Verdict> _verdicts = [];
    private int _running;

    /// <summary>Whether a request may read; those that may not have been answered with 401, 403 or 503.</summary>
    public async Task<bool> AdmitAsync(HttpContext context)
    {
        string header = context.Request.Headers.Authorization.ToString();
        string token = header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? header[Scheme.Length..].Trim() : "";
        int code = token.Length is 0 or > LongestToken ? StatusCodes.Status401Unauthorized : await CodeAsync(token, context.Request.Path.Value ?? "/metrics", context.RequestAborted);
        if (code == StatusCodes.Status200OK)
            return true;
        context.Response.StatusCode = code;
        if (code == StatusCodes.Status401Unauthorized)
            context.Response.Headers.WWWAuthenticate = "Bearer";
        return false;
    }

    private async Task<int> CodeAsync(string token, string path, CancellationToken cancellationToken)
    {
        string key = Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token)));
        lock (_gate)
        {
            if (_verdicts.TryGetValue(key, out var known) && time.GetElapsedTime(known.At) < (known.Code == StatusCodes.Status200OK ? KeepGood : KeepBad))
                return known.Code;
            if (_running >= MostAtOnce)
                return StatusCodes.Status503ServiceUnavailable;
            _running++;
        }
        try
        {
            using var patience = new CancellationTokenSource(Patience, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
            int code = await AskAsync(token, path, either.Token);
            lock (_gate)
            {
                if (_verdicts.Count >= MostKept && !_verdicts.ContainsKey(key))
                    _verdicts.Remove(_verdicts.MinBy(static entry => entry.Value.At).Key);
                _verdicts[key] = new Verdict(code, time.GetTimestamp());
            }
            return code;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            // The cause may name the API server, never the token.
            if (!cancellationToken.IsCancellationRequested)
                LogUnanswered(logger, e is OperationCanceledException ? "no answer in time" : e.Message);
            return StatusCodes.Status503ServiceUnavailable;
        }
        finally
        {
            lock (_gate)
                _running--;
        }
    }

    private async Task<int> AskAsync(string token, string path, CancellationToken cancellationToken)
    {
        var review = (await kubernetes.CreateAsync(ResourceTypes.TokenReviews, new TokenReview { Spec = new TokenReviewSpec { Token = token } }, cancellationToken)).Status;
        if (!review.Authenticated || review.User is not { } user)
            return StatusCodes.Status401Unauthorized;
        var question = new SubjectAccessReview
        {
            Spec = new SubjectAccessReviewSpec
            {
                User = user.Username,
                Uid = user.Uid,
                Groups = user.Groups,
                Extra = user.Extra,
                NonResourceAttributes = new NonResourceAttributes { Path = path, Verb = "get" },
            },
        };
        var access = (await kubernetes.CreateAsync(ResourceTypes.SubjectAccessReviews, question, cancellationToken)).Status;
        return access is { Allowed: true, Denied: not true } ? StatusCodes.Status200OK : StatusCodes.Status403Forbidden;
    }

    [LoggerMessage(1, LogLevel.Warning, "Nobody can read the metrics: the API server does not say who may: {Cause}")]
    private static partial void LogUnanswered(ILogger logger, string cause);

    private sealed record Verdict(int Code, long At);
}
