using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/mac</c>: the MACs to lease with.</summary>
internal static class MacEndpoints
{
    public static RouteGroupBuilder MapMacs(this RouteGroupBuilder api)
    {
        var group = api.MapGroup("/mac").WithTags("MACs");
        group.MapGet("", ListAsync)
            .WithName("GetMacs")
            .WithSummary("The pool, in the order of use, and which service uses what.")
            .WithDescription("Callers that cover certain namespaces only see the MACs that these use.")
            .ProducesRefusals();
        group.MapPost("", AddAsync)
            .WithName("AddMacs")
            .WithSummary("Adds MACs to the pool.")
            .WithDescription("Written with ':', '-' or '.', or in Cisco's four-digit groups. On 400 the good ones were added all the same.")
            .Produces<AddMacsAnswer>()
            .Produces<AddMacsAnswer>(StatusCodes.Status400BadRequest)
            .ProducesRefusals()
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge);
        group.MapDelete("", RemoveAsync)
            .WithName("RemoveMacs")
            .WithSummary("Removes MACs from the pool.")
            .WithDescription("On 400 those that are in use, unknown or malformed stay; the others were removed all the same.")
            .Produces<RemoveMacsAnswer>()
            .Produces<RemoveMacsAnswer>(StatusCodes.Status400BadRequest)
            .ProducesRefusals()
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge);
        return api;
    }

    private static async Task<Ok<MacPoolAnswer>> ListAsync(HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        var answer = await loop.InvokeAsync(keeper => keeper.MacPool(), aborted);
        var caller = context.Caller();
        return TypedResults.Ok(caller.Namespaces is null ? answer
            : answer with { Macs = [.. answer.Macs.Where(mac => mac.Service is { } user && caller.Covers(user))] });
    }

    private static async Task<JsonHttpResult<AddMacsAnswer>> AddAsync(MacListRequest request, HttpContext context, LeaseLoop loop, AddressServiceOptions options, CancellationToken aborted)
    {
        Call.Of(context).Subject = Subject(request);
        var answer = request.Macs is { Count: > 0 } macs
            ? await loop.InvokeAsync(keeper => keeper.AddMacs(macs), _ => [Guid.Empty], options.RequestTimeout, aborted)
            : new AddMacsAnswer(AnswerStatus.Error, [], "macs: missing or empty");
        Call.Of(context).Result = answer.Detail ?? "";
        return TypedResults.Json(answer, AddressServiceJsonContext.Default.AddMacsAnswer, statusCode: Code(answer.Status));
    }

    private static async Task<JsonHttpResult<RemoveMacsAnswer>> RemoveAsync([FromBody] MacListRequest request, HttpContext context, LeaseLoop loop, AddressServiceOptions options, CancellationToken aborted)
    {
        Call.Of(context).Subject = Subject(request);
        var answer = request.Macs is { Count: > 0 } macs
            ? await loop.InvokeAsync(keeper => keeper.RemoveMacs(macs), _ => [Guid.Empty], options.RequestTimeout, aborted)
            : new RemoveMacsAnswer(AnswerStatus.Error, [], "macs: missing or empty");
        Call.Of(context).Result = answer.Detail ?? "";
        return TypedResults.Json(answer, AddressServiceJsonContext.Default.RemoveMacsAnswer, statusCode: Code(answer.Status));
    }

    private static string Subject(MacListRequest request)
    {
        const int Longest = 200;
        string macs = string.Join(' ', request.Macs ?? []);
        return macs.Length <= Longest ? macs : $"{macs[..Longest]}... ({request.Macs!.Count})";
    }

    private static int Code(string status) => status == AnswerStatus.Success ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest;
}
