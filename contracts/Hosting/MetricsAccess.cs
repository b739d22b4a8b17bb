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
    /// <summary>Where metrics are served, and the non-resource URL that who reads them has to be allowed.</summary>
    internal const string MetricsPath = "/metrics";

    private const string Scheme = "Bearer ";
    private const int MostKept = 256;
    private const int MostAtOnce = 8;
    private const int LongestToken = 16 * 1024;
    private readonly TokenVerdicts<int> _verdicts = new(
        (token, cancellationToken) => AskAsync(kubernetes, token, cancellationToken), static code => code == StatusCodes.Status200OK, MostKept, MostAtOnce, time);

    /// <summary>Whether a request may read; those that may not have been answered with 401, 403 or 503.</summary>
    public async Task<bool> AdmitAsync(HttpContext context)
    {
        string header = context.Request.Headers.Authorization.ToString();
        string token = header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? header[Scheme.Length..].Trim() : "";
        int code = token.Length is 0 or > LongestToken ? StatusCodes.Status401Unauthorized : await CodeAsync(token, context.RequestAborted);
        if (code == StatusCodes.Status200OK)
            return true;
        context.Response.StatusCode = code;
        if (code == StatusCodes.Status401Unauthorized)
            context.Response.Headers.WWWAuthenticate = "Bearer";
        return false;
    }

    private async Task<int> CodeAsync(string token, CancellationToken cancellationToken)
    {
        try
        {
            return _verdicts.TryAsk(token, out var answer) ? await answer.WaitAsync(cancellationToken) : StatusCodes.Status503ServiceUnavailable;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            // The cause may name the API server, never the token.
            if (!cancellationToken.IsCancellationRequested)
                LogUnanswered(logger, e is OperationCanceledException ? "no answer in time" : e.Message);
            return StatusCodes.Status503ServiceUnavailable;
        }
    }

    private static async Task<int> AskAsync(IKubernetesClient kubernetes, string token, CancellationToken cancellationToken)
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
                NonResourceAttributes = new NonResourceAttributes { Path = MetricsPath, Verb = "get" },
            },
        };
        var access = (await kubernetes.CreateAsync(ResourceTypes.SubjectAccessReviews, question, cancellationToken)).Status;
        return access is { Allowed: true, Denied: not true } ? StatusCodes.Status200OK : StatusCodes.Status403Forbidden;
    }

    [LoggerMessage(1, LogLevel.Warning, "Nobody can read the metrics: the API server does not say who may: {Cause}")]
    private static partial void LogUnanswered(ILogger logger, string cause);
}
