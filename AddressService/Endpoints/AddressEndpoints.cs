using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
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
            .Needs(Roles.Lease)
            .WithName("AcquireAddress")
            .WithSummary("Leases an address for a service, or returns the one it has.")
            .WithDescription("Answers when the lease is stored. The same service gets the same lease; a call during the search joins it. "
                + "On 504 the search goes on: call again.")
            .Produces<AcquireAddressAnswer>()
            .Produces<AcquireAddressAnswer>(StatusCodes.Status400BadRequest)
            .Produces<ErrorAnswer>(StatusCodes.Status401Unauthorized)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status403Forbidden)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status409Conflict)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status429TooManyRequests)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status502BadGateway)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status503ServiceUnavailable)
            .Produces<AcquireAddressAnswer>(StatusCodes.Status504GatewayTimeout);
        group.MapDelete("", ReleaseAsync)
            .Needs(Roles.Lease)
            .WithName("ReleaseAddress")
            .WithSummary("Gives an address back.")
            .WithDescription("Name it by ip, by service (then all that it has, or the one of a family), or both, in the body or in the query. Repeating the call within ten minutes succeeds again.")
            .Produces<ReleaseAddressAnswer>()
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status400BadRequest)
            .Produces<ErrorAnswer>(StatusCodes.Status401Unauthorized)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status403Forbidden)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status404NotFound)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status409Conflict)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .Produces<ErrorAnswer>(StatusCodes.Status429TooManyRequests)
            .Produces<ReleaseAddressAnswer>(StatusCodes.Status503ServiceUnavailable);
        return api;
    }

    private static async Task<JsonHttpResult<AcquireAddressAnswer>> AcquireAsync(
        AcquireAddressRequest request, HttpContext context, LeaseLoop loop, AddressServiceOptions options, TimeProvider time,
        IHostApplicationLifetime lifetime, CancellationToken aborted)
    {
        JsonHttpResult<AcquireAddressAnswer> Answer(AcquireOutcome outcome) => AddressEndpoints.Answer(context, outcome);

        if (Fault(request) is { } fault)
            return Answer(new AcquireOutcome(AcquireKind.Malformed, new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: fault)));
        var call = Call.Of(context);
        call.Subject = request.Service!;
        if (!call.Caller!.Covers(request.Service!))
            return Answer(new AcquireOutcome(AcquireKind.Denied, new AcquireAddressAnswer(AnswerStatus.Denied, "", Detail: call.Caller.DoesNotCover(request.Service!))));
        string service = request.Service!;
        var acquire = new AcquireCall(
            service, NullIfEmpty(request.Uid), LeaseAddress.TryParse(request.Ip, out var wanted) ? wanted : null, NullIfEmpty(request.Interface),
            FamilyOf(request.Family) ?? LeaseFamily.IPv4, LeaseAddress.TryParse(request.Held, out var held) ? held : null);

        var waiter = new AcquireWaiter();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(aborted, lifetime.ApplicationStopping);
        try
        {
            await loop.InvokeAsync(
                keeper =>
                {
                    keeper.Acquire(acquire, waiter);
                    return true;
                },
                either.Token);
            return Answer(await waiter.Task.WaitAsync(options.RequestTimeout, time, either.Token));
        }
        catch (TimeoutException)
        {
            return Answer(await loop.InvokePatientlyAsync(keeper => keeper.GiveUp(service, waiter, acquire.Family), either.Token));
        }
        catch (OperationCanceledException) when (lifetime.ApplicationStopping.IsCancellationRequested)
        {
            return Answer(new AcquireOutcome(AcquireKind.Unavailable, new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: "the address service stops")));
        }
        catch (OperationCanceledException)
        {
            // The caller has gone: nobody is left to answer, but the loop must not keep its place.
            await loop.InvokePatientlyAsync(keeper => keeper.GiveUp(service, waiter, acquire.Family), lifetime.ApplicationStopping);
            throw;
        }
    }

    private static async Task<JsonHttpResult<ReleaseAddressAnswer>> ReleaseAsync(
        [FromBody] ReleaseAddressRequest? request, [FromQuery] string? ip, [FromQuery] string? service, [FromQuery] string? family, HttpContext context, LeaseLoop loop,
        AddressServiceOptions options, CancellationToken aborted)
    {
        var call = Call.Of(context);
        ip = Choose(request?.Ip, ip);
        service = Choose(request?.Service, service);
        family = Choose(request?.Family, family);
        string? fault = ip is null && service is null ? "ip: give the address, or the service" : null;
        var address = default(LeaseAddress);
        if (ip is not null && !LeaseAddress.TryParse(ip, out address))
            fault = $"ip: '{Cut(ip)}' is not an address";
        if (!IsFamily(family))
            fault = $"family: '{Cut(family!)}' is neither ipv4 nor ipv6";
        if (service is not null && !ServiceName.IsValid(service))
            fault = $"service: '{Cut(service)}' is not namespace/name";
        if (fault is not null)
            return Json(new ReleaseAddressAnswer(AnswerStatus.Error, "", Detail: fault), StatusCodes.Status400BadRequest);

        call.Subject = string.Join(' ', new[] { service, ip }.Where(static text => text is not null));
        if (service is not null && !call.Caller!.Covers(service))
            return Json(new ReleaseAddressAnswer(AnswerStatus.Denied, "", Detail: call.Caller.DoesNotCover(service)), StatusCodes.Status403Forbidden);

        var outcome = await loop.InvokeAsync(
            keeper => keeper.Release(ip is null ? null : address, service, call.Caller!.Covers, FamilyOf(family)), outcome => outcome.Ids, options.RequestTimeout, aborted);
        call.Result = outcome.Answer.Detail ?? outcome.Answer.Ip;
        if (outcome.Kind == ReleaseKind.StoreFailed)
            Errors.RetryAfter(context, null);
        return Json(outcome.Answer, outcome.Kind switch
        {
            ReleaseKind.Success => StatusCodes.Status200OK,
            ReleaseKind.Denied => StatusCodes.Status403Forbidden,
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
        if (request.Interface is { Length: > LongestUid })
            return $"interface: longer than {LongestUid} characters";
        if (request.Uid is { Length: > LongestUid })
            return $"uid: longer than {LongestUid} characters";
        if (!IsFamily(NullIfEmpty(request.Family)))
            return $"family: '{Cut(request.Family!)}' is neither ipv4 nor ipv6";
        return FaultOf("ip", request.Ip, request.Family) ?? FaultOf("held", request.Held, request.Family);
    }

    private static string? FaultOf(string field, string? text, string? familyText)
    {
        var family = FamilyOf(familyText) ?? LeaseFamily.IPv4;
        return string.IsNullOrEmpty(text) || (LeaseAddress.TryParse(text, out var address) && address.Family == family)
            ? null : $"{field}: '{Cut(text)}' is not an {(family == LeaseFamily.IPv6 ? "IPv6" : "IPv4")} address";
    }

    private static JsonHttpResult<AcquireAddressAnswer> Answer(HttpContext context, AcquireOutcome outcome)
    {
        int code = outcome.Kind switch
        {
            AcquireKind.Success => StatusCodes.Status200OK,
            AcquireKind.Malformed => StatusCodes.Status400BadRequest,
            AcquireKind.Denied => StatusCodes.Status403Forbidden,
            AcquireKind.Released or AcquireKind.Conflict => StatusCodes.Status409Conflict,
            AcquireKind.Limited => StatusCodes.Status429TooManyRequests,
            AcquireKind.BadServer => StatusCodes.Status502BadGateway,
            AcquireKind.Timeout => StatusCodes.Status504GatewayTimeout,
            _ => StatusCodes.Status503ServiceUnavailable,
        };
        if (code is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable)
            Errors.RetryAfter(context, outcome.RetryAfter);
        Call.Of(context).Result = outcome.Answer.Detail ?? outcome.Answer.Ip;
        return TypedResults.Json(outcome.Answer, AddressServiceJsonContext.Default.AcquireAddressAnswer, statusCode: code);
    }

    private static JsonHttpResult<ReleaseAddressAnswer> Json(ReleaseAddressAnswer answer, int code) =>
        TypedResults.Json(answer, AddressServiceJsonContext.Default.ReleaseAddressAnswer, statusCode: code);

    private static string? Choose(string? body, string? query) => NullIfEmpty(body) ?? NullIfEmpty(query);

    private static bool IsFamily(string? text) => text is null or AddressFamilies.IPv4 or AddressFamilies.IPv6;

    private static LeaseFamily? FamilyOf(string? text) =>
        text switch { AddressFamilies.IPv4 => LeaseFamily.IPv4, AddressFamilies.IPv6 => LeaseFamily.IPv6, _ => null };

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static string Cut(string text) => text.Length <= 80 ? text : text[..80] + "...";
}
