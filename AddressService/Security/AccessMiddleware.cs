using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Endpoints;
using DynamicLb.AddressService.Metrics;

namespace DynamicLb.AddressService.Security;

/// <summary>
/// Stands before <c>/v1</c>: who calls, whether its role suffices, whether it calls too often. What changes something, and what is refused, is told to the
/// audit log.
/// </summary>
internal sealed partial class AccessMiddleware(
    AddressServiceOptions options, Authenticator authenticator, TimeProvider time, LeaseMetrics metrics, ILoggerFactory loggers)
{
    private readonly ILogger _audit = loggers.CreateLogger("DynamicLb.AddressService.Audit");
    private readonly long _began = time.GetTimestamp();
    private readonly KeyedBuckets _changes = new(options.Limits.RequestsPerSecond, options.Limits.RequestBurst);
    private readonly KeyedBuckets _failures = new(options.Limits.FailuresPerMinute / 60.0, Math.Max(1, options.Limits.FailuresPerMinute));
    private readonly KeyedBuckets _strangers = new(20 / 60.0, 20);
    private int _running;

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (!context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase))
        {
            await next(context);
            return;
        }
        var call = new Call(Source(context));
        context.Features.Set(call);
        bool reads = HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method);
        bool isDone = false;
        try
        {
            if (await AdmitAsync(context, call, reads))
                await RunAsync(context, next, reads);
            isDone = true;
        }
        finally
        {
            int code = isDone ? context.Response.StatusCode : StatusCodes.Status499ClientClosedRequest;
            metrics.Refused(code);
            if (_audit.IsEnabled(LogLevel.Information) && IsTold(call, reads, code))
            {
                string path = Path(context), caller = call.Caller?.Name ?? "unknown";
                Log.Audit(_audit, caller, call.Source, context.Request.Method, path, call.Subject, code, call.Result);
            }
        }
    }

    /// <summary>Whether the audit log hears of it. Those that are refused for their number, and strangers who keep knocking, would bury the rest.</summary>
    private bool IsTold(Call call, bool reads, int code) => code switch
    {
        StatusCodes.Status429TooManyRequests => false,
        StatusCodes.Status401Unauthorized => _strangers.TryTake(call.Source, time.GetElapsedTime(_began), out _),
        StatusCodes.Status403Forbidden => true,
        _ => !reads,
    };

    /// <summary>Answers a call that is refused.</summary>
    /// <returns>Whether it is not.</returns>
    private async ValueTask<bool> AdmitAsync(HttpContext context, Call call, bool reads)
    {
        var now = time.GetElapsedTime(_began);
        bool bounded = options.Limits.FailuresPerMinute > 0;
        if (bounded && _failures.IsEmpty(call.Source, now, out var retryAfter))
        {
            await Errors.WriteAsync(context, StatusCodes.Status429TooManyRequests, $"{call.Source} gave too many wrong tokens", retryAfter);
            return false;
        }
        try
        {
            call.Caller = await authenticator.FindAsync(context);
        }
        catch (TokenReviewException e)
        {
            call.Result = e.Message;
            await Errors.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the Kubernetes API server cannot be asked about the token now");
            return false;
        }
        if (call.Caller is null)
        {
            // A call without a token is no guess: a browser that was not given one yet must not lock its user out.
            if (bounded && Authenticator.ShowsToken(context))
                _failures.TryTake(call.Source, now, out _);
            context.Response.Headers.WWWAuthenticate = "Bearer";
            await Errors.WriteAsync(context, StatusCodes.Status401Unauthorized, options.Tls.ClientCaFile is null
                ? "a valid token is required, in X-Auth-Token or Authorization: Bearer"
                : "a valid token is required, in X-Auth-Token or Authorization: Bearer, or a client certificate that is known");
            return false;
        }
        var role = context.GetEndpoint()?.Metadata.GetMetadata<NeedsRole>()?.Role ?? (reads ? Roles.Read : Roles.Admin);
        if (context.GetEndpoint() is not null && !call.Caller.Has(role))
        {
            await Errors.WriteAsync(context, StatusCodes.Status403Forbidden, call.Caller.Lacks(role));
            return false;
        }
        if (!reads && !_changes.TryTake(call.Caller.Name, now, out retryAfter))
        {
            await Errors.WriteAsync(
                context, StatusCodes.Status429TooManyRequests, $"more than {options.Limits.RequestsPerSecond} calls a second from '{call.Caller.Name}'", retryAfter);
            return false;
        }
        return true;
    }

    private async Task RunAsync(HttpContext context, RequestDelegate next, bool reads)
    {
        if (reads)
        {
            await next(context);
            return;
        }
        try
        {
            if (Interlocked.Increment(ref _running) <= options.Limits.ConcurrentRequests)
                await next(context);
            else
                await Errors.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, $"more than {options.Limits.ConcurrentRequests} calls are being answered", TimeSpan.FromSeconds(1));
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    private static string Source(HttpContext context)
    {
        var address = context.Connection.RemoteIpAddress;
        return (address is { IsIPv4MappedToIPv6: true } ? address.MapToIPv4() : address)?.ToString() ?? "unknown";
    }

    private static string Path(HttpContext context)
    {
        const int Longest = 80;
        string path = context.Request.Path.Value ?? "";
        return path.Length <= Longest ? path : path[..Longest];
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "{Caller} from {Source}: {Method} {Path} {Subject}: {Code} {Result}")]
        public static partial void Audit(ILogger logger, string caller, string source, string method, string path, string subject, int code, string result);
    }
}
