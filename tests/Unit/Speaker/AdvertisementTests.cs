using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Support;
using Endpoint = DynamicLb.Kubernetes.Resources.Endpoint;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>What L2Advertisements say: which Services, from which nodes, preferably which, on which interfaces.</summary>
public sealed class AdvertisementTests
{
    // Without preference the order for 10.0.0.1 is node-b, node-a, node-c (MetalLB's hash).
    private static readonly string[] Nodes = ["node-a", "node-b", "node-c"];

    [Fact]
    public void Only_nodes_that_some_advertisement_selects_are_candidates()
    {
        Assert.Equal("node-b", Decide("node-b", Ad()).Owner);
        Assert.Equal("node-c", Decide("node-c", Ad(nodes: [Zone("c")])).Owner);
        Assert.Equal("node-a", Decide("node-a", Ad(nodes: [Zone("c")]), Ad(nodes: [Zone("a")])).Owner);
        Assert.Equal((SilenceReason.NotOwner, null), (Decide("node-a", Ad(nodes: [Zone("x")])).Reason, Decide("node-a", Ad(nodes: [Zone("x")])).Owner));
    }

    [Fact]
    public void A_Service_that_no_advertisement_is_for_is_not_announced()
    {
        Assert.Equal(SilenceReason.NoMatchingAdvertisement, Decide("node-b", Ad(services: [Zone("other")])).Reason);
        Assert.Equal(SilenceReason.None, Decide("node-b", Ad(services: [Zone("other")]), Ad(services: [Zone("web")])).Reason);
        Assert.Equal(SilenceReason.NoMatchingAdvertisement, Decide("node-b", Ad() with { Sources = new HashSet<string> { "another" } }).Reason);
    }

    [Fact]
    public void A_shared_address_is_not_announced_where_advertisements_choose_among_Services()
    {
        var shared = Web((Annotations.AllowSharedIP, "k"));

        Assert.Equal(SilenceReason.SharedIPWithServiceSelector, Decide(shared, "node-b", Ad(services: [Zone("web")])).Reason);
        Assert.Equal(SilenceReason.None, Decide(shared, "node-b", Ad()).Reason);
    }

    [Fact]
    public void The_node_with_the_highest_score_announces_and_weights_add_up()
    {
        Assert.Equal("node-c", Decide("node-c", Ad(preferred: [(10, "c")])).Owner);
        Assert.Equal("node-a", Decide("node-a", Ad(preferred: [(10, "c"), (6, "a")]), Ad(preferred: [(5, "a")])).Owner);
        // Preferences of an advertisement count for the nodes it selects only.
        Assert.Equal("node-b", Decide("node-b", Ad(), Ad(nodes: [Zone("a")], preferred: [(10, "c")])).Owner);
        // Among equals the hash decides.
        Assert.Equal("node-a", Decide("node-a", Ad(preferred: [(5, "a"), (5, "c")])).Owner);
    }

    [Fact]
    public void Interfaces_are_those_of_all_advertisements_that_select_this_node()
    {
        Assert.Null(Decide("node-b", Ad()).Interfaces);
        Assert.Equal(["eth0"], Decide("node-b", Ad(interfaces: ["eth0"])).Interfaces!);
        Assert.Equal(["eth0", "eth1"], Decide("node-b", Ad(interfaces: ["eth0"]), Ad(interfaces: ["eth1"])).Interfaces!.Order());
        Assert.Null(Decide("node-b", Ad(interfaces: ["eth0"]), Ad()).Interfaces);
        Assert.Equal(["eth0"], Decide("node-b", Ad(interfaces: ["eth0"]), Ad(nodes: [Zone("a")])).Interfaces!);
    }

    [Fact]
    public void An_address_that_moves_to_other_interfaces_is_told_again()
    {
        var table = new AnnouncementTable(new FakeTime(DateTimeOffset.UnixEpoch));
        var ip = HostAddress.Parse("10.0.0.1");
        var wanted = new Dictionary<HostAddress, DateTimeOffset?> { [ip] = null };
        var first = new Dictionary<HostAddress, IReadOnlySet<string>> { [ip] = new HashSet<string> { "eth0" } };
        var second = new Dictionary<HostAddress, IReadOnlySet<string>> { [ip] = new HashSet<string> { "eth1" } };

        Assert.Equal([ip], table.Replace(wanted, first));
        Assert.Empty(table.Replace(wanted, first));
        Assert.True(table.Snapshot[ip].IsOn("eth0"));
        Assert.False(table.Snapshot[ip].IsOn("eth1"));
        Assert.Equal([ip], table.Replace(wanted, second));
        Assert.Equal([ip], table.Replace(wanted));
        Assert.True(table.Snapshot[ip].IsOn("eth7"));
    }

    private static Layer2Advertisement Ad(
        LabelSelector[]? nodes = null, LabelSelector[]? services = null, string[]? interfaces = null, (int Weight, string Zone)[]? preferred = null) => new(
        "ad", new HashSet<string> { "pool" }, nodes ?? [], services ?? [], interfaces ?? [],
        [.. (preferred ?? []).Select(static item => new PreferredNodeSelector { Weight = item.Weight, Preference = Zone(item.Zone) })]);

    private static LabelSelector Zone(string value) => new() { MatchLabels = new Dictionary<string, string> { ["zone"] = value } };

    private static Service Web(params (string Key, string Value)[] annotations) => new()
    {
        Metadata = new ObjectMeta
        {
            Name = "web",
            Namespace = "default",
            Labels = new Dictionary<string, string> { ["zone"] = "web" },
            Annotations = annotations.ToDictionary(static annotation => annotation.Key, static annotation => annotation.Value),
        },
        Spec = new ServiceSpec { Type = "LoadBalancer" },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1" }] } },
    };

    private static Decision Decide(string me, params Layer2Advertisement[] ads) => Decide(Web(), me, ads);

    private static Decision Decide(Service service, string me, params Layer2Advertisement[] ads)
    {
        Assert.Null(AddressRange.TryParse("10.0.0.0/24", out var range));
        var config = new LoadBalancerConfig([new AddressPool("pool", AnnouncementProtocol.Layer2, true, [range], false)], []) { Layer2Advertisements = ads };
        var slice = new EndpointSlice { Endpoints = [new Endpoint { Addresses = ["10.244.0.1"], NodeName = "node-a" }] };
        return AnnouncementRules.Decide(
            service, [slice],
            new Surroundings(me, Nodes, config, DateTimeOffset.UnixEpoch) { LabelsOf = static node => new Dictionary<string, string> { ["zone"] = node[^1..] } });
    }
}
