using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Configuration;

/// <summary>What becomes of the rest when an object is at fault.</summary>
public sealed class ConfigValidatorTests
{
    [Fact]
    public void One_bad_object_leaves_the_rest_in_force()
    {
        var result = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 1, "10.0.0.0/24"), Pool("b", 2, "nonsense"), Pool("c", 3, "10.1.0.0/24")] });

        Assert.Equal(["a", "c"], result.Config!.AddressPools.Select(static pool => pool.Name));
        Assert.Contains("b", result.Config.RefusedSources);
        var fault = Assert.Single(result.Faults);
        Assert.Equal(("IPAddressPool 'b'", "spec.addresses"), (fault.Object, fault.Field));
    }

    [Fact]
    public void An_object_that_becomes_bad_stays_as_it_was_when_it_was_good()
    {
        var before = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 1, "10.0.0.0/24"), Pool("b", 2, "10.1.0.0/24")] }).Config;

        var result = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 1, "10.0.0.0/40"), Pool("b", 2, "10.2.0.0/24")] }, before);

        Assert.Single(result.Faults);
        Assert.True(result.Config!.Find("a")!.MayContain(IPAddress.Parse("10.0.0.7")));
        Assert.True(result.Config.Find("b")!.MayContain(IPAddress.Parse("10.2.0.7")));
        Assert.Empty(result.Config.RefusedSources);
        // And so it does with the next change, and the one after it is mended.
        var next = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 1, "10.0.0.0/41")] }, result.Config);
        Assert.True(next.Config!.Find("a")!.MayContain(IPAddress.Parse("10.0.0.7")));
        Assert.Null(next.Config.Find("b"));
        var mended = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 1, "10.9.0.0/24")] }, next.Config);
        Assert.True(mended.IsGood);
        Assert.False(mended.Config!.Find("a")!.MayContain(IPAddress.Parse("10.0.0.7")));
    }

    [Fact]
    public void A_former_state_that_the_rest_contradicts_now_is_left_out()
    {
        var before = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 2, "10.0.0.0/24")] }).Config;

        var result = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 2, "nonsense"), Pool("b", 1, "10.0.0.0/25")] }, before);

        Assert.Equal(["b"], result.Config!.AddressPools.Select(static pool => pool.Name));
        Assert.Single(result.Faults);
    }

    [Fact]
    public void Of_two_that_overlap_the_older_stays_whatever_its_name()
    {
        var result = ResourceReader.Read(new ConfigResources { Pools = [Pool("a", 2, "10.0.0.0/24"), Pool("b", 1, "10.0.0.0/16")] });

        Assert.Equal(["b"], result.Config!.AddressPools.Select(static pool => pool.Name));
    }

    [Fact]
    public void Pools_are_tried_in_the_order_of_their_names_however_they_come()
    {
        var result = ResourceReader.Read(new ConfigResources { Pools = [Pool("c", 1, "10.0.0.0/24"), Pool("a", 2, "10.1.0.0/24"), Pool("B", 3, "10.2.0.0/24")] });

        Assert.Equal(["B", "a", "c"], result.Config!.AddressPools.Select(static pool => pool.Name));
    }

    [Fact]
    public void Advertisements_choose_pools_and_address_services_by_name_and_label()
    {
        var result = ResourceReader.Read(new ConfigResources
        {
            Pools = [Pool("a", 1, "10.0.0.0/24"), Pool("b", 1, "10.1.0.0/24", ("zone", "east")), Pool("c", 1, "10.2.0.0/24")],
            AddressServices = [new AddressServiceResource { Metadata = Meta("dhcp", 1, ("zone", "east")), Spec = new AddressServiceSpec { Url = "http://a" } }],
            L2Advertisements =
            [
                new L2Advertisement { Metadata = Meta("both", 1), Spec = new L2AdvertisementSpec { IPAddressPools = ["a", "lost"], IPAddressPoolSelectors = [Label("zone", "east")] } },
                new L2Advertisement { Metadata = Meta("none", 1), Spec = new L2AdvertisementSpec { IPAddressPoolSelectors = [Label("zone", "west")] } },
            ],
            BgpAdvertisements = [new BGPAdvertisement { Metadata = Meta("all", 1) }],
        });

        Assert.True(result.IsGood);
        Assert.Equal(["a", "b", "dhcp"], result.Config!.Layer2Advertisements[0].Sources.Order());
        Assert.Empty(result.Config.Layer2Advertisements[1].Sources);
        Assert.Equal(["a", "b", "c", "dhcp"], result.Config.BgpAdvertisements[0].Sources.Order());
        Assert.Equal(AnnouncementProtocol.Layer2 | AnnouncementProtocol.Bgp, result.Config.Find("dhcp")!.Protocol);
        Assert.Equal(AnnouncementProtocol.Bgp, result.Config.Find("c")!.Protocol);
    }

    [Theory]
    [InlineData(null, null, null, null)]
    [InlineData("90s", null, 90.0, 30.0)]
    [InlineData(null, "10s", 30.0, 10.0)]
    [InlineData("0s", "0s", 0.0, 0.0)]
    [InlineData("3900ms", "1s", 3.0, 1.0)]
    public void Timers_follow_from_each_other(string? hold, string? keepalive, double? expectedHold, double? expectedKeepalive)
    {
        var result = ResourceReader.Read(new ConfigResources
        {
            BgpPeers = [new BGPPeer { Metadata = Meta("p", 1), Spec = new BGPPeerSpec { MyASN = 1, PeerASN = 2, PeerAddress = "10.0.0.1", HoldTime = hold, KeepaliveTime = keepalive } }],
        });

        var peer = Assert.Single(result.Config!.BgpPeers);
        Assert.Equal((expectedHold, expectedKeepalive), (peer.HoldTime?.TotalSeconds, peer.KeepaliveTime?.TotalSeconds));
    }

    [Theory]
    [InlineData("default", null, null, false)]
    [InlineData("listed", null, null, true)]
    [InlineData("other", "team=a", null, true)]
    [InlineData("other", "team=b", null, false)]
    public void A_namespace_is_allowed_by_its_name_or_its_labels(string ns, string? namespaceLabels, string? serviceLabels, bool allowed)
    {
        var allocation = ((AddressPool)ResourceReader.Read(new ConfigResources
        {
            Pools = [Pool("a", 1, "10.0.0.0/24") with { Spec = new IPAddressPoolSpec { Addresses = ["10.0.0.0/24"], ServiceAllocation = new ServiceAllocationSpec { Namespaces = ["listed"], NamespaceSelectors = [Label("team", "a")] } } }],
        }).Config!.Find("a")!).Allocation!;

        Assert.Equal(allowed, allocation.Permits(ns, Labels(namespaceLabels), Labels(serviceLabels)));
    }

    [Fact]
    public void All_sections_of_MetalLBs_ConfigMap_are_read()
    {
        var result = ConfigFileReader.Read("""
            peers:
            - my-asn: 64512
              peer-asn: 64513
              peer-address: 10.9.0.1
              source-address: 10.9.0.2
              peer-port: 1179
              keepalive-time: 5s
              router-id: 1.2.3.4
              node-selectors:
              - match-labels: {zone: a}
                match-expressions: [{key: k, operator: In, values: [v]}]
              password: secret
              bfd-profile: quick
              ebgp-multihop: true
            bgp-communities: {vpn: 1234:1, no: "large:1:2:3"}
            bfd-profiles:
            - {name: quick, receive-interval: 50, transmit-interval: 50, detect-multiplier: 4, echo-interval: 100, echo-mode: false, passive-mode: true, minimum-ttl: 250}
            address-pools:
            - name: routed
              protocol: bgp
              addresses: [10.0.0.0/24]
              auto-assign: false
              avoid-buggy-ips: true
              service-allocation: {priority: 3, namespaces: [a], namespace-selectors: [{match-labels: {x: y}}], service-selectors: [{match-labels: {x: z}}]}
              bgp-advertisements:
              - {aggregation-length: 24, aggregation-length-v6: 64, localpref: 100, communities: [vpn, "65000:7"]}
              - {}
            - {name: plain, protocol: bgp, addresses: [10.1.0.0/24]}
            - {name: near, protocol: layer2, addresses: [10.2.0.0/24]}
            """);

        Assert.Empty(result.Faults);
        var config = result.Config!;
        var peer = Assert.Single(config.BgpPeers);
        Assert.Equal(("peer1", 64512, 64513, "quick", 1179), (peer.Name, peer.Spec.MyASN, peer.Spec.PeerASN, peer.Spec.BfdProfile, peer.Spec.PeerPort));
        Assert.Equal(TimeSpan.FromSeconds(90), peer.HoldTime);
        Assert.Equal(TimeSpan.FromSeconds(5), peer.KeepaliveTime);
        Assert.True(peer.Spec.NodeSelectors![0].Matches(new Dictionary<string, string> { ["zone"] = "a", ["k"] = "v" }));
        Assert.Equal(3, config.BgpAdvertisements.Count);
        Assert.Equal(["1234:1", "65000:7"], config.BgpAdvertisements[0].Communities.Select(static c => c.ToString()));
        Assert.Equal((24, 64, 100u), (config.BgpAdvertisements[0].AggregationLength, config.BgpAdvertisements[0].AggregationLengthV6, config.BgpAdvertisements[0].LocalPref));
        Assert.Equal(["plain"], config.BgpAdvertisements[2].Sources);
        Assert.Equal(["near"], Assert.Single(config.Layer2Advertisements).Sources);
        Assert.Equal(3, config.Find("routed")!.Allocation!.Priority);
        Assert.Equal(4, Assert.Single(config.BfdProfiles).Spec.DetectMultiplier);
    }

    [Theory]
    [InlineData("peers: [{peer-asn: 2, peer-address: 10.0.0.1}]", "peers[0]", "my-asn")]
    [InlineData("peers: [{my-asn: many, peer-asn: 2, peer-address: 10.0.0.1}]", "peers[0]", "my-asn")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: x}]", "peers[0]", "peer-address")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, hold-time: 1s}]", "peers[0]", "hold-time")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, router-id: x}]", "peers[0]", "router-id")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, bfd-profile: x}]", "peers[0]", "bfd-profile")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, node-selectors: [{match-expressions: [{key: k, operator: Is}]}]}]", "peers[0]", "node-selectors[0].match-expressions[0].operator")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, surprise: 1}]", "peers[0]", "surprise")]
    [InlineData("bgp-communities: {a: '1:70000'}", "bgp-communities", "communities[0].value")]
    [InlineData("bfd-profiles: [{name: a, minimum-ttl: 300}]", "bfd-profiles[0] 'a'", "minimum-ttl")]
    [InlineData("bfd-profiles: [{receive-interval: 300}]", "bfd-profiles[0]", "name")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/28], bgp-advertisements: [{aggregation-length: 24}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "aggregation-length")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/28], bgp-advertisements: [{communities: [x]}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "communities[0]")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/28], bgp-advertisements: [{localpref: x}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "localpref")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/28], service-allocation: {namespaces: [a, a]}}]", "address-pools[0] 'a'", "service-allocation.namespaces[1]")]
    [InlineData("peers: [{my-asn: 0, peer-asn: 2, peer-address: 10.0.0.1}]", "peers[0]", "my-asn")]
    [InlineData("peers: [{my-asn: 4294967296, peer-asn: 2, peer-address: 10.0.0.1}]", "peers[0]", "my-asn")]
    [InlineData("peers: [{my-asn: 1, peer-asn: x, peer-address: 10.0.0.1}]", "peers[0]", "peer-asn")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2}]", "peers[0]", "peer-address")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, source-address: me}]", "peers[0]", "source-address")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, peer-port: 70000}]", "peers[0]", "peer-port")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, hold-time: long}]", "peers[0]", "hold-time")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, keepalive-time: 91s}]", "peers[0]", "keepalive-time")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, ebgp-multihop: far}]", "peers[0]", "ebgp-multihop")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 1, peer-address: 10.0.0.1, ebgp-multihop: true}]", "peers[0]", "ebgp-multihop")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, node-selectors: [{match-labels: {'a b': c}}]}]", "peers[0]", "node-selectors[0].match-labels")]
    [InlineData("peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1}, {my-asn: 1, peer-asn: 3, peer-address: 10.0.0.1}]", "peers[1]", "peer-address")]
    [InlineData("bgp-communities: {a: 'big:1:2:3'}", "bgp-communities", "communities[0].value")]
    [InlineData("bgp-communities: {a: none}", "bgp-communities", "communities[0].value")]
    [InlineData("bfd-profiles: [{name: a, receive-interval: 9}]", "bfd-profiles[0] 'a'", "receive-interval")]
    [InlineData("bfd-profiles: [{name: a, transmit-interval: 60001}]", "bfd-profiles[0] 'a'", "transmit-interval")]
    [InlineData("bfd-profiles: [{name: a, echo-interval: x}]", "bfd-profiles[0] 'a'", "echo-interval")]
    [InlineData("bfd-profiles: [{name: a, detect-multiplier: 256}]", "bfd-profiles[0] 'a'", "detect-multiplier")]
    [InlineData("bfd-profiles: [{name: a, echo-mode: perhaps}]", "bfd-profiles[0] 'a'", "echo-mode")]
    [InlineData("bfd-profiles: [{name: a, passive-mode: perhaps}]", "bfd-profiles[0] 'a'", "passive-mode")]
    [InlineData("bfd-profiles: [{name: a}, {name: a}]", "bfd-profiles[1] 'a'", "name")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/28], avoid-buggy-ips: perhaps}]", "address-pools[0] 'a'", "avoid-buggy-ips")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/28]}, {name: a, protocol: layer2, addresses: [10.1.0.0/28]}]", "address-pools[1] 'a'", "name")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/28]}, {name: b, protocol: layer2, addresses: [10.0.0.8/29]}]", "address-pools[1] 'b'", "addresses")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24], bgp-advertisements: [{aggregation-length: 33}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "aggregation-length")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24], bgp-advertisements: [{aggregation-length-v6: 129}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "aggregation-length-v6")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24], bgp-advertisements: [{localpref: -1}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "localpref")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24], bgp-advertisements: [{communities: ['1:2', '1:2']}]}]", "address-pools[0] 'a'.bgp-advertisements[0]", "communities[1]")]
    [InlineData("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.0/24], bgp-advertisements: [{localpref: 1}, {localpref: 2}]}]", "address-pools[0] 'a'.bgp-advertisements[1]", "localpref")]
    public void A_bad_section_of_MetalLBs_ConfigMap_is_refused_with_its_field(string yaml, string at, string field)
    {
        Assert.Contains(ConfigFileReader.Read(yaml).Faults, fault => fault.Object == at && fault.Field == field && fault.Line == 1);
    }

    private static IPAddressPool Pool(string name, int created, string addresses, params (string Key, string Value)[] labels) =>
        new() { Metadata = Meta(name, created, labels), Spec = new IPAddressPoolSpec { Addresses = [addresses] } };

    private static ObjectMeta Meta(string name, int created, params (string Key, string Value)[] labels) => new()
    {
        Name = name,
        CreationTimestamp = $"2026-01-01T00:00:0{created}Z",
        Labels = labels.ToDictionary(static label => label.Key, static label => label.Value),
    };

    private static LabelSelector Label(string key, string value) => new() { MatchLabels = new Dictionary<string, string> { [key] = value } };

    private static Dictionary<string, string>? Labels(string? text) => text is null ? null : new Dictionary<string, string> { [text.Split('=')[0]] = text.Split('=')[1] };
}
