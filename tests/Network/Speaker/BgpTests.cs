using System.Text.Json;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Lab;
using DynamicLb.Lab.Bgp;
using DynamicLb.Tests.Network.Support;
using static DynamicLb.Tests.Network.Support.BgpLab;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>The speaker and routers of others: FRR, BIRD, GoBGP; each asked for its own view.</summary>
public sealed partial class BgpTests
{
    private const string Node = "10.20.0.11";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Three_routers_see_routes_with_exact_attributes_and_a_fault_with_one_leaves_the_others_alone()
    {
        const string Peers = """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, dual-stack-address-family: true}
            - {my-asn: 64513, peer-asn: 64513, peer-address: "fd00:20::22", dual-stack-address-family: true, hold-time: 30s}
            - {my-asn: 64513, peer-asn: 4200000001, peer-address: 10.20.0.23, password: secret}
            """;
        const string Pools = """

            address-pools:
            - name: lab
              protocol: bgp
              addresses: [10.20.0.0/16, "fd00:20::/64"]
              bgp-advertisements:
              - {localpref: 150, communities: ["64513:7", "large:64513:1:2", no-export]}
              - {localpref: 150, aggregation-length: 16, aggregation-length-v6: 64, communities: ["64513:8"]}
            """;
        await using var lab = await SpeakerLab.StartAsync(1);
        await ConfigureAsync(lab, Peers + Pools);
        await V6Async(lab.Network["node1"], 11);
        var frr = await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             no bgp ebgp-requires-policy
             no bgp default ipv4-unicast
             neighbor 10.20.0.11 remote-as 64513
             address-family ipv4 unicast
              neighbor 10.20.0.11 activate
             address-family ipv6 unicast
              neighbor 10.20.0.11 activate
            """, Cancelled);
        var bird = await BirdRouter.StartAsync(lab.Network, await HostAsync(lab, "bird", 22), """
            router id 10.20.0.22;
            protocol device {}
            protocol direct { ipv4; ipv6; }
            protocol bgp node1 {
              local fd00:20::22 as 64513;
              neighbor fd00:20::11 as 64513;
              ipv4 { import all; extended next hop; };
              ipv6 { import all; };
            }
            """, Cancelled);
        var gobgp = await GoBgpRouter.StartAsync(lab.Network, await HostAsync(lab, "gobgp", 23), GoBgp("secret"), Cancelled);
        await lab.AddServiceAsync("web", "10.20.0.100");
        await lab.AddServiceAsync("six", "fd00:20::100");

        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.0.100/32 json", Cancelled), lab, "\"valid\":true");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv6 unicast fd00:20::100/128 json", Cancelled), lab, "\"valid\":true");
        // With other communities, so perhaps in another message.
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv6 unicast fd00:20::/64 json", Cancelled), lab, "\"valid\":true");
        using (var route = JsonDocument.Parse(await frr.ShowAsync("show bgp ipv4 unicast 10.20.0.100/32 json", Cancelled)))
        {
            var path = route.RootElement.GetProperty("paths")[0];
            Assert.Equal("64513", path.GetProperty("aspath").GetProperty("string").GetString());
            Assert.Equal("IGP", path.GetProperty("origin").GetString());
            Assert.Equal("64513:7 no-export", path.GetProperty("community").GetProperty("string").GetString());
            Assert.Equal("64513:1:2", path.GetProperty("largeCommunity").GetProperty("string").GetString());
            Assert.Equal(Node, path.GetProperty("nexthops")[0].GetProperty("ip").GetString());
            Assert.False(path.TryGetProperty("med", out _) || path.TryGetProperty("metric", out _));
        }
        using (var route = JsonDocument.Parse(await frr.ShowAsync("show bgp ipv6 unicast fd00:20::/64 json", Cancelled)))
        {
            var path = route.RootElement.GetProperty("paths")[0];
            Assert.Equal("64513:8", path.GetProperty("community").GetProperty("string").GetString());
            Assert.Equal("fd00:20::11", path.GetProperty("nexthops")[0].GetProperty("ip").GetString());
        }

        string own = await SeenAsync(async () => await bird.ShowAsync("show route all 10.20.0.100/32", Cancelled), lab, "BGP.local_pref: 150");
        Assert.Contains("BGP.as_path: \n", own, StringComparison.Ordinal);
        Assert.Contains("BGP.community: (64513,7) (65535,65281)", own, StringComparison.Ordinal);
        Assert.Contains("BGP.large_community: (64513, 1, 2)", own, StringComparison.Ordinal);
        Assert.Contains("BGP.next_hop: 10.20.0.11", own, StringComparison.Ordinal);
        own = await SeenAsync(async () => await bird.ShowAsync("show route all fd00:20::100/128", Cancelled), lab, "BGP.local_pref: 150");
        Assert.Contains("BGP.next_hop: fd00:20::11", own, StringComparison.Ordinal);
        string state = await bird.ShowAsync("show protocols all node1", Cancelled);
        Assert.Matches("Hold timer: +[0-9.]+/30", state);

        await SeenAsync(async () => await gobgp.ShowAsync("global rib -a ipv4", Cancelled), lab, "10.20.0.0/16");
        string third = await SeenAsync(async () => await gobgp.ShowAsync("global rib -a ipv4", Cancelled), lab, "10.20.0.100/32");
        Assert.Matches("10\\.20\\.0\\.100/32 +10\\.20\\.0\\.11 +64513 .*Communities: 64513:7, no-export.*LargeCommunity: \\[ ?64513:1:2 ?\\]", third);
        Assert.Contains("10.20.0.0/16", third, StringComparison.Ordinal);
        await lab.WaitForMetricAsync("node1", "metallb_bgp_session_up", 3);
        await lab.WaitForMetricAsync("node1", "metallb_bgp_pending_prefixes_total", 0);
        await SeenAsync(() => ExplainAsync(lab, "text"), lab, "default/web: announced by BGP from this node, node1, to 3 of 3 peers");
        var explained = JsonSerializer.Deserialize(await ExplainAsync(lab, "json"), ExplanationJsonContext.Default.ServiceExplanation)!.Bgp!;
        Assert.All(explained.Peers, static peer => Assert.Equal(["10.20.0.0/16", "10.20.0.100/32"], peer.Routes.Select(static told => told.Prefix)));
        Assert.Equal(["64513:7", "65535:65281", "large:64513:1:2"], explained.Peers[1].Routes[1].Communities);
        Assert.Equal([null, 150u, null], explained.Peers.Select(static peer => peer.Routes[1].LocalPref));

        // A wrong AS number with one peer, a wrong password with another: NOTIFICATION in words, and the session of the third stays.
        var since = await SinceAsync(bird);
        await ConfigureAsync(lab, Peers.Replace("peer-asn: 64512", "peer-asn: 64599", StringComparison.Ordinal).Replace("secret", "other", StringComparison.Ordinal) + Pools);
        // The first told of the change; FRR names the last one only of sessions that were established.
        await SeenAsync(async () => Received().Match(await frr.ShowAsync("show bgp neighbors 10.20.0.11", Cancelled)).Value.Split(' ')[^1], lab, "2", "3", "4", "5", "6", "7", "8", "9");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "NOTIFICATION sent: OPEN message error: bad peer AS");
        await SeenAsync(async () => await gobgp.ShowAsync("neighbor 10.20.0.11", Cancelled), lab, "BGP state = ACTIVE", "BGP state = IDLE", "BGP state = active", "BGP state = idle");
        // The router refuses the password in silence, and the AS in words.
        await SeenAsync(() => ExplainAsync(lab, "text"), lab, "last error: OPEN message error: bad peer AS");
        await SeenAsync(() => ExplainAsync(lab, "text"), lab, "default/web: announced by BGP from this node, node1, to 1 of 3 peers");
        // BIRD makes it of two clocks, each time anew.
        Assert.InRange((await SinceAsync(bird) - since).Duration(), TimeSpan.Zero, TimeSpan.FromSeconds(0.5));

        await ConfigureAsync(lab, Peers + Pools);
        await SeenAsync(async () => (await lab.MetricAsync("node1", "metallb_bgp_session_up")).ToString(), lab, "3");
        await lab.DeleteServiceAsync("web");
        await GoneAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast", Cancelled), lab, "10.20.0.100/32");
        await GoneAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast", Cancelled), lab, "10.20.0.0/16");
        Assert.Contains("fd00:20::100/128", await frr.ShowAsync("show bgp ipv6 unicast", Cancelled), StringComparison.Ordinal);

        // A speaker that is told to stop withdraws, and says why it leaves.
        lab.Speaker("node1").Signal("TERM");
        await SeenAsync(async () => await frr.ShowAsync("show bgp neighbors 10.20.0.11", Cancelled), lab, "Cease/Administrative Shutdown");
        // It still removes what it was told of.
        await GoneAsync(async () => await frr.ShowAsync("show bgp ipv6 unicast", Cancelled), lab, "fd00:20::100/128");
    }

    [Fact]
    public async Task Unnumbered_session_finds_its_router_and_graceful_restart_keeps_routes_over_a_kill()
    {
        const string Config = """
            peers:
            - {my-asn: 64513, dynamic-asn: external, interface: eth0, enable-graceful-restart: true}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16, "fd00:20::/64"]}
            """;
        await using var lab = await SpeakerLab.StartAsync(1);
        await ConfigureAsync(lab, Config);
        var frr = await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             no bgp ebgp-requires-policy
             neighbor eth0 interface remote-as external
             address-family ipv4 unicast
              neighbor eth0 activate
             address-family ipv6 unicast
              neighbor eth0 activate
            """, Cancelled);
        await lab.AddServiceAsync("web", "10.20.1.100");
        await lab.AddServiceAsync("six", "fd00:20::100");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv6 unicast fd00:20::100/128 json", Cancelled), lab, "\"valid\":true");
        string route = await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32 json", Cancelled), lab, "\"valid\":true");
        Assert.Contains("fe80::", route, StringComparison.Ordinal);
        await SeenAsync(async () => await lab.Network["frr"].Namespace.IpAsync("route show 10.20.1.100", Cancelled), lab, "via inet6 fe80::");

        // What kube-proxy would do with it.
        await lab.Network["node1"].Namespace.IpAsync("address add 10.20.1.100/32 dev lo", Cancelled);
        var pings = await Pings.StartAsync(lab, "10.20.1.100", Cancelled, lab.Network["frr"]);
        var killed = TimeProvider.System.GetUtcNow();
        lab.Speaker("node1").Signal("KILL");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "stale");
        Assert.Contains("10.20.1.100", await lab.Network["frr"].Namespace.IpAsync("route show 10.20.1.100", Cancelled), StringComparison.Ordinal);
        lab.StartSpeaker("node1");
        var watch = System.Diagnostics.Stopwatch.StartNew();
        while ((await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled)).Contains("stale", StringComparison.Ordinal))
        {
            Assert.Contains("10.20.1.100", await lab.Network["frr"].Namespace.IpAsync("route show 10.20.1.100", Cancelled), StringComparison.Ordinal);
            Assert.True(watch.Elapsed < Patience, lab.Logs());
        }
        Assert.Contains("fe80::", await lab.Network["frr"].Namespace.IpAsync("route show 10.20.1.100", Cancelled), StringComparison.Ordinal);
        Assert.Contains("valid", await frr.ShowAsync("show bgp ipv6 unicast fd00:20::100/128", Cancelled), StringComparison.Ordinal);
        // A route that goes away and comes back would take FRR's retries of seconds; a busy machine delays single pings.
        Assert.InRange(pings.LongestGap(killed), TimeSpan.Zero, TimeSpan.FromMilliseconds(500));
    }

    [Fact]
    public async Task Router_behind_another_is_reached_with_multihop_only()
    {
        const string Config = """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 192.0.2.1}
            - {my-asn: 64513, peer-asn: 64512, peer-address: "fd00:99::1", dual-stack-address-family: true}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """;
        await using var lab = await SpeakerLab.StartAsync(1);
        await ConfigureAsync(lab, Config);
        var host = await HostAsync(lab, "frr", 21);
        await host.Namespace.IpAsync("address add 192.0.2.1/32 dev lo", Cancelled);
        await host.Namespace.IpAsync("address add fd00:99::1/128 dev lo", Cancelled);
        var node = lab.Network["node1"].Namespace;
        await V6Async(lab.Network["node1"], 11);
        await node.IpAsync("route add 192.0.2.1 via 10.20.0.21", Cancelled);
        await node.IpAsync("-6 route add fd00:99::1 via fd00:20::21", Cancelled);
        var frr = await FrrRouter.StartAsync(lab.Network, host, """
            router bgp 64512
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64513
             neighbor 10.20.0.11 ebgp-multihop 2
             neighbor 10.20.0.11 update-source 192.0.2.1
             neighbor fd00:20::11 remote-as 64513
             neighbor fd00:20::11 ebgp-multihop 2
             neighbor fd00:20::11 update-source fd00:99::1
             address-family ipv4 unicast
              neighbor fd00:20::11 activate
            """, Cancelled);
        await lab.AddServiceAsync("web", "10.20.1.100");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "(192.0.2.1:179): no session: the router cannot be reached");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "([fd00:99::1]:179): no session: the router cannot be reached");
        Assert.Equal(0, await lab.MetricAsync("node1", "metallb_bgp_session_up"));

        await ConfigureAsync(lab, Config.Replace("192.0.2.1}", "192.0.2.1, ebgp-multihop: true}", StringComparison.Ordinal).Replace("family: true}", "family: true, ebgp-multihop: true}", StringComparison.Ordinal));
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "valid");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "from fd00:20::11");
    }

    [Fact]
    public async Task Sessions_with_one_router_have_an_address_each_and_a_changed_secret_touches_its_own_alone()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        await ConfigureAsync(lab, """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, connect-time: 1s}
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, source-address: 10.20.0.13, connect-time: 1s, password-secret: router}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """);
        await lab.Network["node1"].Namespace.IpAsync("address add 10.20.0.13/24 dev eth0", Cancelled);
        var frr = await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64513
             neighbor 10.20.0.13 remote-as 64513
             neighbor 10.20.0.13 password second
            """, Cancelled);
        await lab.AddServiceAsync("web", "10.20.1.100");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "10.20.0.11 from 10.20.0.11");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "no session without its password");
        Assert.Equal(1, await lab.MetricAsync("node1", "metallb_bgp_session_up"));

        await lab.SetPasswordAsync("router", "first");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "(10.20.0.21:179): no session: ");
        Assert.Equal(1, await lab.MetricAsync("node1", "metallb_bgp_session_up"));
        await lab.SetPasswordAsync("router", "second");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "10.20.0.13 from 10.20.0.13");
        Assert.Equal(1, await lab.MetricAsync("node1", "metallb_bgp_session_up{peer=\"10.20.0.21:179 (peer1)\""));
        Assert.Equal(1, await lab.MetricAsync("node1", "metallb_bgp_session_up{peer=\"10.20.0.21:179 (peer2)\""));
        Assert.Equal(0, (await frr.NeighborAsync("10.20.0.11", Cancelled)).GetProperty("connectionsDropped").GetInt32());
    }

    private static async Task<TimeSpan> SinceAsync(BirdRouter bird) =>
        TimeSpan.Parse(Since().Match(await bird.ShowAsync("show protocols node1", Cancelled)).Value, System.Globalization.CultureInfo.InvariantCulture);

    private static string GoBgp(string password) => $"""
        [global.config]
          as = 4200000001
          router-id = "10.20.0.23"
        [[neighbors]]
          [neighbors.config]
            neighbor-address = "10.20.0.11"
            peer-as = 64513
            auth-password = "{password}"
          [neighbors.transport.config]
            passive-mode = true
        """;

    private static Task<string> ExplainAsync(SpeakerLab lab, string output) =>
        lab.Network["node1"].Namespace.RunAsync("sh", ["-c", $"dotnet {Programs.PathOf("Cli")} explain default/web --output {output} || test $? = 1"], Cancelled);

    [GeneratedRegex("Notifications: +[0-9]+ +[0-9]+")]
    private static partial Regex Received();

    [GeneratedRegex("[0-9]{2}:[0-9]{2}:[0-9.]+")]
    private static partial Regex Since();
}
