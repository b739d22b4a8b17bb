using DynamicLb.AddressService.Security;
using DynamicLb.AddressService.SelfTest;
using DynamicLb.Contracts.AddressServices;
using Microsoft.AspNetCore.Http.HttpResults;

namespace DynamicLb.AddressService.Endpoints;

/// <summary><c>/v1/selftest</c>: which ways to lease this network allows.</summary>
internal static class SelfTestEndpoints
{
    private const int DefaultSeconds = 8;
    private const int MostSeconds = 30;

    public static RouteGroupBuilder MapSelfTest(this RouteGroupBuilder api)
    {
        var group = api.MapGroup("/selftest").WithTags("Self-test");
        group.MapPost("", RunAsync)
            .Needs(Roles.Admin)
            .WithName("RunSelfTest")
            .WithSummary("Tries each way to lease, and says which of them this network allows.")
            .WithDescription("Takes a lease with a throw-away identity for each and gives it back; no existing lease is touched. "
                + "Mode chaddr sends frames from a second MAC: a port that is set to shut down on that does so. "
                + "On an interface that is set for one MAC it is tried only if it is named.")
            .Produces<SelfTestAnswer>()
            .Produces<SelfTestAnswer>(StatusCodes.Status400BadRequest)
            .Produces<SelfTestAnswer>(StatusCodes.Status409Conflict)
            .Produces<ErrorAnswer>(StatusCodes.Status413PayloadTooLarge)
            .ProducesRefusals();
        group.MapGet("", Last)
            .WithName("GetSelfTest")
            .WithSummary("The last result since the start.")
            .Produces<SelfTestAnswer>()
            .Produces<SelfTestAnswer>(StatusCodes.Status404NotFound)
            .ProducesRefusals();
        return api;
    }

    private static async Task<JsonHttpResult<SelfTestAnswer>> RunAsync(
        SelfTestRequest? request, HttpContext context, SelfTestRunner runner, ISelfTestLinks links, CancellationToken aborted)
    {
        var asked = request?.Modes is { Count: > 0 } wanted ? wanted.Distinct(StringComparer.Ordinal).ToList() : null;
        IReadOnlyList<string> modes = asked ?? SelfTestModes.All;
        int seconds = request?.Seconds ?? DefaultSeconds;
        var link = links.Find(request?.Interface);
        string? fault = modes.FirstOrDefault(mode => !SelfTestModes.All.Contains(mode)) is { } unknown
                ? $"modes: '{(unknown.Length <= 40 ? unknown : unknown[..40])}' is none of {string.Join(", ", SelfTestModes.All)}"
            : seconds is < 1 or > MostSeconds ? $"seconds: not from 1 to {MostSeconds}"
            : link is null ? $"interface: there is none of this name; there are {string.Join(", ", links.Names)}" : null;
        if (fault is not null)
            return Json(new SelfTestAnswer(AnswerStatus.Error, Detail: fault), StatusCodes.Status400BadRequest);
        var call = Call.Of(context);
        call.Subject = $"{link!.Name}: {string.Join(' ', modes)}";
        var answer = await runner.RunAsync(link, asked, TimeSpan.FromSeconds(seconds), aborted);
        if (answer is null)
            return Json(new SelfTestAnswer(AnswerStatus.Error, Detail: "another self-test is under way"), StatusCodes.Status409Conflict);
        call.Result = string.Join(", ", answer.Modes!.Select(mode => $"{mode.Mode} {mode.Outcome}"));
        return Json(answer, StatusCodes.Status200OK);
    }

    private static JsonHttpResult<SelfTestAnswer> Last(SelfTestRunner runner) => runner.Last is { } last
        ? Json(last, StatusCodes.Status200OK)
        : Json(new SelfTestAnswer(AnswerStatus.Error, Detail: "no self-test was carried out since the start"), StatusCodes.Status404NotFound);

    private static JsonHttpResult<SelfTestAnswer> Json(SelfTestAnswer answer, int code) =>
        TypedResults.Json(answer, AddressServiceJsonContext.Default.SelfTestAnswer, statusCode: code);
}
