using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Tests.Unit.Speaker;

public class SpeakerRulesTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly MacAddress Own = MacAddress.Parse("02:00:00:00:00:01");
    private static readonly MacAddress Other = MacAddress.Parse("02:00:00:00:00:02");

    private static readonly LoadBalancerConfig Config = ConfigFileReader.Read("""
        address-pools:
        - {name: main, protocol: layer2, addresses: [10.0.0.0/24]}
        - {name: routed, protocol: bgp, addresses: [10.9.0.0/24]}
        address-services:
        - {name: dhcp, protocol: layer2, url: "http://dhcp"}
        - {name: guarded, protocol: layer2, url: "http://dhcp", cidrs: [10.20.0.0/24]}
        """).Config!;

    [Theory]
    [InlineData("10.0.0.1", "node-a,node-b,node-c", "node-b,node-a,node-c")]
    [InlineData("10.0.0.2", "node-a,node-b,node-c", "node-b,node-c,node-a")]
    [InlineData("10.20.30.1", "iris1,iris2", "iris2,iris1")]
    [InlineData("10.20.30.2", "iris1,iris2", "iris1,iris2")]
    [InlineData("fc00:f853:ccd:e799::", "iris1,iris2", "iris2,iris1")]
    [InlineData("10.20.30.1", "edge-a,edge-b,worker-a,worker-b", "edge-b,worker-a,edge-a,worker-b")]
    public void Nodes_are_ordered_as_MetalLB_orders_them(string address, string nodes, string expected) =>
        Assert.Equal(expected.Split(','), Election.Order(nodes.Split(','), IPAddress.Parse(address)));

    [Theory]
    [InlineData(null, "main", null, "NoIPAllocated")]
    [InlineData("nonsense", "main", null, "InvalidIP")]
    [InlineData("10.0.0.1", "main", null, "None")]
    [InlineData("10.0.0.1", null, null, "None")]
    [InlineData("10.0.0.1", "gone", null, "None")]
    [InlineData("10.1.0.1", "main", null, "IpNotAllowed")]
    [InlineData("10.1.0.1", null, null, "IpNotAllowed")]
    [InlineData("10.9.0.1", "routed", null, "UnsupportedProtocol")]
    [InlineData("10.77.0.1", "dhcp", "2026-01-01T12:00:01Z", "None")]
    [InlineData("10.77.0.1", "dhcp", "2026-01-01T12:00:00Z", "LeaseExpired")]
    [InlineData("10.77.0.1", "dhcp", "soon", "LeaseExpired")]
    [InlineData("10.77.0.1", "guarded", null, "IpNotAllowed")]
    [InlineData("10.20.0.1", "guarded", null, "None")]
    public void A_Service_is_announced_only_when_its_address_may_be(string? address, string? pool, string? validUntil, string expected) =>
        Assert.Equal(expected, Decide(NewService(address, pool, validUntil), [Slice("node-b")], ["node-b"], me: "node-b").Reason.ToString());

    [Theory]
    [InlineData(true, null, "None")]
    [InlineData(null, null, "None")]
    [InlineData(false, true, "None")]
    [InlineData(false, false, "NoEndpoints")]
    [InlineData(false, null, "NoEndpoints")]
    public void At_least_one_endpoint_must_serve(bool? ready, bool? serving, string expected) =>
        Assert.Equal(expected, Decide(NewService("10.0.0.1"), [Slice("node-b", ready, serving)], ["node-b"], me: "node-b").Reason.ToString());

    [Fact]
    public void Without_endpoints_nobody_announces() =>
        Assert.Equal(SilenceReason.NoEndpoints, Decide(NewService("10.0.0.1"), [], ["node-b"], me: "node-b").Reason);

    [Fact]
    public void One_node_announces_and_the_others_name_it()
    {
        string[] nodes = ["node-a", "node-b", "node-c"];
        var decisions = nodes.ToDictionary(static node => node, node => Decide(NewService("10.0.0.1"), [Slice("node-a")], nodes, me: node));

        Assert.Equal(SilenceReason.None, decisions["node-b"].Reason);
        Assert.All(nodes.Except(["node-b"]), node => Assert.Equal((SilenceReason.NotOwner, "node-b"), (decisions[node].Reason, decisions[node].Owner)));
    }

    [Fact]
    public void With_traffic_policy_Local_only_a_node_with_an_endpoint_announces()
    {
        var service = NewService("10.0.0.1");
        service = service with { Spec = service.Spec with { ExternalTrafficPolicy = "Local" } };

        Assert.Equal("node-c", Decide(service, [Slice("node-c")], ["node-a", "node-b", "node-c"], me: "node-a").Owner);
        Assert.Null(Decide(service, [Slice("node-x")], ["node-a"], me: "node-a").Owner);
    }

    [Fact]
    public void Excluded_and_unreachable_nodes_do_not_announce()
    {
        var excluded = new Node { Metadata = new ObjectMeta { Name = "node-b", Labels = new Dictionary<string, string> { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" } } };
        var cut = new Node { Status = new NodeStatus { Conditions = [new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] } };

        Assert.False(AnnouncementRules.CanAnnounce(excluded, false));
        Assert.True(AnnouncementRules.CanAnnounce(excluded, true));
        Assert.False(AnnouncementRules.CanAnnounce(cut, true));
        Assert.True(AnnouncementRules.CanAnnounce(null, false));
    }

    [Theory]
    [InlineData("request broadcast 10.0.0.1", "Answer")]
    [InlineData("request own 10.0.0.1", "Answer")]
    [InlineData("request other 10.0.0.1", "ForAnotherStation")]
    [InlineData("reply broadcast 10.0.0.1", "NotARequest")]
    [InlineData("request broadcast 10.0.0.2", "NotAnnounced")]
    [InlineData("request broadcast 10.0.0.3", "Expired")]
    public void ARP_is_answered_by_the_rules(string frame, string expected)
    {
        var parts = frame.Split(' ');
        var bytes = new byte[ArpPacket.FrameLength];
        new ArpPacket(parts[0] == "request" ? ArpOperation.Request : ArpOperation.Reply, Other, IPv4Address.Any, default, IPv4Address.Parse(parts[2]))
            .Write(bytes, Other, parts[1] switch { "own" => Own, "other" => Other, _ => MacAddress.Broadcast });
        var table = new AnnouncementTable();
        table.Set(new NamespacedName("ns", "a"), [IPAddress.Parse("10.0.0.1")], Now + TimeSpan.FromTicks(1));
        table.Set(new NamespacedName("ns", "b"), [IPAddress.Parse("10.0.0.3")], Now);

        Assert.Equal(expected, ArpResponder.Judge(bytes, Own, table, Now, out _, out _).ToString());
        for (int length = 0; length < bytes.Length; length++)
            Assert.Equal(ArpVerdict.Malformed, ArpResponder.Judge(bytes.AsSpan(0, length), Own, table, Now, out _, out _));
    }

    [Fact]
    public void A_shared_address_is_announced_as_long_as_the_longest_of_its_Services_may()
    {
        var table = new AnnouncementTable();
        IPAddress[] shared = [IPAddress.Parse("10.0.0.1")];

        Assert.Single(table.Set(new NamespacedName("ns", "a"), shared, Now));
        Assert.Empty(table.Set(new NamespacedName("ns", "b"), shared, Now.AddHours(1)));
        Assert.Equal(Now.AddHours(1), table.Snapshot[IPv4Address.Parse("10.0.0.1")].ValidUntil);
        table.Set(new NamespacedName("ns", "b"), [], null);
        Assert.Equal(Now, table.Snapshot[IPv4Address.Parse("10.0.0.1")].ValidUntil);
        table.Set(new NamespacedName("ns", "a"), [], null);
        Assert.Empty(table.Snapshot);
    }

    [Fact]
    public void A_silent_node_is_no_member_after_its_time_whatever_its_clock_says()
    {
        var members = new MemberTable("me", TimeSpan.FromSeconds(3));
        members.Renewed(TimeSpan.Zero);
        members.Observe("other", LeaseOf("other", "1999-01-01T00:00:00.000000Z"), TimeSpan.Zero);
        Assert.True(members.Evaluate(TimeSpan.FromSeconds(1)));
        Assert.Equal(["me", "other"], members.Members.Order());

        members.Observe("other", LeaseOf("other", "1999-01-01T00:00:00.000000Z"), TimeSpan.FromSeconds(2));
        members.Renewed(TimeSpan.FromSeconds(2.9));
        Assert.True(members.Evaluate(TimeSpan.FromSeconds(3)));
        Assert.Equal(["me"], members.Members);
    }

    [Fact]
    public void A_Lease_that_is_given_up_ends_membership_at_once()
    {
        var members = new MemberTable("me", TimeSpan.FromSeconds(3));
        members.Renewed(TimeSpan.Zero);
        members.Observe("other", LeaseOf("other", "1"), TimeSpan.Zero);
        members.Evaluate(TimeSpan.Zero);

        members.Observe("other", LeaseOf("", "2"), TimeSpan.FromSeconds(1));

        Assert.True(members.Evaluate(TimeSpan.FromSeconds(1)));
        Assert.Equal(["me"], members.Members);
    }

    [Fact]
    public void A_node_that_is_cut_off_concludes_nothing_and_then_gives_everybody_a_full_term()
    {
        var members = new MemberTable("me", TimeSpan.FromSeconds(3));
        members.Renewed(TimeSpan.Zero);
        members.Observe("other", LeaseOf("other", "1"), TimeSpan.Zero);
        members.Evaluate(TimeSpan.Zero);

        Assert.False(members.Evaluate(TimeSpan.FromSeconds(60)));
        Assert.False(members.IsConnected);
        Assert.Contains("other", members.Members);

        members.Renewed(TimeSpan.FromSeconds(60));
        Assert.False(members.Evaluate(TimeSpan.FromSeconds(62.9)));
        members.Renewed(TimeSpan.FromSeconds(62.9));
        Assert.True(members.Evaluate(TimeSpan.FromSeconds(63)));
        Assert.DoesNotContain("other", members.Members);
    }

    private static Decision Decide(Service service, EndpointSlice[] slices, string[] members, string me) =>
        AnnouncementRules.Decide(service, slices, Config, new Surroundings(me, members, static _ => null, false), Now);

    private static Service NewService(string? address, string? pool = "main", string? validUntil = null)
    {
        var annotations = new Dictionary<string, string>();
        if (pool is not null)
            annotations[Annotations.AllocatedFromPool] = pool;
        if (validUntil is not null)
            annotations[Annotations.ValidUntil] = validUntil;
        return new Service
        {
            Metadata = new ObjectMeta { Name = "web", Namespace = "demo", Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer" },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = address is null ? null : [new LoadBalancerIngress { Ip = address }] } },
        };
    }

    private static EndpointSlice Slice(string node, bool? ready = true, bool? serving = null) => new()
    {
        Endpoints = [new Endpoint { Addresses = ["10.1.0.1"], NodeName = node, Conditions = new EndpointConditions { Ready = ready, Serving = serving } }],
    };

    private static Lease LeaseOf(string holder, string renewed) => new() { Spec = new LeaseSpec { HolderIdentity = holder, RenewTime = renewed } };
}
