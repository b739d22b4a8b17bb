using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Services that share addresses: one node announces all that are connected thereby, or an address would have two announcers.</summary>
public sealed class SharedAddressesTests
{
    private const string Config = "address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24, \"fd00::/64\"]}\n";
    private readonly SpeakerParts _parts = new();
    private readonly SpeakerParts _sticky = new(sticky: true);

    [Fact]
    public void Whichever_address_comes_first_and_whichever_families_there_are_one_node_is_elected()
    {
        // 10.0.0.3: c before b; 10.0.0.4: b before c.
        _parts.Configure(Config);
        _parts.Membership.Set("node-b", "node-c");
        Add(_parts, "both", "10.0.0.4", "10.0.0.3");
        Add(_parts, "one", "10.0.0.4");
        Add(_parts, "alone", "10.0.0.5");
        _parts.Reconciler.Work();
        Assert.Equal(["node-b", "node-b", "node-c"], Owners(_parts, "both", "one", "alone"));

        // What connects them, comes later and is elected by another address, is elected with them.
        Add(_parts, "other", "10.0.0.3", "10.0.0.4");
        _parts.Reconciler.Work();
        Assert.Equal(["node-c", "node-c", "node-c"], Owners(_parts, "both", "one", "other"));
        Assert.Empty(_parts.Table.Snapshot);

        _parts.Services.Remove(Service("other"));
        _parts.Reconciler.Work();
        Assert.Equal(["node-b", "node-b", "node-c"], Owners(_parts, "both", "one", "alone"));
        Assert.Equal(2, _parts.Table.Snapshot.Count);
    }

    [Fact]
    public void A_second_family_alone_goes_to_the_node_of_the_first()
    {
        _parts.Configure(Config);
        _parts.Membership.Set("node-a", "node-b", "node-c");
        string[] nodes = ["node-a", "node-b", "node-c"];
        string six = Enumerable.Range(1, 100).Select(static i => $"fd00::{i:x}").First(ip => Election.Winner(nodes, IPAddress.Parse(ip)) != "node-b");
        // 10.0.0.1: b, a, c.
        Add(_parts, "dual", "10.0.0.1", six);
        Add(_parts, "six", six);
        _parts.Reconciler.Work();

        Assert.Equal([SpeakerParts.Me, SpeakerParts.Me], Owners(_parts, "dual", "six"));
        Assert.Equal(2, _parts.Table.Snapshot.Count);
    }

    [Fact]
    public void Explained_is_the_same_election()
    {
        _parts.Configure(Config);
        _parts.Membership.Set("node-b", "node-c");
        Add(_parts, "one", "10.0.0.4");
        Add(_parts, "other", "10.0.0.3", "10.0.0.4");
        _parts.Reconciler.Work();
        var seen = _parts.Reconciler.Look(new NamespacedName("demo", "one"))!;

        Assert.Equal("node-c", AnnouncementRules.Standings(seen.Service, seen.Slices, seen.Surroundings!, seen.Nodes)[0].Node);
    }

    [Fact]
    public void Where_owners_are_sticky_a_service_that_comes_later_goes_to_who_announces_the_address()
    {
        // 10.0.0.1: b before c.
        _sticky.Configure(Config);
        _sticky.Membership.Set("node-b", "node-c");
        Add(_sticky, "first", "10.0.0.1");
        _sticky.Announce(new NamespacedName("demo", "first"), "node-c");
        Add(_sticky, "second", "10.0.0.1");
        _sticky.Reconciler.Work();
        Assert.Equal(["node-c", "node-c"], Owners(_sticky, "first", "second"));

        // When the one is given up, the other is looked at again, too.
        _sticky.Announce(new NamespacedName("demo", "first"));
        _sticky.Reconciler.Work();
        Assert.Equal([SpeakerParts.Me, SpeakerParts.Me], Owners(_sticky, "first", "second"));
    }

    [Fact]
    public void Groups_part_and_join_with_their_addresses()
    {
        var addresses = new ServiceAddresses();
        var (a, b, c) = (new NamespacedName("x", "a"), new NamespacedName("x", "b"), new NamespacedName("x", "c"));
        Assert.Equal([Ip(1)], addresses.Assign(a, [Ip(1)]).Come);
        addresses.Assign(b, [Ip(2)]);
        Assert.Empty(addresses.Regroup());
        addresses.Assign(c, [Ip(3), Ip(2), Ip(1)]);
        Assert.Equal([a, b, c], addresses.Regroup().Order(Comparer<NamespacedName>.Create(static (left, right) => string.CompareOrdinal(left.Name, right.Name))));
        Assert.All([a, b, c], name => Assert.Equal(IPAddress.Parse("10.0.0.1"), addresses.GroupOf(name)!.Key));
        Assert.Empty(addresses.Regroup());

        addresses.Assign(c, [Ip(3), Ip(2)]);
        Assert.Equal(3, addresses.Regroup().Count);
        Assert.Null(addresses.GroupOf(a));
        Assert.Equal(IPAddress.Parse("10.0.0.2"), addresses.GroupOf(c)!.Key);
        Assert.Equal([Ip(3)], addresses.Assign(c, []).Gone);
        Assert.Equal(2, addresses.Regroup().Count);
        Assert.Equal([b], addresses.HoldersOf(Ip(2)));
        Assert.Null(addresses.GroupOf(b));
    }

    private static HostAddress Ip(int last) => HostAddress.Parse($"10.0.0.{last}");

    private static IEnumerable<string?> Owners(SpeakerParts parts, params string[] services) =>
        services.Select(name => parts.Reconciler.DecisionOf(new NamespacedName("demo", name))!.Owner);

    private static void Add(SpeakerParts parts, string name, params string[] ips)
    {
        parts.Slices.Set(new EndpointSlice
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = $"{name}-1", Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = name } },
            Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = "node-a" }],
        });
        parts.Services.Set(Service(name, ips));
    }

    private static Service Service(string name, params string[] ips) => new()
    {
        Metadata = new ObjectMeta
        {
            Namespace = "demo",
            Name = name,
            Annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "lab", [Annotations.AllowSharedIP] = "key" },
        },
        Spec = new ServiceSpec { Type = "LoadBalancer" },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [.. ips.Select(static ip => new LoadBalancerIngress { Ip = ip })] } },
    };
}
