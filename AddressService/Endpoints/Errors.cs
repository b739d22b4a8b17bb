using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Endpoints;

/// <summary>Refusals that happen before or around a handler, in the API's form: existing clients read <c>status</c> and ignore the HTTP code.</summary>
internal static class Errors
{
    private const long IpBodyLimit = 4 * 1024;
    private const long MacBodyLimit = 64 * 1024;

    public static Task WriteAsync(HttpContext context, int code, string detail)
    {
        context.Response.StatusCode = code;
        return context.Response.WriteAsJsonAsync(
            new ErrorAnswer(AnswerStatus.Error, detail), AddressServiceJsonContext.Default.ErrorAnswer, cancellationToken: context.RequestAborted);
    }

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
            long limit = context.Request.Path.StartsWithSegments("/v1/mac", StringComparison.OrdinalIgnoreCase) ? MacBodyLimit : IpBodyLimit;
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
            catch (ChannelClosedException) when (!context.Response.HasStarted)
            {
                await WriteAsync(context, StatusCodes.Status503ServiceUnavailable, "the address service stops");
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
