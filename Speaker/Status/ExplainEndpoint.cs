using System.Text.Json;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes;

namespace DynamicLb.Speaker.Status;

/// <summary>What <c>dynlb explain</c> asks: <c>GET /v1/explain/NAMESPACE/NAME</c>, which reads only, and tells no secret.</summary>
internal static class ExplainEndpoint
{
    public static void MapExplanations(this IEndpointRouteBuilder endpoints) => endpoints.MapGet("/v1/explain/{space}/{name}", AnswerAsync);

    private static async Task AnswerAsync(HttpContext context)
    {
        var name = new NamespacedName((string)context.Request.RouteValues["space"]!, (string)context.Request.RouteValues["name"]!);
        if (context.RequestServices.GetRequiredService<ServiceExplainer>().Explain(name) is not { } explanation)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        context.Response.ContentType = "application/json; charset=utf-8";
        await JsonSerializer.SerializeAsync(context.Response.Body, explanation, ExplanationJsonContext.Default.ServiceExplanation, context.RequestAborted);
    }
}
