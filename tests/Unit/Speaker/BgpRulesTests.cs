using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Bgp;
using Microsoft.Extensions.Logging.Abstractions;
using Endpoint = DynamicLb.Kubernetes.Resources.Endpoint;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class BgpRulesTests
{
    private const string Peers = """
        peers:
        - {peer-address: 127.0.0.11, peer-asn: 64512, my-asn: 64513}
        - {peer-address: 127.0.0.12, peer-asn: 64513, my-asn: 64513}
        """;

    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly LoadBalancerConfig Plain = Read(Peers + """

        address-pools:
        - {name: routed, protocol: bgp, addresses: [203.0.113.0/24, 2001:db8::/64]}
        - {name: lan, protocol: layer2, addresses: [10.9.0.0/24]}
        """);

    [Theory]
    [InlineData("203.0.113.5", null, nameof(BgpSilence.None))]
    [InlineData("2001:db8::5", null, nameof(BgpSilence.None))]
    [InlineData("10.9.0.1", null, nameof(BgpSilence.NotByBgp))]
    [InlineData("10.8.0.1", null, nameof(BgpSilence.IpNotAllowed))]
    [InlineData("x", null, nameof(BgpSilence.InvalidIP))]
    [InlineData(null, null, nameof(BgpSilence.NoIPAllocated))]
    [InlineData("203.0.113.5", "2026-05-01T12:00:00Z", nameof(BgpSilence.LeaseExpired))]
    [InlineData("203.0.113.5", "2026-05-01T12:00:01Z", nameof(BgpSilence.None))]
    public void Address_and_lease_decide(string? ip, string? end, string reason) => Assert.Equal(reason, Decide(Plain, Web(ip, end)).Reason.ToString());

    [Fact]
    public void Entry_without_an_address_beside_one_silences_the_service_as_with_layer_2()
    {
        var mixed = Web() with { Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.5" }, new LoadBalancerIngress { Hostname = "web.example" }] } } };
        Assert.Equal(BgpSilence.InvalidIP, Decide(Plain, mixed).Reason);
    }

    [Fact]
    public void Node_decides()
    {
        var unavailable = new Node { Status = new NodeStatus { Conditions = [new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] } };
        var excluded = new Node { Metadata = new ObjectMeta { Labels = new Dictionary<string, string> { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" } } };
        Assert.Equal(BgpSilence.NodeNetworkUnavailable, Decide(Plain, Web(), unavailable).Reason);
        Assert.Equal(BgpSilence.NodeLabeledExcludeBalancers, Decide(Plain, Web(), excluded).Reason);
        Assert.Equal(BgpSilence.None, BgpAnnouncementRules.Decide(Web(), [Slice("other")], new BgpSurroundings("me", excluded, Plain, true, Now)).Reason);
    }

    [Fact]
    public void Endpoints_decide_and_with_local_policy_those_of_the_node()
    {
        var local = Web() with { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Local" } };
        Assert.Equal(BgpSilence.NoEndpoints, BgpAnnouncementRules.Decide(Web(), [], Around(Plain)).Reason);
        Assert.Equal(BgpSilence.NoLocalEndpoints, BgpAnnouncementRules.Decide(local, [Slice("other")], Around(Plain)).Reason);
        Assert.Equal(BgpSilence.None, BgpAnnouncementRules.Decide(local, [Slice("me")], Around(Plain)).Reason);
    }

    [Fact]
    public void Advertisement_gives_length_preference_communities_and_peers()
    {
        var config = Read(Peers + """

            address-pools:
            - name: routed
              protocol: bgp
              addresses: [203.0.113.0/24]
              bgp-advertisements:
              - {aggregation-length: 24, localpref: 7, communities: [no-export, 65000:1, large:1:2:3]}
              - {}
            """);
        var tables = BgpRoutes.Of([Decide(config, Web("203.0.113.5")), Decide(config, Web("203.0.113.6"))], ["peer1", "peer2"]);

        Assert.Same(tables["peer1"], tables["peer2"]);
        var table = tables["peer1"];
        Assert.Equal(["203.0.113.0/24", "203.0.113.5/32", "203.0.113.6/32"], table.Keys.Order().Select(static prefix => prefix.ToString()));
        Assert.Equal(new BgpRouteAttributes(7, [(65000u << 16) | 1, 0xffffff01], [new(1, 2, 3)]), table[BgpPrefix.Parse("203.0.113.0/24")]);
        Assert.Equal(new BgpRouteAttributes(100, [], []), table[BgpPrefix.Parse("203.0.113.5/32")]);
    }

    [Fact]
    public void Routes_that_services_share_have_all_communities_whatever_the_order()
    {
        var one = new BgpAdvertisement("a", new HashSet<string>(), [], [], 24, 128, 5, [new BgpCommunity(false, 1, 0, 0)], ["peer1"]);
        var two = one with { Name = "b", LocalPref = 9, Communities = [new BgpCommunity(false, 2, 0, 0)], Peers = [] };
        BgpDecision[] decisions = [new(BgpSilence.None, [IPAddress.Parse("10.1.1.1")], [one], null), new(BgpSilence.None, [IPAddress.Parse("10.1.1.2")], [two], null)];

        var tables = BgpRoutes.Of(decisions, ["peer1", "peer2"]);
        Assert.Equal(new BgpRouteAttributes(9, [1, 2], []), Assert.Single(tables["peer1"]).Value);
        Assert.Equal(new BgpRouteAttributes(9, [2], []), Assert.Single(tables["peer2"]).Value);
        Assert.Equal(tables["peer1"], BgpRoutes.Of([.. decisions.Reverse()], ["peer1"])["peer1"]);
    }

    [Fact]
    public void Different_preferences_for_one_route_to_one_peer_are_a_conflict()
    {
        var one = new BgpAdvertisement("a", new HashSet<string> { "routed" }, [], [new LabelSelector()], 32, 128, 5, [], ["peer1"]);
        Assert.Equal(BgpSilence.ConflictingAdvertisements, With(one, one with { Name = "b", LocalPref = 6 }).Reason);
        Assert.Equal(BgpSilence.ConflictingAdvertisements, With(one, one with { Name = "b", LocalPref = 6, Peers = [] }).Reason);
        Assert.Equal(BgpSilence.None, With(one, one with { Name = "b", LocalPref = 6, Peers = ["peer2"] }).Reason);
        Assert.Equal(BgpSilence.None, With(one, one with { Name = "b", LocalPref = 6, AggregationLength = 24 }).Reason);
        Assert.Equal(BgpSilence.None, With(one, one with { Name = "b" }).Reason);
        Assert.Equal(BgpSilence.NoMatchingAdvertisement, With(one with { NodeSelectors = [new LabelSelector { MatchLabels = new Dictionary<string, string> { ["rack"] = "1" } }] }).Reason);

        static BgpDecision With(params BgpAdvertisement[] ads) =>
            Decide(new LoadBalancerConfig(Plain.AddressPools, []) { BgpAdvertisements = ads }, Web());
    }

    [Fact]
    public void Plan_follows_the_peers_fields()
    {
        var config = Read("""
            peers:
            - {peer-address: 10.0.0.1, peer-asn: 64512, my-asn: 64513, hold-time: 9s, keepalive-time: 2s, router-id: 1.2.3.4, source-address: 10.0.0.9, password: x}
            - {peer-address: "2001:db8::1", peer-asn: 64513, my-asn: 64513, dual-stack-address-family: true, enable-graceful-restart: true}
            - {interface: eth0, dynamic-asn: external, my-asn: 64513, local-asn: 64999}
            - {peer-address: 10.0.0.2, peer-asn: 64512, my-asn: 64513, disable-mp: true, dual-stack-address-family: true, ebgp-multihop: true, vrf: red, peer-port: 1179}
            address-pools: []
            """);
        var plans = config.BgpPeers.ToDictionary(
            static peer => peer.Name,
            static peer => BgpPeerPlan.Of(peer, peer.Spec.Password is { } key ? new BgpPassword(BgpAuthentication.Md5, key) : BgpPassword.None, [], new BgpOptions()));
        Assert.Equal(9, plans["peer1"].Settings.HoldSeconds);
        Assert.Equal(TimeSpan.FromSeconds(2), plans["peer1"].Settings.Keepalive);
        Assert.Equal(0x01020304u, plans["peer1"].RouterId);
        Assert.Equal([BgpFamily.IPv4], plans["peer1"].Settings.Families);
        var transport = plans["peer1"].Transport(plans["peer1"].Address!);
        Assert.Equal((BgpAuthentication.Md5, true, IPAddress.Parse("10.0.0.9")), (transport.Authentication, transport.MustBeConnected, transport.Source));
        Assert.Equal([BgpFamily.IPv4, BgpFamily.IPv6], plans["peer2"].Settings.Families);
        Assert.Equal((true, 120, false), (plans["peer2"].Settings.ExtendedNextHop, plans["peer2"].Settings.RestartSeconds, plans["peer2"].Transport(plans["peer2"].Address!).MustBeConnected));
        Assert.Equal((64999u, BgpPeerAs.External, "eth0:179"), (plans["peer3"].LocalAsn, plans["peer3"].PeerAs, plans["peer3"].Label));
        Assert.Equal([BgpFamily.IPv4, BgpFamily.IPv6], plans["peer3"].Settings.Families);
        Assert.Equal([BgpFamily.IPv4], plans["peer4"].Settings.Families);
        Assert.Equal((false, "red", 1179, false), (plans["peer4"].Settings.MultiProtocol, plans["peer4"].Transport(plans["peer4"].Address!).Device, plans["peer4"].Port, plans["peer4"].Transport(plans["peer4"].Address!).MustBeConnected));
        Assert.DoesNotContain("x", plans["peer1"].Password.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unchanged_peer_keeps_its_session_through_every_change_and_a_changed_one_does_not()
    {
        var parts = new SpeakerParts();
        var peers = new BgpPeers(parts.Options, [], parts.Time, Random.Shared, NullLogger<BgpPeers>.Instance);
        var counters = Configure(Plain);
        Assert.Equal(["peer1", "peer2"], counters.Keys.Order());
        var same = Configure(Read(Peers + """

            address-pools:
            - {name: other, protocol: bgp, addresses: [198.51.100.0/24]}
            """));
        Assert.Same(counters["peer1"], same["peer1"]);

        var changed = Configure(Read(Peers.Replace("64512", "64514", StringComparison.Ordinal) + "\naddress-pools: []"));
        Assert.NotSame(counters["peer1"], changed["peer1"]);
        Assert.Same(counters["peer2"], changed["peer2"]);
        await peers.StopAsync();
        Assert.Empty(peers.Views);

        Dictionary<string, BgpCounters?> Configure(LoadBalancerConfig config)
        {
            peers.Configure(
                config, null, static _ => (BgpPassword.None, null),
                static names => names.ToDictionary(static name => name, static _ => (IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>)new Dictionary<BgpPrefix, BgpRouteAttributes>()));
            return peers.Views.ToDictionary(static view => view.Name, static view => view.Counters);
        }
    }

    [Fact]
    public void Secret_gives_the_password_or_says_what_is_wrong()
    {
        Assert.Null(TryRead("kubernetes.io/basic-auth", new() { ["password"] = "x" }, out var password));
        Assert.Equal(new BgpPassword(BgpAuthentication.Md5, "x"), password);
        Assert.Null(TryRead(
            "kubernetes.io/basic-auth", new() { ["password"] = "x", ["tcp-ao-algorithm"] = "hmac-sha-1-96", ["tcp-ao-send-id"] = "1", ["tcp-ao-receive-id"] = "2" }, out password));
        Assert.Equal(new BgpPassword(BgpAuthentication.AoHmacSha1, "x", 1, 2), password);
        Assert.Contains("secret type mismatch", TryRead("Opaque", new() { ["password"] = "x" }, out _), StringComparison.Ordinal);
        Assert.Contains("has no key", TryRead("kubernetes.io/basic-auth", [], out _), StringComparison.Ordinal);
        Assert.Contains("tcp-ao-algorithm", TryRead("kubernetes.io/basic-auth", new() { ["password"] = "x", ["tcp-ao-algorithm"] = "md5" }, out _), StringComparison.Ordinal);

        static string? TryRead(string type, Dictionary<string, string> values, out BgpPassword password) =>
            BgpPassword.TryRead("s", type, values.GetValueOrDefault, out password);
    }

    private static LoadBalancerConfig Read(string yaml)
    {
        var result = ConfigFileReader.Read(yaml);
        Assert.Empty(result.Faults);
        return result.Config!;
    }

    private static BgpSurroundings Around(LoadBalancerConfig config, Node? node = null) => new("me", node, config, false, Now);

    private static BgpDecision Decide(LoadBalancerConfig config, Service service, Node? node = null) => BgpAnnouncementRules.Decide(service, [Slice("other")], Around(config, node));

    private static Service Web(string? ip = "203.0.113.5", string? end = null) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = end is null ? null : new Dictionary<string, string> { [Annotations.ValidUntil] = end } },
        Spec = new ServiceSpec { Type = "LoadBalancer" },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = ip is null ? [] : [new LoadBalancerIngress { Ip = ip }] } },
    };

    private static EndpointSlice Slice(string node) => new() { Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = node }] };
}
