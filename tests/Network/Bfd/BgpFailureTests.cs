using System.Diagnostics;
using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Bfd;

/// <summary>A speaker whose BGP session with FRR is watched by BFD.</summary>
[Collection(MeasuredAlone.Name)]
public sealed class BgpFailureTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_failure_of_the_path_ends_the_BGP_session_at_once_and_a_path_that_is_back_brings_it_back()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        var router = await BfdRouter.StartFrrAsync(
            lab.Network, lab.Client,
            """
            bfd
             profile fast
              detect-multiplier 5
            """,
            """
            router bgp 64501
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64500
             neighbor 10.20.0.11 bfd
             neighbor 10.20.0.11 bfd profile fast
            """);
        await BgpLab.ConfigureAsync(
            lab,
            """
            peers:
            - peer-address: 10.20.0.3
              peer-asn: 64501
              my-asn: 64500
              hold-time: 90s
              bfd-profile: fast
            bfd-profiles:
            - name: fast
              detect-multiplier: 5
            address-pools:
            - name: lab
              protocol: bgp
              addresses: [10.20.9.0/24]
            """);
        await lab.AddServiceAsync("web", "10.20.9.1");
        await WaitForRouteAsync(router, true, "the route");
        await router.WaitForPeerAsync("10.20.0.11", "up");
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bfd_session_up{") == 1, TimeSpan.FromSeconds(60), () => $"BFD in the metrics\n{lab.Logs()}", Cancelled);

        long cut = Stopwatch.GetTimestamp();
        await lab.Network.Switch.IpAsync("link set p-client down", Cancelled);
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bgp_session_up") == 0, TimeSpan.FromSeconds(60), () => $"the end of the session\n{lab.Logs()}", Cancelled);
        var took = Stopwatch.GetElapsedTime(cut);
        TestContext.Current.TestOutputHelper?.WriteLine($"no session in the metrics after {took.TotalMilliseconds:0} ms, hold time 90 s");
        // 1.5 s, a duration that a busy machine does not break by itself; asking for the metrics takes its time. By the hold time it would be minutes.
        Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(10));
        await BgpLab.SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "BFD: the path to ");

        await lab.Network.Switch.IpAsync("link set p-client up", Cancelled);
        await WaitForRouteAsync(router, true, "the route once more");
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bgp_session_up") == 1, TimeSpan.FromSeconds(60), () => $"the session\n{lab.Logs()}", Cancelled);
        // BFD begins when BGP is established, and its first packets are a second apart.
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bfd_session_up{") == 1, TimeSpan.FromSeconds(60), () => $"BFD once more\n{lab.Logs()}", Cancelled);

        var explanation = await DynlbAsync(lab);
        Assert.Contains("1 of 1 sessions established", explanation, StringComparison.Ordinal);
        Assert.Contains("10.20.9.1/32", explanation, StringComparison.Ordinal);
        Assert.Contains("BFD: Up", explanation, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_router_behind_another_one_is_watched_over_several_hops()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        // node1 - middle - far
        var middle = await lab.Network.AddHostAsync("middle", 31, Cancelled);
        var far = await lab.Network.AddHostAsync("far", 32, Cancelled);
        await far.Namespace.IpAsync("link delete eth0", Cancelled);
        await far.Namespace.IpAsync($"link add eth0 type veth peer name eth1 netns {middle.Namespace.Name}", Cancelled);
        await middle.Namespace.IpAsync("address add 192.0.2.1/24 dev eth1", Cancelled);
        await middle.Namespace.IpAsync("link set eth1 up", Cancelled);
        await far.Namespace.IpAsync("address add 192.0.2.2/24 dev eth0", Cancelled);
        await far.Namespace.IpAsync("link set eth0 up", Cancelled);
        await far.Namespace.IpAsync("route add 10.20.0.0/24 via 192.0.2.1", Cancelled);
        await lab.Network["node1"].Namespace.IpAsync("route add 192.0.2.0/24 via 10.20.0.31", Cancelled);
        var router = await BfdRouter.StartFrrAsync(
            lab.Network, far,
            """
            bfd
             profile fast
              detect-multiplier 5
            """,
            """
            router bgp 64501
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64500
             neighbor 10.20.0.11 ebgp-multihop 3
             neighbor 10.20.0.11 bfd
             neighbor 10.20.0.11 bfd profile fast
            """);
        await BgpLab.ConfigureAsync(
            lab,
            """
            peers:
            - {peer-address: 192.0.2.2, peer-asn: 64501, my-asn: 64500, ebgp-multihop: true, bfd-profile: far}
            bfd-profiles:
            - {name: far, detect-multiplier: 5, minimum-ttl: 254}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.9.0/24]}
            """);
        await lab.AddServiceAsync("web", "10.20.9.1");
        await WaitForRouteAsync(router, true, $"the route\n{lab.Logs()}");
        await router.WaitForPeerAsync("10.20.0.11", "up");
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bfd_session_up{") == 1, TimeSpan.FromSeconds(60), () => $"BFD in the metrics\n{lab.Logs()}", Cancelled);
        Assert.Equal("multihop", (await router.PeerAsync("10.20.0.11"))!.Value.GetProperty("multihop").GetBoolean() ? "multihop" : "single hop");

        // Behind the router next door nothing of our own interfaces tells that the cable is cut.
        long cut = Stopwatch.GetTimestamp();
        await middle.Namespace.IpAsync("link set eth1 down", Cancelled);
        await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bgp_session_up") == 0, TimeSpan.FromSeconds(60), () => $"the end of the session\n{lab.Logs()}", Cancelled);
        Assert.InRange(Stopwatch.GetElapsedTime(cut), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        await BgpLab.SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "BFD: the path to 192.0.2.2 failed");
    }

    private static Task<string> DynlbAsync(SpeakerLab lab) => lab.Network["node1"].Namespace.RunAsync(
        "dotnet", [Programs.PathOf("Cli"), "bgp", "--routes", "--speaker", "http://127.0.0.1:17473"], Cancelled);

    private static Task WaitForRouteAsync(BfdRouter router, bool isThere, string what) => Wait.UntilAsync(
        async () =>
        {
            using var table = JsonDocument.Parse(await router.VtyshAsync("show bgp ipv4 unicast json"));
            return table.RootElement.TryGetProperty("routes", out var routes) && routes.TryGetProperty("10.20.9.1/32", out _) == isThere;
        },
        TimeSpan.FromSeconds(60), what, Cancelled);
}
