using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Http.HttpResults;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/ip/orphans</c>: leases without an owner.</summary>
internal static class OrphanEndpoints
{
    public static RouteGroupBuilder MapOrphans(this RouteGroupBuilder api)
    {
        var group = api.MapGroup("/ip/orphans").WithTags("Addresses");
        group.MapGet("", ListAsync)
            .WithName("GetOrphans")
            .WithSummary("The leases without an owner.")
            .Produces<OrphansAnswer>()
            .ProducesRefusals();
        group.MapPost("", ReportAsync)
            .Needs(Roles.Lease)
            .WithName("ReportOrphans")
            .WithSummary("Lists leases as being without an owner.")
            .WithDescription("Names all of them: one named before and not any more has its owner again. It releases nothing.")
            .Produces<OrphansAnswer>()
            .Produces<OrphansAnswer>(StatusCodes.Status400BadRequest)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .ProducesRefusals();
        group.MapPost("/release", ReleaseAsync)
            .WithName("ReleaseOrphans")
            .WithSummary("Gives back the leases without an owner, however many they are.")
            .WithDescription("For an operator, after a look at them: a fault may have made owners seem gone.")
            .Produces<OrphansAnswer>()
            .ProducesRefusals();
        return api;
    }

    private static async Task<Ok<OrphansAnswer>> ListAsync(HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        var caller = context.Caller();
        return TypedResults.Ok(await loop.InvokeAsync(keeper => keeper.Orphans(caller.Covers), aborted));
    }

    private static async Task<JsonHttpResult<OrphansAnswer>> ReportAsync(OrphansRequest request, HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        var call = Call.Of(context);
        string? fault = request.Services is null ? "services: missing"
            : request.Services.FirstOrDefault(static s => !ServiceName.IsValid(s)) is { } wrong ? $"services: '{(wrong.Length <= 80 ? wrong : wrong[..80])}' is not namespace/name"
            : request.Services.Contains(null!) ? "services: has null" : null;
        if (fault is not null)
            return Json(new OrphansAnswer(AnswerStatus.Error, [], fault), StatusCodes.Status400BadRequest);
        var services = request.Services!.ToHashSet(StringComparer.Ordinal);
        call.Subject = $"{services.Count} services";
        return Json(await loop.InvokeAsync(keeper => keeper.ReportOrphans(services, call.Caller!.Covers), aborted), StatusCodes.Status200OK);
    }

    private static async Task<JsonHttpResult<OrphansAnswer>> ReleaseAsync(HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        const int MostNamed = 20;
        var call = Call.Of(context);
        var answer = await loop.InvokeAsync(keeper => keeper.ReleaseOrphans(call.Caller!.Covers), aborted);
        call.Subject = $"{answer.Orphans.Count} leases";
        call.Result = string.Join(' ', answer.Orphans.Take(MostNamed).Select(static o => $"{o.Service}={o.Ip}")) + (answer.Orphans.Count > MostNamed ? " ..." : "");
        if (answer.Status != AnswerStatus.Success)
            Errors.RetryAfter(context, null);
        return Json(answer, answer.Status == AnswerStatus.Success ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable);
    }

    private static JsonHttpResult<OrphansAnswer> Json(OrphansAnswer answer, int code) =>
        TypedResults.Json(answer, AddressServiceJsonContext.Default.OrphansAnswer, statusCode: code);
}
