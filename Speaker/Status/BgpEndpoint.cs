using System.Net;
using System.Text.Json;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Networking.Bfd;
using DynamicLb.Speaker.Bfd;
using DynamicLb.Speaker.Bgp;

namespace DynamicLb.Speaker.Status;

/// <summary>What <c>dynlb bgp</c> asks: <c>GET /v1/bgp</c>, which reads only, and tells no secret.</summary>
internal static class BgpEndpoint
{
    public const string Path = "/v1/bgp";

    public static void MapBgp(this IEndpointRouteBuilder endpoints) => endpoints.MapGet(Path, AnswerAsync);

    internal static BgpExplanation Explain(string node, BgpPeers peers, IReadOnlyList<IBfdWatch> watches) => new(
        node, [.. peers.Views.Select(view => Explain(view, peers.RoutesOf(view.Name), watches))]);

    /// <summary>A session, with BFD of its path.</summary>
    internal static ExplainedPeer Explain(BgpPeerView view, IReadOnlyList<string> routes, IReadOnlyList<IBfdWatch> watches)
    {
        var status = view.Status;
        return new ExplainedPeer(view.Name, view.Label, view.Vrf, status.State.ToString())
        {
            LastError = status.LastError,
            Since = status.Since,
            Local = status.Local,
            Routes = routes,
            Told = status.Told,
            Pending = status.Pending,
            NotCarried = status.NotCarried,
            Bfd = IPEndPoint.TryParse(view.Label, out var end) ? [.. watches.Where(watch => watch.Path.Peer.Equals(end.Address)).Select(Explain)] : [],
        };
    }

    private static ExplainedBfd Explain(IBfdWatch watch)
    {
        var status = watch.Status;
        return new ExplainedBfd(
            status.State.ToString(), status.Diagnostic.Describe(), status.TransmitInterval.TotalMilliseconds, status.DetectionTime.TotalMilliseconds,
            status.EchoInterval.TotalMilliseconds);
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        var services = context.RequestServices;
        var explanation = Explain(services.GetRequiredService<SpeakerOptions>().NodeName, services.GetRequiredService<BgpPeers>(), services.GetRequiredService<BfdSessions>().Watches);
        context.Response.ContentType = "application/json; charset=utf-8";
        await JsonSerializer.SerializeAsync(context.Response.Body, explanation, BgpJsonContext.Default.BgpExplanation, context.RequestAborted);
    }
}
