using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class ServiceReconcilerTests
{
    private const string Config = """
        address-pools:
        - {name: lab, protocol: layer2, addresses: [10.0.0.0/24]}
        - {name: routed, protocol: bgp, addresses: [10.9.0.0/24]}
        """;

    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private static readonly MacAddress Stranger = MacAddress.Parse("02:00:00:00:00:66");
    private readonly SpeakerParts _parts = new();

    [Fact]
    public void Nothing_is_announced_before_a_configuration_is_read()
    {
        Add("web");
        Assert.Empty(Announced());

        _parts.Configure(Config);
        Assert.Equal([Ip], Announced());
    }

    [Fact]
    public void Announcing_follows_service_endpoints_members_and_nodes()
    {
        _parts.Configure(Config);
        Add("web");
        Assert.Equal([Ip], Announced());

        _parts.Slices.Remove(Slice("web"));
        Assert.Empty(Announced());
        _parts.Slices.Set(Slice("web"));
        Assert.Equal([Ip], Announced());

        // 10.0.0.1: b, a, c.
        _parts.Membership.Set("node-a", "node-b", "node-c");
        Assert.Equal([Ip], Announced());
        _parts.Nodes.Set(Excluded("node-b"));
        Assert.Empty(Announced());
        _parts.Nodes.Remove(Excluded("node-b"));
        Assert.Equal([Ip], Announced());
        _parts.Membership.Set("node-a", "node-c");
        Assert.Empty(Announced());
        _parts.Membership.Set("node-b");

        _parts.Services.Remove(Service("web"));
        Assert.Empty(Announced());
    }

    [Fact]
    public void An_address_ends_with_its_lease_and_comes_back_with_a_renewal()
    {
        _parts.Configure(Config);
        Add("web", end: _parts.Time.GetUtcNow().AddSeconds(10));
        Assert.Equal([Ip], Announced());

        _parts.Time.Advance(TimeSpan.FromSeconds(10));
        Assert.Empty(Announced());

        _parts.Services.Set(Service("web", end: _parts.Time.GetUtcNow().AddSeconds(10)));
        Assert.Equal([Ip], Announced());
        Assert.Equal(["web nodeAssigned", "web announceFailed", "web leaseExpired", "web nodeAssigned", "web announceFailed"], _parts.Events.Told);
    }

    [Fact]
    public void A_shared_address_is_announced_as_long_as_the_longest_of_its_services_may()
    {
        var now = _parts.Time.GetUtcNow();
        _parts.Configure(Config);
        Add("web", end: now.AddSeconds(10));
        Add("dns", end: now.AddSeconds(20));
        Assert.Equal([Ip], Announced());
        Assert.Equal(now.AddSeconds(20), _parts.Table.Snapshot[Ip].ValidUntil);

        Add("mail");
        Assert.Equal([Ip], Announced());
        Assert.Null(_parts.Table.Snapshot[Ip].ValidUntil);

        _parts.Services.Remove(Service("mail"));
        _parts.Services.Remove(Service("dns"));
        Assert.Equal([Ip], Announced());
        Assert.Equal(now.AddSeconds(10), _parts.Table.Snapshot[Ip].ValidUntil);
    }

    [Fact]
    public void A_node_that_the_others_cannot_hear_leaves_its_address_to_who_claims_it()
    {
        var decided = new Dictionary<NamespacedName, Decision>();
        _parts.Reconciler.Decided = (name, decision) => decided[name] = decision;
        _parts.Configure(Config);
        Add("web");
        Add("dns", "10.0.0.2");
        Assert.Equal(2, Announced().Count);

        _parts.Membership.MustYield = true;
        Assert.Equal(2, Announced().Count);
        _parts.Claim(Ip, Stranger);
        Assert.Equal([HostAddress.Parse("10.0.0.2")], Announced());
        // Nobody is told that it were announced from here.
        var web = new NamespacedName("demo", "web");
        Assert.Equal((Stranger, null), (_parts.Reconciler.YieldedTo(Ip), _parts.Reconciler.YieldedTo(HostAddress.Parse("10.0.0.2"))));
        Assert.Equal(SilenceReason.LeftToAnother, _parts.Reconciler.DecisionOf(web)!.Reason);
        Assert.Equal(SilenceReason.LeftToAnother, decided[web].Reason);

        _parts.Membership.Rejoin();
        Assert.Equal(2, Announced().Count);
        Assert.Null(_parts.Reconciler.YieldedTo(Ip));
        Assert.Equal(SilenceReason.None, decided[web].Reason);
    }

    [Fact]
    public void An_address_that_was_left_is_taken_back_with_whatever_ends_the_cause()
    {
        _parts.Configure(Config);
        Add("web");
        Announced();
        _parts.Membership.MustYield = true;
        _parts.Claim(Ip, Stranger);
        Assert.Empty(Announced());

        // Heard again on the segment, while the API server is still away: nobody says that we have rejoined.
        _parts.Membership.MustYield = false;
        _parts.Membership.Set(SpeakerParts.Me);
        Assert.Equal([Ip], Announced());
    }

    [Fact]
    public void A_claim_of_before_the_rejoining_that_is_judged_after_it_changes_nothing()
    {
        _parts.Configure(Config);
        Add("web");
        Announced();
        _parts.Membership.MustYield = true;
        _parts.Claim(Ip, Stranger);
        _parts.Membership.Rejoin();

        Assert.Equal([Ip], Announced());
    }

    [Fact]
    public void A_node_that_is_heard_keeps_its_address_whoever_claims_it()
    {
        _parts.Configure(Config);
        Add("web");
        Announced();
        for (int i = 0; i < 5000; i++)
            _parts.Claim(Ip, Stranger);

        Assert.Equal([Ip], Announced());
    }

    [Fact]
    public void A_pool_with_bgp_alone_is_none_of_layer_2_and_no_failure()
    {
        _parts.Configure(Config);
        Add("web", "10.9.0.1", "routed");
        Assert.Empty(Announced());
        _parts.Services.Set(Service("web", "10.9.0.1", "routed"));
        Assert.Empty(Announced());

        Assert.Empty(_parts.Events.Told);
    }

    [Fact]
    public void A_node_without_the_interfaces_of_the_advertisements_announces_nothing_and_says_so()
    {
        _parts.Configure("address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24]}\n", "eth9");
        _parts.Membership.Links = ["eth0", "eth1"];
        // 10.0.0.1: b, a, c. 10.0.0.3: c before b.
        _parts.Membership.Set("node-b", "node-c");
        Add("web");
        Add("dns", "10.0.0.3");
        Assert.Empty(Announced());

        Assert.Equal(["web announceFailed"], _parts.Events.Told);
        var decisions = new[] { "web", "dns" }.Select(name => _parts.Reconciler.DecisionOf(new NamespacedName("demo", name))!).ToArray();
        Assert.All(decisions, static decision => Assert.Equal(SilenceReason.NoInterface, decision.Reason));
        Assert.Equal([SpeakerParts.Me, null], decisions.Select(static decision => decision.Owner));

        _parts.Membership.Links.Add("eth9");
        _parts.Membership.LookAgain();
        Assert.Equal([Ip], Announced());
    }

    [Fact]
    public void A_conflict_is_counted()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        using var counted = new CounterSums(parts.Meters);
        parts.Configure(Config);
        parts.Reconciler.Work();
        parts.Slices.Set(Slice("web"));
        parts.Services.Set(Service("web"));
        parts.Reconciler.Work();
        parts.Announcer.Probed!(Ip, Stranger);
        parts.Reconciler.Work();

        Assert.Equal(1, counted["dynamiclb_layer2_conflicts_total"]);
    }

    [Fact]
    public void A_service_of_another_class_is_not_ours()
    {
        _parts.Configure(Config);
        Add("web");
        Assert.Equal([Ip], Announced());
        _parts.Services.Set(Service("web") with { Spec = new ServiceSpec { Type = "LoadBalancer", LoadBalancerClass = "other" } });

        Assert.Empty(Announced());
    }

    private static Service Service(string name, string ip = "10.0.0.1", string pool = "lab", DateTimeOffset? end = null)
    {
        var annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = pool };
        if (end is { } moment)
            annotations[Annotations.ValidUntil] = moment.ToString("O");
        return new Service
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = name, Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer" },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = ip }] } },
        };
    }

    private static EndpointSlice Slice(string service) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = "demo",
            Name = $"{service}-1",
            Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = service },
        },
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = "node-a" }],
    };

    private static Node Excluded(string name) => new()
    {
        Metadata = new ObjectMeta { Name = name, Labels = new Dictionary<string, string> { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" } },
    };

    private void Add(string name, string ip = "10.0.0.1", string pool = "lab", DateTimeOffset? end = null)
    {
        _parts.Slices.Set(Slice(name));
        _parts.Services.Set(Service(name, ip, pool, end));
    }

    private List<HostAddress> Announced()
    {
        _parts.Reconciler.Work();
        return [.. _parts.Table.Snapshot.Keys.Order()];
    }
}
