using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using Endpoint = DynamicLb.Kubernetes.Resources.Endpoint;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class AnnouncementRulesTests
{
    private static readonly DateTimeOffset Now = new(2026, 5, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Exactly_one_candidate_announces()
    {
        var decisions = new[] { "node-a", "node-b", "node-c" }.Select(me => Decide(Web(), me)).ToArray();

        Assert.Equal([SilenceReason.NotOwner, SilenceReason.None, SilenceReason.NotOwner], decisions.Select(static decision => decision.Reason));
        Assert.All(decisions, static decision => Assert.Equal("node-b", decision.Owner));
        Assert.Equal([IPv4Address.Parse("10.0.0.1")], decisions[1].Addresses);
    }

    [Theory]
    [InlineData(null, "dhcp", null, nameof(SilenceReason.NoIPAllocated))]
    [InlineData("web.example", "dhcp", null, nameof(SilenceReason.InvalidIP))]
    [InlineData("192.168.0.1", "dhcp", null, nameof(SilenceReason.IpNotAllowed))]
    [InlineData("192.168.0.1", null, null, nameof(SilenceReason.IpNotAllowed))]
    [InlineData("10.0.0.1", "gone", null, nameof(SilenceReason.IpNotAllowed))]
    [InlineData("10.9.0.1", "routed", null, nameof(SilenceReason.UnsupportedProtocol))]
    [InlineData("10.9.0.1", null, null, nameof(SilenceReason.UnsupportedProtocol))]
    [InlineData("fd00::1", "six", null, nameof(SilenceReason.None))]
    [InlineData("10.0.0.1", "dhcp", "2026-05-01T12:00:00Z", nameof(SilenceReason.LeaseExpired))]
    [InlineData("10.0.0.1", "dhcp", "2026-05-01T11:59:59Z", nameof(SilenceReason.LeaseExpired))]
    [InlineData("10.0.0.1", "dhcp", "soon", nameof(SilenceReason.LeaseExpired))]
    [InlineData("10.0.0.1", "dhcp", "", nameof(SilenceReason.LeaseExpired))]
    [InlineData("10.0.0.1", "dhcp", "2026-05-01T12:00:01Z", nameof(SilenceReason.None))]
    [InlineData("10.0.0.1", "dhcp", "2026-05-01T14:00:01+02:00", nameof(SilenceReason.None))]
    [InlineData("10.0.0.1", "dhcp", null, nameof(SilenceReason.None))]
    [InlineData("10.8.0.1", null, null, nameof(SilenceReason.None))]
    [InlineData("10.8.0.1", "gone", null, nameof(SilenceReason.None))]
    public void Address_and_its_source_decide(string? ip, string? pool, string? end, string reason)
    {
        var decision = Decide(Web(ip, pool, end), "only", "only");

        Assert.Equal(reason, decision.Reason.ToString());
        Assert.Equal(decision.Reason == SilenceReason.None, decision.Addresses.Count > 0);
    }

    [Theory]
    [InlineData(true, null, true)]
    [InlineData(null, null, true)]
    [InlineData(false, true, true)]
    [InlineData(true, false, true)]
    [InlineData(false, false, false)]
    [InlineData(false, null, false)]
    public void An_endpoint_that_is_ready_or_still_serves_is_needed(bool? ready, bool? serving, bool usable)
    {
        var slice = Slice("elsewhere", ready, serving);
        var decision = AnnouncementRules.Decide(Web(), [slice], Around("only", "only"));

        Assert.Equal(usable ? SilenceReason.None : SilenceReason.NoEndpoints, decision.Reason);
    }

    [Fact]
    public void Without_endpoints_nobody_announces() =>
        Assert.Equal(SilenceReason.NoEndpoints, AnnouncementRules.Decide(Web(), [], Around("only", "only")).Reason);

    [Theory]
    [InlineData("node-c", "node-c")]
    [InlineData("node-a", "node-a")]
    [InlineData("node-x", null)]
    [InlineData(null, null)]
    public void With_local_traffic_policy_only_nodes_with_an_endpoint_are_candidates(string? host, string? owner)
    {
        var service = Web() with { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Local" } };

        Assert.Equal(owner, AnnouncementRules.Decide(service, [Slice(host)], Around("node-b", "node-a", "node-b", "node-c")).Owner);
    }

    [Fact]
    public void Without_candidates_nobody_announces()
    {
        var decision = AnnouncementRules.Decide(Web(), [Slice("node-a")], Around("node-a"));

        Assert.Equal((SilenceReason.NotOwner, null), (decision.Reason, decision.Owner));
    }

    [Fact]
    public void Excluded_nodes_and_those_without_network_are_no_candidates()
    {
        var excluded = new Node
        {
            Metadata = new ObjectMeta { Name = "n", Labels = new Dictionary<string, string> { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" } },
        };
        Assert.False(AnnouncementRules.CanAnnounce(excluded, ignoreExcludeLabel: false));
        Assert.True(AnnouncementRules.CanAnnounce(excluded, ignoreExcludeLabel: true));
        Assert.False(AnnouncementRules.CanAnnounce(WithCondition("NetworkUnavailable", "True"), ignoreExcludeLabel: true));
        Assert.True(AnnouncementRules.CanAnnounce(WithCondition("NetworkUnavailable", "False"), ignoreExcludeLabel: false));
        Assert.True(AnnouncementRules.CanAnnounce(WithCondition("Ready", "False"), ignoreExcludeLabel: false));
        Assert.True(AnnouncementRules.CanAnnounce(null, ignoreExcludeLabel: false));
    }

    [Fact]
    public void Both_families_go_to_the_node_that_the_first_address_elects()
    {
        var service = Web("fd00::1", "dual") with
        {
            Status = new ServiceStatus
            {
                LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.7.0.1" }, new LoadBalancerIngress { Ip = "fd07::1" }] },
            },
        };
        var decision = Decide(service, "only", "only");

        Assert.Equal([HostAddress.Parse("10.7.0.1"), HostAddress.Parse("fd07::1")], decision.Addresses);
    }

    private static Node WithCondition(string type, string status) =>
        new() { Metadata = new ObjectMeta { Name = "n" }, Status = new NodeStatus { Conditions = [new NodeCondition { Type = type, Status = status }] } };

    private static Decision Decide(Service service, string me, params string[] candidates) => AnnouncementRules.Decide(
        service, [Slice("node-a")], Around(me, candidates.Length > 0 ? candidates : ["node-a", "node-b", "node-c"]));

    private static Surroundings Around(string me, params string[] candidates) => new(
        me, candidates,
        new LoadBalancerConfig(
            [
                Pool("routed", AnnouncementProtocol.Bgp, "10.9.0.0/24"), Pool("static", AnnouncementProtocol.Layer2, "10.8.0.0/24"),
                Pool("six", AnnouncementProtocol.Layer2, "fd00::/64"), Pool("dual", AnnouncementProtocol.Layer2, "10.7.0.0/24", "fd07::/64"),
            ],
            [
                new AddressServiceSource(
                    "dhcp", AnnouncementProtocol.Layer2, true, new Uri("http://dhcp"), [Range("10.0.0.0/24")], null, null, TimeSpan.FromSeconds(40)),
            ])
        {
            Layer2Advertisements = [Advertisement("static", "six", "dual", "dhcp")],
        },
        Now);

    private static Layer2Advertisement Advertisement(params string[] sources) => new("ad", sources.ToHashSet(), [], [], [], []);

    private static AddressPool Pool(string name, AnnouncementProtocol protocol, params string[] ranges) => new(name, protocol, true, [.. ranges.Select(Range)], false);

    private static AddressRange Range(string text) => AddressRange.TryParse(text, out var range) is { } fault ? throw new FormatException(fault) : range;

    private static Service Web(string? ip = "10.0.0.1", string? pool = "dhcp", string? end = null)
    {
        var annotations = new Dictionary<string, string>();
        if (pool is not null)
            annotations[Annotations.AllocatedFromPool] = pool;
        if (end is not null)
            annotations[Annotations.ValidUntil] = end;
        return new Service
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer" },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = ip is null ? [] : [new LoadBalancerIngress { Ip = ip }] } },
        };
    }

    private static EndpointSlice Slice(string? node, bool? ready = true, bool? serving = null) => new()
    {
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = node, Conditions = new EndpointConditions { Ready = ready, Serving = serving } }],
    };
}
