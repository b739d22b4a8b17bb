using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/leases</c>: what is leased, what became of it, and what happens to it now.</summary>
internal static class LeaseEndpoints
{
    private const int DefaultLimit = 500;
    private const int GreatestLimit = 1000;

    public static RouteGroupBuilder MapLeases(this RouteGroupBuilder api)
    {
        var group = api.MapGroup("/leases").WithTags("Leases");
        group.MapGet("", ListAsync)
            .WithName("GetLeases")
            .WithSummary("All leases, sorted by service, a page at a time.")
            .WithDescription("service and state leave only those; limit is the length of a page, 1 to 1000 (500); continue is what the page before gave.")
            .Produces<LeasesAnswer>()
            .Produces<LeasesAnswer>(StatusCodes.Status400BadRequest)
            .ProducesRefusals();
        group.MapGet("/watch", LeaseWatch.RunAsync)
            .WithName("WatchLeases")
            .WithSummary("What happens to the leases, as server-sent events.")
            .WithDescription("Goes on after the event that Last-Event-ID names; if that is missing or too old, a reset event, one snapshot event for each lease and a "
                + "synced event come first. Then requested, bound, renewed, changed, recovered, declined, conflict, suspect, lost, releasing, released. overview=true adds an overview "
                + "event every five seconds. A reader that does not keep up is cut off.")
            .Produces<string>(StatusCodes.Status200OK, "text/event-stream")
            .ProducesRefusals();
        group.MapGet("/{ip}", DetailAsync)
            .WithName("GetLease")
            .WithSummary("The lease of an address, with its history.")
            .WithDescription("The lists begin with the start of the address service. A released lease is known for ten minutes.")
            .Produces<LeaseDetailAnswer>()
            .Produces<ErrorAnswer>(StatusCodes.Status400BadRequest)
            .ProducesRefusals()
            .Produces<ErrorAnswer>(StatusCodes.Status404NotFound);
        return api;
    }

    private static async Task<JsonHttpResult<LeasesAnswer>> ListAsync(
        [FromQuery] string? service, [FromQuery] string? state, [FromQuery] string? limit, [FromQuery(Name = "continue")] string? after,
        HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        string? fault = null;
        int most = DefaultLimit;
        LeasePlace? place = null;
        if (!string.IsNullOrEmpty(service) && !ServiceName.IsValid(service))
            fault = "service: not namespace/name";
        else if (!string.IsNullOrEmpty(limit) && !(int.TryParse(limit, out most) && most is >= 1 and <= GreatestLimit))
            fault = $"limit: not a number from 1 to {GreatestLimit}";
        else if (!string.IsNullOrEmpty(after) && (place = LeasePlace.TryParse(after, out var parsed) ? parsed : null) is null)
            fault = "continue: not what a page before gave";
        if (fault is not null)
            return Json(new LeasesAnswer(AnswerStatus.Error, [], Detail: fault), StatusCodes.Status400BadRequest);
        var filter = new LeaseFilter(
            string.IsNullOrEmpty(service) ? null : service, string.IsNullOrEmpty(state) ? null : state.ToLowerInvariant(), most, place,
            context.Caller().Covers);
        return Json(await loop.InvokeAsync(keeper => keeper.Leases(filter), aborted), StatusCodes.Status200OK);
    }

    private static async Task<IResult> DetailAsync(string ip, HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        if (!LeaseAddress.TryParse(ip, out var address))
            return Refuse("ip: not an address", StatusCodes.Status400BadRequest);
        var lease = await loop.InvokeAsync(keeper => keeper.Lease(address.ToString()), aborted);
        return lease is null || !context.Caller().Covers(lease.Lease.Service)
            ? Refuse($"ip: {address} is not leased here", StatusCodes.Status404NotFound)
            : TypedResults.Json(lease, AddressServiceJsonContext.Default.LeaseDetailAnswer);
    }

    private static JsonHttpResult<LeasesAnswer> Json(LeasesAnswer answer, int code) =>
        TypedResults.Json(answer, AddressServiceJsonContext.Default.LeasesAnswer, statusCode: code);

    private static JsonHttpResult<ErrorAnswer> Refuse(string detail, int code) =>
        TypedResults.Json(new ErrorAnswer(AnswerStatus.Error, detail), AddressServiceJsonContext.Default.ErrorAnswer, statusCode: code);
}
