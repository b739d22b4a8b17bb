using System.Text.Json;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Status;

/// <summary>What <c>dynlb explain</c> asks: <c>GET /v1/explain/NAMESPACE/NAME</c>, which reads only, and tells no secret.</summary>
internal static class ExplainEndpoint
{
    private const string Path = "/v1/explain";

    /// <summary>The program's ports, with this and <see cref="BgpEndpoint"/> beside health.</summary>
    public static IReadOnlyList<ProgramPort> AddTo(KubernetesProgramSettings settings) =>
        [.. settings.Ports().Select(static (port, index) => index == 0 ? port with { Paths = [.. port.Paths, Path, BgpEndpoint.Path] } : port)];

    public static void MapExplanations(this IEndpointRouteBuilder endpoints) => endpoints.MapGet(Path + "/{space}/{name}", AnswerAsync);

    internal static async Task AnswerAsync(HttpContext context)
    {
        var services = context.RequestServices;
        if (!services.GetRequiredService<IInformer<Service>>().HasSynced || !services.GetRequiredService<IInformer<Node>>().HasSynced
            || !services.GetRequiredService<IInformer<EndpointSlice>>().HasSynced)
        {
            // What is not known yet is not absent.
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            await context.Response.WriteAsync("waiting for the API server", context.RequestAborted);
            return;
        }
        var name = new NamespacedName((string)context.Request.RouteValues["space"]!, (string)context.Request.RouteValues["name"]!);
        if (services.GetRequiredService<ServiceExplainer>().Explain(name) is not { } explanation)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }
        context.Response.ContentType = "application/json; charset=utf-8";
        await JsonSerializer.SerializeAsync(context.Response.Body, explanation, ExplanationJsonContext.Default.ServiceExplanation, context.RequestAborted);
    }
}
