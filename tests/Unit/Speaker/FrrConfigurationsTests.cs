using System.Net;
using System.Text.Json;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Speaker.FrrK8s;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class FrrConfigurationsTests
{
    private static readonly FrrRoute Plain = new("10.1.0.1/32", null, []);

    [Fact]
    public void A_whole_configuration_is_written_as_FRR_K8s_reads_it()
    {
        var spec = FrrConfigurations.Of(
            "host1",
            [
                new FrrPeer(
                    Peer("b", "10.0.0.2", new BGPPeerSpec { MyASN = 64500, PeerASN = 64501, PeerPort = 1179, EbgpMultiHop = true, BfdProfile = "fast", EnableGracefulRestart = true }) with
                    {
                        HoldTime = TimeSpan.FromSeconds(90),
                        KeepaliveTime = TimeSpan.FromSeconds(30),
                        ConnectTime = TimeSpan.FromSeconds(5),
                    },
                    "hidden", null,
                    [
                        new FrrRoute("10.1.0.2/32", 200, ["large:1:2:3", "64500:1"]),
                        new FrrRoute("10.1.0.1/32", 200, ["64500:1"]),
                        new FrrRoute("fd00::1/128", 300, []),
                        Plain with { Prefix = "10.1.0.0/24" },
                    ]),
                new FrrPeer(Peer("a", "10.0.0.1", new BGPPeerSpec { MyASN = 64500, PeerASN = 64501 }), null, new FrrSecret("router", "frr"), [Plain]),
            ],
            [new BfdProfile("slow", new BFDProfileSpec()), new BfdProfile("fast", new BFDProfileSpec { ReceiveInterval = 50, DetectMultiplier = 5, EchoMode = true, MinimumTtl = 250 })]);

        Assert.Equal(
            """
            {"bgp":{"routers":[{"asn":64500,"neighbors":[
            {"asn":64501,"address":"10.0.0.1","port":179,"passwordSecret":{"name":"router","namespace":"frr"},
            "toAdvertise":{"allowed":{"prefixes":["10.1.0.1/32"],"mode":"filtered"},"withLocalPref":[],"withCommunity":[]}},
            {"asn":64501,"address":"10.0.0.2","port":1179,"password":"hidden","holdTime":"90s","keepaliveTime":"30s","connectTime":"5s","ebgpMultiHop":true,"bfdProfile":"fast",
            "enableGracefulRestart":true,"toAdvertise":{"allowed":{"prefixes":["10.1.0.0/24","10.1.0.1/32","10.1.0.2/32","fd00::1/128"],"mode":"filtered"},
            "withLocalPref":[{"prefixes":["10.1.0.1/32","10.1.0.2/32"],"localPref":200},{"prefixes":["fd00::1/128"],"localPref":300}],
            "withCommunity":[{"prefixes":["10.1.0.1/32","10.1.0.2/32"],"community":"64500:1"},{"prefixes":["10.1.0.2/32"],"community":"large:1:2:3"}]}}],
            "prefixes":["10.1.0.0/24","10.1.0.1/32","10.1.0.2/32","fd00::1/128"]}],
            "bfdProfiles":[{"name":"fast","receiveInterval":50,"detectMultiplier":5,"echoMode":true,"passiveMode":false,"minimumTtl":250},
            {"name":"slow","echoMode":false,"passiveMode":false}]},
            "nodeSelector":{"matchLabels":{"kubernetes.io/hostname":"host1"}}}
            """.ReplaceLineEndings(""),
            Text(spec));
    }

    [Fact]
    public void Each_VRF_has_a_router_of_its_own_in_a_fixed_order()
    {
        FrrPeer[] peers =
        [
            new(Peer("1", "10.0.0.1", new BGPPeerSpec { MyASN = 2, PeerASN = 3, Vrf = "red", RouterID = "10.0.0.9" }), null, null, [Plain]),
            new(Peer("2", "10.0.0.2", new BGPPeerSpec { MyASN = 2, PeerASN = 3, RouterID = "10.0.0.9" }), null, null, [Plain with { Prefix = "10.2.0.0/24" }]),
            new(Peer("3", "10.0.0.3", new BGPPeerSpec { MyASN = 2, PeerASN = 3, Vrf = "blue", RouterID = "10.0.0.9" }), null, null, []),
            new(Peer("4", "10.0.0.4", new BGPPeerSpec { MyASN = 2, PeerASN = 3, RouterID = "10.0.0.9" }), null, null, [Plain]),
        ];
        var spec = FrrConfigurations.Of("n", peers, []);

        Assert.Equal([null, "blue", "red"], spec.Bgp.Routers.Select(static router => router.Vrf));
        Assert.All(spec.Bgp.Routers, static router => Assert.Equal("10.0.0.9", router.Id));
        Assert.Equal(["10.1.0.1/32", "10.2.0.0/24"], spec.Bgp.Routers[0].Prefixes);
        Assert.Empty(spec.Bgp.Routers[1].Prefixes);
        Assert.Equal(["10.0.0.2", "10.0.0.4"], spec.Bgp.Routers[0].Neighbors.Select(static neighbor => neighbor.Address));
        Assert.Equal(Text(spec), Text(FrrConfigurations.Of("n", peers.Reverse(), [])));
    }

    [Fact]
    public void Unnumbered_dynamic_and_local_AS_numbers_are_passed_on()
    {
        var spec = FrrConfigurations.Of(
            "n",
            [
                new FrrPeer(
                    Peer("a", null, new BGPPeerSpec { MyASN = 2, PeerASN = 0, DynamicASN = "external", Interface = "eth1", LocalASN = 7, DualStackAddressFamily = true, DisableMP = true }), null,
                    null, []),
            ],
            []);
        var neighbor = Assert.Single(Assert.Single(spec.Bgp.Routers).Neighbors);

        Assert.Equal((null, "external", 7, "eth1", null), (neighbor.Asn, neighbor.DynamicAsn, neighbor.LocalAsn, neighbor.Interface, neighbor.Address));
        Assert.True(neighbor.DualStackAddressFamily);
        Assert.True(neighbor.DisableMp);
    }

    [Fact]
    public void A_node_without_peers_has_an_empty_configuration_and_a_peer_shows_no_password()
    {
        Assert.Equal("""{"bgp":{"routers":[],"bfdProfiles":[]},"nodeSelector":{"matchLabels":{"kubernetes.io/hostname":"n"}}}""", Text(FrrConfigurations.Of("n", [], [])));
        Assert.DoesNotContain("hidden", new FrrPeer(Peer("a", "10.0.0.1", new BGPPeerSpec()), "hidden", null, []).ToString(), StringComparison.Ordinal);
        Assert.Equal("metallb-node1", FrrConfigurations.NameOf("node1"));
    }

    private static BgpPeer Peer(string name, string? address, BGPPeerSpec spec) => new(name, spec, address is null ? null : IPAddress.Parse(address), null, null, null);

    private static string Text(FrrConfigurationSpec spec) => JsonSerializer.Serialize(spec, FrrJsonContext.Default.FrrConfigurationSpec);
}
