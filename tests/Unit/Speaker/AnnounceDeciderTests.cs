using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Announcing;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class AnnounceDeciderTests
{
    private static readonly DateTimeOffset s_now = new(2024, 5, 1, 12, 0, 0, TimeSpan.Zero);

    [Theory]
    [InlineData("10.0.0.1", "node-b", "node-a", "node-b", "node-c")]
    [InlineData("10.0.0.2", "node-b", "node-a", "node-b", "node-c")]
    [InlineData("10.0.0.1", "node-a", "node-a", "node-c")]
    [InlineData("10.20.30.1", "iris2", "iris1", "iris2")]
    [InlineData("10.20.30.2", "iris1", "iris1", "iris2")]
    [InlineData("10.20.30.1", "edge-b", "edge-a", "edge-b", "worker-a", "worker-b")]
    public void Election_gives_the_same_winner_as_metallb_whatever_the_order(string address, string winner, params string[] nodes)
    {
        Assert.Equal(winner, Election.Winner(nodes, IPv4Address.Parse(address)));
        Assert.Equal(winner, Election.Winner(nodes.Reverse(), IPv4Address.Parse(address)));
    }

    [Fact]
    public void Election_without_nodes_has_no_winner() => Assert.Null(Election.Winner([], IPv4Address.Parse("10.0.0.1")));

    [Fact]
    public void Exactly_one_of_the_living_nodes_announces()
    {
        var owners = new[] { "node-a", "node-b", "node-c" }
            .Select(self => AnnounceDecider.Decide(Web(), [Slice()], Situation(self)))
            .ToArray();

        Assert.Single(owners, decision => decision.Outcome == AnnounceOutcome.Announce);
        Assert.All(owners, decision => Assert.Equal("node-b", decision.Owner));
        Assert.Equal(IPv4Address.Parse("10.0.0.1"), owners[1].Addresses.Single());
    }

    [Fact]
    public void Another_node_takes_over_when_the_owner_dies()
    {
        var decision = AnnounceDecider.Decide(Web(), [Slice()], Situation("node-a", living: ["node-a", "node-c"]));

        Assert.Equal(AnnounceOutcome.Announce, decision.Outcome);
    }

    [Fact]
    public void A_leased_address_is_announced_until_its_lease_ends_and_not_after()
    {
        var before = AnnounceDecider.Decide(Web(validUntil: "2024-05-01T12:00:01Z"), [Slice()], Situation("node-b"));
        Assert.Equal(AnnounceOutcome.Announce, before.Outcome);
        Assert.Equal(s_now.AddSeconds(1), before.Until);

        Assert.Equal(AnnounceOutcome.LeaseEnded, Outcome(Web(validUntil: "2024-05-01T12:00:00Z")));
        Assert.Equal(AnnounceOutcome.LeaseEnded, Outcome(Web(validUntil: "soon")));
    }

    [Fact]
    public void An_address_must_belong_to_the_pool_it_is_said_to_come_from()
    {
        Assert.Equal(AnnounceOutcome.Announce, Outcome(Web(pool: "dhcp", address: "10.0.0.1")));
        Assert.Equal(AnnounceOutcome.AddressNotAllowed, Outcome(Web(pool: "dhcp", address: "192.168.0.1")));
        Assert.Equal(AnnounceOutcome.AddressNotAllowed, Outcome(Web(pool: "gone")));
        Assert.Equal(AnnounceOutcome.AddressNotAllowed, Outcome(Web(pool: null, address: "192.168.0.1")));
        Assert.Equal(AnnounceOutcome.OtherProtocol, Outcome(Web(pool: "routed", address: "10.9.0.1")));
    }

    [Fact]
    public void Services_without_address_of_another_type_or_class_are_not_ours()
    {
        Assert.Equal(AnnounceOutcome.NoAddress, Outcome(Web(address: null)));
        Assert.Equal(AnnounceOutcome.NoAddress, Outcome(Web() with { Spec = new ServiceSpec { Type = "ClusterIP" } }));
        Assert.Equal(AnnounceOutcome.NoAddress, Outcome(Web() with { Spec = new ServiceSpec { Type = "LoadBalancer", LoadBalancerClass = "other" } }));
    }

    [Fact]
    public void Without_an_endpoint_that_could_serve_nobody_announces()
    {
        Assert.Equal(AnnounceOutcome.NoEndpoint, AnnounceDecider.Decide(Web(), [], Situation("node-b")).Outcome);
        Assert.Equal(AnnounceOutcome.NoEndpoint, AnnounceDecider.Decide(Web(), [Slice(ready: false)], Situation("node-b")).Outcome);
        Assert.Equal(AnnounceOutcome.Announce, AnnounceDecider.Decide(Web(), [Slice(ready: false, serving: true)], Situation("node-b")).Outcome);
        Assert.Equal(AnnounceOutcome.Announce, AnnounceDecider.Decide(Web(), [Slice(ready: null)], Situation("node-b")).Outcome);
    }

    [Fact]
    public void With_local_traffic_policy_only_nodes_with_an_endpoint_announce()
    {
        var service = Web() with { Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = "Local" } };

        Assert.Equal("node-c", AnnounceDecider.Decide(service, [Slice(node: "node-c")], Situation("node-b")).Owner);
        Assert.Equal(AnnounceOutcome.NoCandidate, AnnounceDecider.Decide(service, [Slice(node: "node-x")], Situation("node-b")).Outcome);
    }

    [Fact]
    public void Excluded_and_unreachable_nodes_do_not_announce()
    {
        var excluded = Node("node-b") with
        {
            Metadata = new ObjectMeta
            {
                Name = "node-b",
                Labels = new Dictionary<string, string>(StringComparer.Ordinal) { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" },
            },
        };
        var unavailable = Node("node-c") with
        {
            Status = new NodeStatus { Conditions = [new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] },
        };
        var situation = Situation("node-b") with { Nodes = [Node("node-a"), excluded, unavailable] };

        Assert.Equal("node-a", AnnounceDecider.Decide(Web(), [Slice()], situation).Owner);
        Assert.Equal("node-b", AnnounceDecider.Decide(Web(), [Slice()], situation with { IgnoreExclusion = true }).Owner);
    }

    private static AnnounceOutcome Outcome(Service service) => AnnounceDecider.Decide(service, [Slice()], Situation("node-b")).Outcome is var outcome
        && outcome == AnnounceOutcome.OtherNode ? AnnounceOutcome.Announce : outcome;

    private static Service Web(string? address = "10.0.0.1", string? pool = "dhcp", string? validUntil = null)
    {
        var annotations = new Dictionary<string, string>(StringComparer.Ordinal);
        if (pool is not null)
            annotations[Annotations.AllocatedFromPool] = pool;
        if (validUntil is not null)
            annotations[Annotations.ValidUntil] = validUntil;
        return new Service
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer" },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = address is null ? [] : [new LoadBalancerIngress { Ip = address }] } },
        };
    }

    private static EndpointSlice Slice(string node = "node-a", bool? ready = true, bool? serving = null) => new()
    {
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = node, Conditions = new EndpointConditions { Ready = ready, Serving = serving } }],
    };

    private static Node Node(string name) => new() { Metadata = new ObjectMeta { Name = name } };

    private static AnnounceSituation Situation(string self, string[]? living = null)
    {
        Assert.Null(AddressRange.TryParse("10.0.0.0/24", out var lan));
        Assert.Null(AddressRange.TryParse("10.9.0.0/24", out var routed));
        var config = new LoadBalancerConfig(
            [new AddressPool("routed", AnnouncementProtocol.Bgp, true, [routed], false)],
            [
                new AddressServiceSource(
                    "dhcp", AnnouncementProtocol.Layer2, true, new Uri("http://address-service"), [lan], null, null, TimeSpan.FromSeconds(40)),
            ]);
        return new AnnounceSituation(
            self, null, false, config, [Node("node-a"), Node("node-b"), Node("node-c")],
            (living ?? ["node-a", "node-b", "node-c"]).ToHashSet(StringComparer.Ordinal), s_now);
    }
}
