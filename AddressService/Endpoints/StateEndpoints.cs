using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Http.HttpResults;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/config</c> and <c>/v1/status</c>: what is set, and what is.</summary>
internal static class StateEndpoints
{
    public static RouteGroupBuilder MapState(this RouteGroupBuilder api)
    {
        api.MapGet("/config", ConfigAsync)
            .WithTags("State")
            .WithName("GetConfig")
            .WithSummary("The settings in force, without secrets.")
            .ProducesRefusals();
        api.MapGet("/status", StatusAsync)
            .WithTags("State")
            .WithName("GetStatus")
            .WithSummary("Every lease, the free MACs, and counters.")
            .WithDescription("Callers that cover certain namespaces only see the leases of these, and no MACs that are free.")
            .ProducesRefusals();
        api.MapGet("/overview", OverviewAsync)
            .WithTags("State")
            .WithName("GetOverview")
            .WithSummary("The address service at a glance: leases by state, MAC pool, DHCP servers seen, counters.")
            .ProducesRefusals();
        return api;
    }

    private static async Task<Ok<ConfigAnswer>> ConfigAsync(LeaseLoop loop, CancellationToken aborted) =>
        TypedResults.Ok(await loop.InvokeAsync(keeper => keeper.Config(), aborted));

    private static async Task<Ok<OverviewAnswer>> OverviewAsync(LeaseLoop loop, CancellationToken aborted) =>
        TypedResults.Ok(await loop.InvokeAsync(keeper => keeper.Overview(), aborted));

    private static async Task<Ok<StatusAnswer>> StatusAsync(HttpContext context, LeaseLoop loop, CancellationToken aborted)
    {
        var answer = await loop.InvokeAsync(keeper => keeper.Status(), aborted);
        var caller = context.Caller();
        return TypedResults.Ok(caller.Namespaces is null ? answer
            : answer with { Allocations = [.. answer.Allocations.Where(lease => caller.Covers(lease.Service))], AvailableMacs = [] });
    }
}
