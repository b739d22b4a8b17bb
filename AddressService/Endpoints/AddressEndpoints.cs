using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/ip</c>: leases.</summary>
internal static class AddressEndpoints
{
    public static RouteGroupBuilder MapAddresses(this RouteGroupBuilder api)
    {
        var group = api.MapGroup("/ip").WithTags("Addresses");
        group.MapPost("", AcquireAsync)
            .WithName("AcquireAddress")
            .WithSummary("Leases an address for a service, or returns the one it has.")
            .WithDescription("Answers when the lease is stored. The same service gets the same lease; a call during the search joins it. "
                + "On 504 the search goes on: call again.")
            .Produces<AcquireAddressAnswer>()
            .Produces<AcquireAddressAnswer>(StatusCodes.Status400BadRequest)
            .Produces<ErrorAnswer>(StatusCodes.Status401Unauthorized)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status409Conflict)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status503ServiceUnavailable)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status504GatewayTimeout);
        group.MapDelete("", ReleaseAsync)
            .WithName("ReleaseAddress")
            .WithSummary("Gives an address back.")
            .WithDescription("Name it by ip, by service, or both, in the body or in the query. Repeating the call within ten minutes succeeds again.")
            .Produces<ReleaseAddressAnswer>()
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status400BadRequest)
            .Produces<ErrorAnswer>(StatusCodes.Status401Unauthorized)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status404NotFound)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status409Conflict)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status503ServiceUnavailable);
        return api;
    }

    private static async Task<JsonHttpResult<AcquireAddressAnswer>> AcquireAsync(
        AcquireAddressRequest request, LeaseLoop loop, AddressServiceOptions options, TimeProvider time, IHostApplicationLifetime lifetime,
        CancellationToken aborted)
    {
        if (Fault(request) is { } fault)
            return Answer(new AcquireOutcome(AcquireKind.Malformed, new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: fault)));
        IPv4Address? hint = IPv4Address.TryParse(request.Ip, out var wanted) ? wanted : null;
        string service = request.Service!;
        string? uid = string.IsNullOrEmpty(request.Uid) ? null : request.Uid;

        var waiter = new AcquireWaiter();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(aborted, lifetime.ApplicationStopping);
        try
        {
            await loop.InvokeAsync(
                keeper =>
                {
                    keeper.Acquire(service, uid, hint, waiter);
                    return true;
                },
                either.Token);
            return Answer(await waiter.Task.WaitAsync(options.RequestTimeout, time, either.Token));
        }
        catch (TimeoutException)
        {
            return Answer(await loop.InvokeAsync(keeper => keeper.GiveUp(service, waiter), either.Token));
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            return Answer(new AcquireOutcome(AcquireKind.Unavailable, new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: "the address service stops")));
        }
        catch (OperationCanceledException)
        {
            // The caller has gone: nobody is left to answer, but the loop must not keep its place.
            await loop.InvokeAsync(keeper => keeper.GiveUp(service, waiter), lifetime.ApplicationStopping);
            throw;
        }
    }

    private static async Task<JsonHttpResult<ReleaseAddressAnswer>> ReleaseAsync(
        [FromBody] ReleaseAddressRequest? request, [FromQuery] string? ip, [FromQuery] string? service, LeaseLoop loop, CancellationToken aborted)
    {
        ip = Choose(request?.Ip, ip);
        service = Choose(request?.Service, service);
        string? fault = ip is null && service is null ? "ip: give the address, or the service" : null;
        var address = default(IPv4Address);
        if (ip is not null && !IPv4Address.TryParse(ip, out address))
            fault = $"ip: '{Cut(ip)}' is not an IPv4 address";
        if (service is not null && !ServiceName.IsValid(service))
            fault = $"service: '{Cut(service)}' is not namespace/name";
        if (fault is not null)
            return Json(new ReleaseAddressAnswer(AnswerStatus.Error, "", Detail: fault), StatusCodes.Status400BadRequest);

        var outcome = await loop.InvokeAsync(keeper => keeper.Release(ip is null ? null : address, service), aborted);
        return Json(outcome.Answer, outcome.Kind switch
        {
            ReleaseKind.Success => StatusCodes.Status200OK,
            ReleaseKind.NotFound => StatusCodes.Status404NotFound,
            ReleaseKind.Mismatch => StatusCodes.Status409Conflict,
            _ => StatusCodes.Status503ServiceUnavailable,
        });
    }

    private static string? Fault(AcquireAddressRequest request)
    {
        const int LongestUid = 128;
        if (!ServiceName.IsValid(request.Service))
        {
            return string.IsNullOrEmpty(request.Service)
                ? "service: missing; it is namespace/name"
                : $"service: '{Cut(request.Service)}' is not namespace/name in lower-case letters, digits and hyphens, at most 63 characters each";
        }
        if (request.Uid is { Length: > LongestUid })
            return $"uid: longer than {LongestUid} characters";
        return string.IsNullOrEmpty(request.Ip) || IPv4Address.TryParse(request.Ip, out _) ? null : $"ip: '{Cut(request.Ip)}' is not an IPv4 address";
    }

    private static JsonHttpResult<AcquireAddressAnswer> Answer(AcquireOutcome outcome) => TypedResults.Json(
        outcome.Answer, AddressServiceJsonContext.Default.AcquireAddressAnswer, statusCode: outcome.Kind switch
        {
            AcquireKind.Success => StatusCodes.Status200OK,
            AcquireKind.Malformed => StatusCodes.Status400BadRequest,
            AcquireKind.Timeout => StatusCodes.Status504GatewayTimeout,
            AcquireKind.Released => StatusCodes.Status409Conflict,
            _ => StatusCodes.Status503ServiceUnavailable,
        });

    private static JsonHttpResult<ReleaseAddressAnswer> Json(ReleaseAddressAnswer answer, int code) =>
        TypedResults.Json(answer, AddressServiceJsonContext.Default.ReleaseAddressAnswer, statusCode: code);

    private static string? Choose(string? body, string? query) => !string.IsNullOrEmpty(body) ? body : string.IsNullOrEmpty(query) ? null : query;

    private static string Cut(string text) => text.Length <= 80 ? text : text[..80] + "...";
}
