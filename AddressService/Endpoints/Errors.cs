using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Endpoints;

/// <summary>Refusals that happen before or around a handler, in the API's form: existing clients read <c>status</c> and ignore the HTTP code.</summary>
internal static class Errors
{
    private const long IpBodyLimit = 4 * 1024;
    private const long MacBodyLimit = 64 * 1024;
    private const long OrphansBodyLimit = 1024 * 1024;

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(2);

    /// <param name="context">The call.</param>
    /// <param name="code">HTTP code.</param>
    /// <param name="detail">The cause in words.</param>
    /// <param name="retryAfter">When to call again; 429 and 503 always say so.</param>
    public static Task WriteAsync(HttpContext context, int code, string detail, TimeSpan? retryAfter = null)
    {
        context.Response.StatusCode = code;
        if (code is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable)
            RetryAfter(context, retryAfter);
        string status = code == StatusCodes.Status403Forbidden ? AnswerStatus.Denied : AnswerStatus.Error;
        return context.Response.WriteAsJsonAsync(
            new ErrorAnswer(status, detail), AddressServiceJsonContext.Default.ErrorAnswer, cancellationToken: context.RequestAborted);
    }

    /// <summary>Says when to call again, in whole seconds.</summary>
    public static void RetryAfter(HttpContext context, TimeSpan? after) =>
        context.Response.Headers.RetryAfter = ((long)Math.Ceiling(Math.Max(1, (after ?? Soon).TotalSeconds))).ToString();

    /// <summary>The refusals that any call may meet, for its description.</summary>
    public static RouteHandlerBuilder ProducesRefusals(this RouteHandlerBuilder endpoint) => endpoint
        .Produces<ErrorAnswer>(StatusCodes.Status401Unauthorized)
        .Produces<ErrorAnswer>(StatusCodes.Status403Forbidden)
        .Produces<ErrorAnswer>(StatusCodes.Status429TooManyRequests)
        .Produces<ErrorAnswer>(StatusCodes.Status503ServiceUnavailable);

    /// <summary>Bounds request bodies, and turns what the framework refuses into an answer with a cause.</summary>
    public static void UseApiErrors(this WebApplication app)
    {
        app.Use(async (context, next) =>
        {
            if (!context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase))
            {
                await next(context);
                return;
            }
            long limit = context.Request.Path.StartsWithSegments("/v1/mac", StringComparison.OrdinalIgnoreCase) ? MacBodyLimit
                : context.Request.Path.StartsWithSegments("/v1/ip/orphans", StringComparison.OrdinalIgnoreCase) ? OrphansBodyLimit : IpBodyLimit;
            if (context.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
                size.MaxRequestBodySize = limit;
            try
            {
                await next(context);
            }
            catch (BadHttpRequestException e) when (!context.Response.HasStarted)
            {
                await WriteAsync(context, e.StatusCode, Describe(e, limit));
            }
            catch (LoopBusyException e) when (!context.Response.HasStarted)
            {
                await WriteAsync(context, StatusCodes.Status503ServiceUnavailable, e.Message);
            }
            catch (ChannelClosedException) when (!context.Response.HasStarted)
            {
                await WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the address service stops");
            }
            catch (TimeoutException) when (!context.Response.HasStarted)
            {
                await WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the store has not taken the change yet: call again");
            }
            if (context.Response is { StatusCode: >= 400, HasStarted: false, ContentLength: null, ContentType: null })
                await WriteAsync(context, context.Response.StatusCode, Describe(context, limit));
        });
    }

    private static string Describe(BadHttpRequestException e, long limit) => e.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => TooLarge(limit),
        StatusCodes.Status415UnsupportedMediaType => "Content-Type must be application/json",
        _ when e.InnerException is JsonException { Path: { Length: > 2 } path } json => $"{path[2..]}: not of the form required{At(json)}",
        _ when e.InnerException is JsonException json => $"the body is not the JSON object required{At(json)}",
        _ => "the body is missing or cannot be read; a JSON object is required",
    };

    private static string Describe(HttpContext context, long limit) => context.Response.StatusCode switch
    {
        StatusCodes.Status404NotFound => $"there is nothing at {context.Request.Path}",
        StatusCodes.Status405MethodNotAllowed => $"{context.Request.Method} is not a call of {context.Request.Path}",
        StatusCodes.Status413PayloadTooLarge => TooLarge(limit),
        StatusCodes.Status415UnsupportedMediaType => "Content-Type must be application/json",
        _ => "the request cannot be read",
    };

    private static string At(JsonException json) =>
        json.LineNumber is { } line && json.BytePositionInLine is { } column ? $" (line {line + 1}, byte {column + 1})" : "";

    private static string TooLarge(long limit) => $"the body exceeds {limit} bytes";
}
