using DynamicLb.Cli.Validation;
using DynamicLb.Contracts.Configuration;

namespace DynamicLb.Tests.Unit.Configuration;

/// <summary>The rules of the resources, a line for each: what is refused, with the object and the field that the refusal names.</summary>
public sealed class ResourceRulesTests
{
    private const string Pool = "IPAddressPool: {addresses: [10.0.0.0/24]}";
    private const string Dual = "IPAddressPool: {addresses: [10.0.0.0/24, 'fd00::/120']}";
    private const string Peer = "BGPPeer router: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1}";

    [Theory]
    // IPAddressPool
    [InlineData("IPAddressPool: {}", "spec.addresses", "is required")]
    [InlineData("IPAddressPool: {addresses: []}", "spec.addresses", "at least one")]
    [InlineData("IPAddressPool: {addresses: 10.0.0.0/24}", "spec.addresses", "type array")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.1]}", "spec.addresses", "lacks a prefix length")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/33]}", "spec.addresses", "no valid prefix length")]
    [InlineData("IPAddressPool: {addresses: [100.200.300.400/24]}", "spec.addresses", "not a CIDR")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.9-10.0.0.1]}", "spec.addresses", "ends before it begins")]
    [InlineData("IPAddressPool: {addresses: ['10.0.0.9-fd00::1']}", "spec.addresses", "different address families")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24, 10.0.0.0/24]}", "spec.addresses", "overlaps with already defined CIDR")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/16, 10.0.9.0/24]}", "spec.addresses", "overlaps with already defined CIDR")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], autoAssign: maybe}", "spec.autoAssign", "type boolean")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], avoidBuggyIps: true}", "spec.avoidBuggyIps", "unknown field")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {namespaces: [a, a]}}", "spec.serviceAllocation.namespaces[1]", "duplicate definition of namespace \"a\"")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}}", "spec.serviceAllocation.namespaceSelectors[1]", "duplicate")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}}", "spec.serviceAllocation.serviceSelectors[1]", "duplicate")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}}", "spec.serviceAllocation.serviceSelectors[0].matchExpressions[0].operator", "'Is' is not")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {priority: high}}", "spec.serviceAllocation.priority", "type integer")]
    [InlineData("IPAddressPool: {addresses: ['']}", "spec.addresses", "neither a CIDR nor a range")]
    [InlineData("IPAddressPool: {addresses: [ten-eleven]}", "spec.addresses", "'ten'")]
    [InlineData("IPAddressPool: {addresses: ['fd00::/129']}", "spec.addresses", "no valid prefix length")]
    [InlineData("IPAddressPool: {addresses: ['fd00::1']}", "spec.addresses", "lacks a prefix length")]
    [InlineData("IPAddressPool: {addresses: ['fd00::9-fd00::1']}", "spec.addresses", "ends before it begins")]
    [InlineData("IPAddressPool: {addresses: ['fd00::/64', 'fd00::8/125']}", "spec.addresses", "overlaps with already defined CIDR")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.8-10.0.0.9, 10.0.0.0/24]}", "spec.addresses", "overlaps with already defined CIDR")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], avoidBuggyIPs: 1}", "spec.avoidBuggyIPs", "type boolean")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {namespaces: ['']}}", "spec.serviceAllocation.namespaces[0]", "is empty")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchExpressions: [{key: a, operator: In}]}]}}", "spec.serviceAllocation.namespaceSelectors[0].matchExpressions[0].values", "at least one value")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {namespaceSelectors: [{matchLabels: {'-': b}}]}}", "spec.serviceAllocation.namespaceSelectors[0].matchLabels", "not the key of a label")]
    // AddressService
    [InlineData("AddressService: {}", "spec.url", "is required")]
    [InlineData("AddressService: {url: 'ftp://a'}", "spec.url", "not an http or https address")]
    [InlineData("AddressService: {url: 'http://a', families: []}", "spec.families", "needs at least 1")]
    [InlineData("AddressService: {url: 'http://a', families: [ipv4, ipv4]}", "spec.families[1]", "duplicate definition of family \"ipv4\"")]
    [InlineData("AddressService: {url: 'http://a', families: [ipv5]}", "spec.families", "'ipv5' is neither ipv4 nor ipv6")]
    [InlineData("AddressService: {url: 'http://a', interface: 'eth 0'}", "spec.interface", "'eth 0' is not the name of an interface")]
    [InlineData("AddressService: {url: 'http://a', onLeaseChange: Ignore}", "spec.onLeaseChange", "'Ignore' is none of 'Adopt'")]
    [InlineData("AddressService: {url: 'http://a', announcedMac: Both}", "spec.announcedMac", "'Both' is none of 'Node'")]
    [InlineData("AddressService: {url: 'http://a', concurrency: 0}", "spec.concurrency", "1")]
    [InlineData("AddressService: {url: 'http://a', concurrency: 257}", "spec.concurrency", "256")]
    [InlineData("AddressService: {url: 'http://a', tokenSecretRef: {key: k}}", "spec.tokenSecretRef.name", "is required")]
    [InlineData("AddressService: {url: 'http://a', cidrs: [x]}", "spec.cidrs", "neither a CIDR nor a range")]
    [InlineData("AddressService: {url: 'http://a', timeouts: {request: soon}}", "spec.timeouts.request", "not a duration")]
    [InlineData("AddressService: {url: 'http://a', timeouts: {request: 11m}}", "spec.timeouts.request", "not between")]
    [InlineData("AddressService: {url: 'https://a', caBundle: '%%%'}", "spec.caBundle", "not PEM in base64")]
    [InlineData("AddressService: {url: 'https://a', caBundle: 'bm90aGluZw=='}", "spec.caBundle", "holds no certificate")]
    [InlineData("AddressService: {url: 'https://a', serviceAllocation: {namespaces: [a, a]}}", "spec.serviceAllocation.namespaces[1]", "duplicate")]
    // L2Advertisement
    [InlineData("L2Advertisement: {ipAddressPools: [a, a]}", "spec.ipAddressPools[1]", "duplicate definition of pool \"a\"")]
    [InlineData("L2Advertisement: {ipAddressPoolSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.ipAddressPoolSelectors[1]", "duplicate")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.nodeSelectors[1]", "duplicate")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k, operator: In, values: [a, b]}]}, {matchExpressions: [{key: k, operator: In, values: [b, a]}]}]}", "spec.nodeSelectors[1]", "duplicate")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k, operator: In, values: [a, a]}]}]}", "spec.nodeSelectors[0].matchExpressions[0].values", "twice")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k, operator: Exists}, {key: k, operator: Exists}]}]}", "spec.nodeSelectors[0].matchExpressions[1]", "twice")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k, operator: In}]}]}", "spec.nodeSelectors[0].matchExpressions[0].values", "at least one value")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k, operator: Exists, values: [a]}]}]}", "spec.nodeSelectors[0].matchExpressions[0].values", "must be empty")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{key: k}]}]}", "spec.nodeSelectors[0].matchExpressions[0].operator", "is required")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchExpressions: [{operator: Exists}]}]}", "spec.nodeSelectors[0].matchExpressions[0].key", "is required")]
    [InlineData("L2Advertisement: {nodeSelectors: [{matchLabels: {'a b': c}}]}", "spec.nodeSelectors[0].matchLabels", "not the key of a label")]
    [InlineData("L2Advertisement: {serviceSelectors: [{matchLabels: {a: 'b c'}}]}", "spec.serviceSelectors[0].matchLabels", "not the value of a label")]
    [InlineData("L2Advertisement: {preferredNodeSelectors: [{weight: 0, preference: {}}]}", "spec.preferredNodeSelectors[0].weight", "greater than or equal to 1")]
    [InlineData("L2Advertisement: {preferredNodeSelectors: [{weight: 101, preference: {}}]}", "spec.preferredNodeSelectors[0].weight", "less than or equal to 100")]
    [InlineData("L2Advertisement: {preferredNodeSelectors: [{weight: 1}]}", "spec.preferredNodeSelectors[0].preference", "is required")]
    [InlineData("L2Advertisement: {ipAddressPools: ['']}", "spec.ipAddressPools[0]", "is empty")]
    [InlineData("L2Advertisement: {ipAddressPoolSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}", "spec.ipAddressPoolSelectors[0].matchExpressions[0].operator", "'Is' is not")]
    [InlineData("L2Advertisement: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.serviceSelectors[1]", "duplicate")]
    [InlineData("L2Advertisement: {preferredNodeSelectors: [{preference: {}}]}", "spec.preferredNodeSelectors[0].weight", "is required")]
    [InlineData("L2Advertisement: {preferredNodeSelectors: [{weight: 1, preference: {matchExpressions: [{key: a, operator: Is}]}}]}", "spec.preferredNodeSelectors[0].preference.matchExpressions[0].operator", "'Is' is not")]
    [InlineData("L2Advertisement: {interfaces: eth0}", "spec.interfaces", "type array")]
    // BGPAdvertisement
    [InlineData("BGPAdvertisement: {aggregationLength: 0}", "spec.aggregationLength", "greater than or equal to 1")]
    [InlineData("BGPAdvertisement: {aggregationLength: 33}", "spec.aggregationLength", "invalid aggregation length 33")]
    [InlineData("BGPAdvertisement: {aggregationLengthV6: 129}", "spec.aggregationLengthV6", "invalid aggregation length 129")]
    [InlineData("BGPAdvertisement: {localPref: -1}", "spec.localPref", "not from 0")]
    [InlineData("BGPAdvertisement: {communities: ['1:2', '1:2']}", "spec.communities[1]", "duplicate definition of community")]
    [InlineData("BGPAdvertisement: {communities: ['1:65536']}", "spec.communities[0]", "invalid community value: invalid section \"65536\"")]
    [InlineData("BGPAdvertisement: {communities: ['-1:1']}", "spec.communities[0]", "invalid section")]
    [InlineData("BGPAdvertisement: {communities: ['big:1:2:3']}", "spec.communities[0]", "expected community to be of format large")]
    [InlineData("BGPAdvertisement: {communities: ['large:1:2:4294967296']}", "spec.communities[0]", "invalid section")]
    [InlineData("BGPAdvertisement: {communities: [no-exports]}", "spec.communities[0]", "no Community defines it")]
    [InlineData("BGPAdvertisement: {ipAddressPools: [a, a]}", "spec.ipAddressPools[1]", "duplicate definition of pool")]
    [InlineData("BGPAdvertisement: {peers: [a, a]}", "spec.peers[1]", "duplicate definition of peer")]
    [InlineData("BGPAdvertisement: {serviceSelectors: [{matchLabels: {a: b}}], aggregationLength: 24}", "spec.serviceSelectors", "serviceSelectors and aggregationLength are mutually exclusive")]
    [InlineData("BGPAdvertisement: {serviceSelectors: [{matchLabels: {a: b}}], aggregationLengthV6: 64}", "spec.serviceSelectors", "mutually exclusive")]
    [InlineData("BGPAdvertisement: {serviceSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.serviceSelectors[1]", "duplicate")]
    [InlineData("BGPAdvertisement: {aggregationLengthV6: 0}", "spec.aggregationLengthV6", "invalid aggregation length 0")]
    [InlineData("BGPAdvertisement: {localPref: 4294967296}", "spec.localPref", "too large")]
    [InlineData("BGPAdvertisement: {communities: ['1:2:3']}", "spec.communities[0]", "invalid community format")]
    [InlineData("BGPAdvertisement: {communities: ['']}", "spec.communities[0]", "is empty")]
    [InlineData("BGPAdvertisement: {ipAddressPoolSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.ipAddressPoolSelectors[1]", "duplicate")]
    [InlineData("BGPAdvertisement: {nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.nodeSelectors[1]", "duplicate")]
    [InlineData("BGPAdvertisement: {nodeSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}", "spec.nodeSelectors[0].matchExpressions[0].operator", "'Is' is not")]
    [InlineData("BGPAdvertisement: {serviceSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}", "spec.serviceSelectors[0].matchExpressions[0].operator", "'Is' is not")]
    [InlineData("BGPAdvertisement: {peers: ['']}", "spec.peers[0]", "is empty")]
    // BGPPeer
    [InlineData("BGPPeer: {peerASN: 2, peerAddress: 10.9.0.1}", "spec.myASN", "is required")]
    [InlineData("BGPPeer: {myASN: 0, peerASN: 2, peerAddress: 10.9.0.1}", "spec.myASN", "cannot be 0")]
    [InlineData("BGPPeer: {myASN: 4294967296, peerASN: 2, peerAddress: 10.9.0.1}", "spec.myASN", "less than or equal to 4294967295")]
    [InlineData("BGPPeer: {myASN: 1, peerAddress: 10.9.0.1}", "spec.peerASN", "peerASN or dynamicASN is required")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, dynamicASN: internal, peerAddress: 10.9.0.1}", "spec.dynamicASN", "not together with peerASN")]
    [InlineData("BGPPeer: {myASN: 1, dynamicASN: both, peerAddress: 10.9.0.1}", "spec.dynamicASN", "none of 'internal', 'external'")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, localASN: 0, peerAddress: 10.9.0.1}", "spec.localASN", "greater than or equal to 1")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2}", "spec.peerAddress", "peerAddress or interface is required")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, interface: eth0}", "spec.interface", "not together with peerAddress")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: router}", "spec.peerAddress", "invalid BGPPeer address")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, sourceAddress: me}", "spec.sourceAddress", "invalid source address")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, peerPort: 0}", "spec.peerPort", "greater than or equal to 1")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, peerPort: 16385}", "spec.peerPort", "less than or equal to 16384")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 2s}", "spec.holdTime", "at least 3s")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: long}", "spec.holdTime", "not a duration")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 30s, keepaliveTime: 90s}", "spec.keepaliveTime", "longer than the hold time")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: 1500ms}", "spec.connectTime", "whole seconds")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: 65536s}", "spec.connectTime", "1 seconds to 65535")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, routerID: me}", "spec.routerID", "invalid router ID")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, routerID: 'fd00::1'}", "spec.routerID", "form of an IPv4 address")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchLabels: {a: b}}, {matchLabels: {a: b}}]}", "spec.nodeSelectors[1]", "duplicate")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, password: a, passwordSecret: {name: s}}", "spec.passwordSecret", "not together with password")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: quick}", "spec.bfdProfile", "BFD profile \"quick\" does not exist")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 1, peerAddress: 10.9.0.1, ebgpMultiHop: true}", "spec.ebgpMultiHop", "another AS only")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerASN: 2}", "spec.peerAddress", "is required")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, vrf: red}", "spec.vrf", "unknown field")]
    [InlineData("metallb.io/v1beta3 BGPPeer: {}", "apiVersion", "metallb.io/v1beta1, metallb.io/v1beta2")]
    [InlineData("metallb.io/v1beta1 AddressPool: {}", "kind", "no kind AddressPool")]
    [InlineData("BGPPeer: {myASN: -1, peerASN: 2, peerAddress: 10.9.0.1}", "spec.myASN", "greater than or equal to 0")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 0, peerAddress: 10.9.0.1}", "spec.peerASN", "peerASN or dynamicASN is required")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 4294967296, peerAddress: 10.9.0.1}", "spec.peerASN", "less than or equal to 4294967295")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, localASN: 4294967296, peerAddress: 10.9.0.1}", "spec.localASN", "less than or equal to 4294967295")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.0/24}", "spec.peerAddress", "invalid BGPPeer address")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 2900ms}", "spec.holdTime", "at least 3s")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 500ms}", "spec.holdTime", "at least 3s")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 65536s}", "spec.holdTime", "at most 65535s")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, keepaliveTime: often}", "spec.keepaliveTime", "not a duration")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 0s, keepaliveTime: 1s}", "spec.keepaliveTime", "longer than the hold time")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: 0s}", "spec.connectTime", "1 seconds to 65535")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: soon}", "spec.connectTime", "not a duration")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchExpressions: [{key: a, operator: Is}]}]}", "spec.nodeSelectors[0].matchExpressions[0].operator", "'Is' is not")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerAddress: 10.9.0.1}", "spec.peerASN", "is required")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, peerPort: 16385}", "spec.peerPort", "less than or equal to 16384")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchExpressions: [{key: a, operator: In, values: []}]}]}", "spec.nodeSelectors[0].matchExpressions[0].values", "at least 1")]
    // BFDProfile
    [InlineData("BFDProfile: {receiveInterval: 9}", "spec.receiveInterval", "10")]
    [InlineData("BFDProfile: {receiveInterval: 60001}", "spec.receiveInterval", "60000")]
    [InlineData("BFDProfile: {transmitInterval: 9}", "spec.transmitInterval", "10")]
    [InlineData("BFDProfile: {transmitInterval: 60001}", "spec.transmitInterval", "60000")]
    [InlineData("BFDProfile: {echoInterval: 9}", "spec.echoInterval", "10")]
    [InlineData("BFDProfile: {echoInterval: 60001}", "spec.echoInterval", "60000")]
    [InlineData("BFDProfile: {detectMultiplier: 1}", "spec.detectMultiplier", "2")]
    [InlineData("BFDProfile: {detectMultiplier: 256}", "spec.detectMultiplier", "255")]
    [InlineData("BFDProfile: {minimumTtl: 0}", "spec.minimumTtl", "1")]
    [InlineData("BFDProfile: {minimumTtl: 255}", "spec.minimumTtl", "254")]
    // Community
    [InlineData("Community: {communities: [{name: a, value: '1:2'}, {name: a, value: '1:3'}]}", "spec.communities[1].name", "duplicate definition of community \"a\"")]
    [InlineData("Community: {communities: [{value: '1:2'}]}", "spec.communities[0].name", "is required")]
    [InlineData("Community: {communities: [{name: a, value: '1:65536'}]}", "spec.communities[0].value", "invalid section")]
    [InlineData("Community: {communities: [{name: a, value: 'small:1:2:3'}]}", "spec.communities[0].value", "expected community to be of format large")]
    [InlineData("Community: {communities: [{name: a, value: none}]}", "spec.communities[0].value", "invalid community format")]
    [InlineData("BFDProfile: {echoMode: perhaps}", "spec.echoMode", "type boolean")]
    [InlineData("BFDProfile: {passiveMode: 1}", "spec.passiveMode", "type boolean")]
    [InlineData("Community: {communities: [{name: a, value: '1'}]}", "spec.communities[0].value", "invalid community format")]
    [InlineData("Community: {communities: [{name: a, value: '1:2:3'}]}", "spec.communities[0].value", "invalid community format")]
    [InlineData("Community: {communities: [{name: a, value: 'large:1:2:3:4'}]}", "spec.communities[0].value", "invalid community format")]
    [InlineData("Community: {communities: [{name: a, value: '70000:1'}]}", "spec.communities[0].value", "invalid section \"70000\"")]
    [InlineData("Community: {communities: [{name: a, value: 'large:1:x:3'}]}", "spec.communities[0].value", "invalid section \"x\"")]
    public void Refused(string resource, string field, string reason)
    {
        var (faults, _) = Judge(resource);

        Assert.Contains(faults, fault => fault.Field == field && fault.Reason.Contains(reason, StringComparison.Ordinal) && fault.Object.EndsWith(" 'one'", StringComparison.Ordinal) && fault.Line > 0);
    }

    [Theory]
    [InlineData("IPAddressPool: {addresses: [10.0.0.9/24, 10.1.0.5 - 10.1.0.9, 'fd00::/120'], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 5, namespaces: [a], namespaceSelectors: [{matchLabels: {a: b}}], serviceSelectors: [{matchExpressions: [{key: k, operator: NotIn, values: [v]}]}]}}")]
    [InlineData("IPAddressPool: {addresses: [10.0.0.0/24], serviceAllocation: {}}")]
    [InlineData("AddressService: {url: 'https://a', tokenSecretRef: {name: s}, cidrs: [10.0.0.0/8], autoAssign: false, avoidBuggyIPs: true, serviceAllocation: {priority: 1}, timeouts: {request: 1m30s}}")]
    [InlineData("L2Advertisement: {}")]
    [InlineData("L2Advertisement: {ipAddressPools: [unknown], interfaces: [eth0, eth0], nodeSelectors: [{}], preferredNodeSelectors: [{weight: 100, preference: {matchLabels: {a: b}}}, {weight: 1, preference: {matchLabels: {a: b}}}]}")]
    [InlineData("BGPAdvertisement: {aggregationLength: 32, aggregationLengthV6: 128, localPref: 4, communities: ['65000:1', 'large:1:2:4294967295'], peers: [unknown], serviceSelectors: [{matchLabels: {a: b}}]}")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1}")]
    [InlineData("BGPPeer: {myASN: 1, dynamicASN: external, interface: eth0, localASN: 5, vrf: red, routerID: 1.2.3.4, enableGracefulRestart: true, connectTime: 10s, disableMP: true, dualStackAddressFamily: true}")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, holdTime: 0s, keepaliveTime: 0s}")]
    [InlineData("metallb.io/v1beta1 BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, ebgpMultiHop: true}")]
    [InlineData("BGPPeer: {myASN: 4294967295, peerASN: 4294967295, peerAddress: 'fd00::1', sourceAddress: 'fd00::2', peerPort: 16384, holdTime: 3500ms}")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, keepaliveTime: 1s}")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: 65535s}")]
    [InlineData("BGPPeer: {myASN: 1, peerASN: 1, peerAddress: 10.9.0.1}")]
    [InlineData("BFDProfile: {}")]
    [InlineData("BFDProfile: {receiveInterval: 10, transmitInterval: 60000, echoInterval: 10, detectMultiplier: 255, minimumTtl: 254, echoMode: true, passiveMode: true}")]
    [InlineData("Community: {communities: [{name: a, value: '65535:65535'}, {name: 'a:b', value: 'large:1:2:3'}]}")]
    [InlineData("Service: {type: LoadBalancer}")]
    public void Accepted(string resource)
    {
        Assert.Empty(Judge(resource).Faults);
    }

    [Theory]
    // References, and what objects are to each other. The object at fault is the one that came later.
    [InlineData("BGPAdvertisement 'two'", "spec.aggregationLength", "prefix 28 in pool \"one\"", "IPAddressPool: {addresses: [10.0.0.0/28]}", "BGPAdvertisement two: {aggregationLength: 26}")]
    [InlineData("BGPAdvertisement 'two'", "spec.aggregationLength", "prefix 26 in pool \"one\"", "IPAddressPool: {addresses: [10.0.0.1-10.0.0.200]}", "BGPAdvertisement two: {aggregationLength: 24}")]
    [InlineData("BGPAdvertisement 'two'", "spec.aggregationLengthV6", "prefix 120 in pool \"one\"", Dual, "BGPAdvertisement two: {aggregationLengthV6: 64}")]
    [InlineData("BGPAdvertisement 'two'", "spec.localPref", "\"first\"", Pool, "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2}")]
    [InlineData("BGPAdvertisement 'two'", "spec.localPref", "\"first\"", Dual, "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, aggregationLength: 24}")]
    [InlineData("BGPAdvertisement 'two'", "spec.localPref", "\"first\"", Pool, "Node a: {}", "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, peers: [x]}")]
    [InlineData("BGPAdvertisement 'two'", "spec.peers", "BFD echo mode", Dual, "BFDProfile echo: {echoMode: true}", "BGPPeer router: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: echo}", "BGPAdvertisement two: {}")]
    [InlineData("BGPPeer 'router'", "spec.bfdProfile", "BFD profile \"one\" is refused", "BFDProfile: {detectMultiplier: 1}", "BGPPeer router: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: one}")]
    [InlineData("BGPPeer 'two'", "spec.peerAddress", "already exists on a common node", Peer, "BGPPeer two: {myASN: 1, peerASN: 3, peerAddress: 10.9.0.1}")]
    [InlineData("BGPPeer 'two'", "spec.passwordSecret", "not found", "Secret other: {}", "BGPPeer two: {myASN: 1, peerASN: 3, peerAddress: 10.9.0.1, passwordSecret: {name: s}}")]
    [InlineData("BGPPeer 'two'", "spec.passwordSecret", "secret type mismatch", "Secret s: {}", "BGPPeer two: {myASN: 1, peerASN: 3, peerAddress: 10.9.0.1, passwordSecret: {name: s}}")]
    [InlineData("Community 'two'", "spec.communities[0].name", "duplicate definition of community \"a\"", "Community: {communities: [{name: a, value: '1:2'}]}", "Community two: {communities: [{name: a, value: '1:3'}]}")]
    [InlineData("IPAddressPool 'two'", "spec.addresses", "of 'one'", Pool, "IPAddressPool two: {addresses: [10.0.0.128/25]}")]
    [InlineData("IPAddressPool 'two'", "spec.addresses", "of 'one'", Pool, "IPAddressPool two: {addresses: [10.0.0.0/16]}")]
    [InlineData("IPAddressPool 'two'", "spec.addresses", "of 'one'", Pool, "IPAddressPool two: {addresses: [10.0.0.0/24]}")]
    [InlineData("IPAddressPool 'two'", "spec.addresses", "of 'one'", Dual, "IPAddressPool two: {addresses: ['fd00::7-fd00::9']}")]
    [InlineData("BGPAdvertisement 'two'", "spec.localPref", "\"first\"", "IPAddressPool: {addresses: ['fd00::/120']}", "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, aggregationLength: 24}")]
    [InlineData("BGPAdvertisement 'two'", "spec.localPref", "\"first\"", Pool, "BGPAdvertisement first: {localPref: 1, peers: [a, b]}", "BGPAdvertisement two: {localPref: 2, peers: [b, c]}")]
    [InlineData("BGPPeer 'two'", "spec.interface", "already exists on a common node", "BGPPeer: {myASN: 1, peerASN: 2, interface: eth0}", "BGPPeer two: {myASN: 1, peerASN: 2, interface: eth0}")]
    [InlineData("BGPPeer 'two'", "metadata.name", "already exists", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1}", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.2}")]
    [InlineData("L2Advertisement 'two'", "metadata.name", "already exists", "L2Advertisement two: {}", "L2Advertisement two: {}")]
    [InlineData("BGPAdvertisement 'two'", "metadata.name", "already exists", "BGPAdvertisement two: {}", "BGPAdvertisement two: {}")]
    [InlineData("BFDProfile 'two'", "metadata.name", "already exists", "BFDProfile two: {}", "BFDProfile two: {}")]
    [InlineData("Community 'two'", "metadata.name", "already exists", "Community two: {}", "Community two: {}")]
    [InlineData("IPAddressPool 'one'", "metadata.name", "used twice", Pool, "IPAddressPool: {addresses: [10.1.0.0/24]}")]
    [InlineData("AddressService 'one'", "metadata.name", "used twice", Pool, "AddressService: {url: 'http://a'}")]
    [InlineData("IPAddressPool ''", "metadata.name", "is required", "IPAddressPool -: {addresses: [10.0.0.0/24]}")]
    public void Refused_beside_others(string at, string field, string reason, params string[] resources)
    {
        var (faults, _) = Judge(resources);

        Assert.Contains(faults, fault => fault.Object == at && fault.Field == field && fault.Reason.Contains(reason, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(Pool, "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, aggregationLength: 24}")]
    [InlineData(Dual, "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, aggregationLength: 24, aggregationLengthV6: 120}")]
    [InlineData(Pool, "BGPAdvertisement first: {localPref: 1, peers: [a]}", "BGPAdvertisement two: {localPref: 2, peers: [b]}")]
    [InlineData(Pool, "BGPAdvertisement first: {localPref: 1, nodeSelectors: [{matchLabels: {a: b}}]}", "BGPAdvertisement two: {localPref: 2, nodeSelectors: [{matchLabels: {a: c}}]}")]
    [InlineData(Pool, "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, serviceSelectors: [{matchLabels: {a: c}}]}")]
    [InlineData("IPAddressPool: {addresses: ['fd00::/120']}", "BGPAdvertisement first: {localPref: 1}", "BGPAdvertisement two: {localPref: 2, aggregationLengthV6: 120}")]
    [InlineData("Node a: {z: a}", "Node b: {z: b}", Pool, "BGPAdvertisement first: {localPref: 1, nodeSelectors: [{matchLabels: {z: a}}]}", "BGPAdvertisement two: {localPref: 2, nodeSelectors: [{matchExpressions: [{key: z, operator: NotIn, values: [a]}]}]}")]
    [InlineData("Node a: {z: a}", "Node b: {z: b}", "BGPPeer one: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchLabels: {z: a}}]}", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchLabels: {z: b}}]}")]
    [InlineData("Community: {communities: [{name: '1:2', value: '3:4'}]}", "BGPAdvertisement two: {communities: ['1:2']}")]
    [InlineData(Dual, "BFDProfile echo: {echoMode: true}", "BGPPeer router: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: echo}", "BGPAdvertisement two: {peers: [other]}")]
    [InlineData(Pool, "BFDProfile echo: {echoMode: true}", "BGPPeer router: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: echo}", "BGPAdvertisement two: {}")]
    [InlineData(Peer, "BGPPeer two: {myASN: 1, peerASN: 3, peerAddress: 10.9.0.1, vrf: red}")]
    [InlineData("Secret s: {}", "BGPPeer two: {myASN: 1, peerASN: 3, peerAddress: 10.9.0.1}")]
    [InlineData("Community: {communities: [{name: a, value: '1:2'}]}", "BGPAdvertisement two: {communities: [a]}")]
    public void Accepted_beside_others(params string[] resources)
    {
        Assert.Empty(Judge(resources).Faults);
    }

    [Theory]
    [InlineData(BgpRules.Native, "spec.bfdProfile", "BFDProfile: {}", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, bfdProfile: one}")]
    [InlineData(BgpRules.Native, "spec.keepaliveTime", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, keepaliveTime: 30s}")]
    [InlineData(BgpRules.Native, "spec.vrf", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, vrf: red}")]
    [InlineData(BgpRules.Native, "spec.connectTime", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, connectTime: 5s}")]
    [InlineData(BgpRules.Native, "spec.enableGracefulRestart", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, enableGracefulRestart: true}")]
    [InlineData(BgpRules.Native, "spec.disableMP", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, disableMP: true}")]
    [InlineData(BgpRules.Native, "spec.dualStackAddressFamily", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, dualStackAddressFamily: true}")]
    [InlineData(BgpRules.Native, "spec.dynamicASN", "BGPPeer two: {myASN: 1, dynamicASN: internal, peerAddress: 10.9.0.1}")]
    [InlineData(BgpRules.Native, "spec.interface", "BGPPeer two: {myASN: 1, peerASN: 2, interface: eth0}")]
    [InlineData(BgpRules.Native, "spec.localASN", "BGPPeer two: {myASN: 1, peerASN: 2, localASN: 3, peerAddress: 10.9.0.1}")]
    [InlineData(BgpRules.Native, "metadata.name", "BFDProfile: {}")]
    [InlineData(BgpRules.Native, "spec.ipAddressPools", Dual, "BGPAdvertisement two: {}")]
    [InlineData(BgpRules.Native, "spec.communities", "BGPAdvertisement two: {communities: ['large:1:2:3']}")]
    [InlineData(BgpRules.Native, "spec.communities", "Community two: {communities: [{name: a, value: 'large:1:2:3'}]}")]
    [InlineData(BgpRules.Frr, "spec.routerID", Peer, "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, routerID: 1.1.1.1}")]
    [InlineData(BgpRules.Frr, "spec.routerID", "BGPPeer one: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, routerID: 1.1.1.1}", "BGPPeer two: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.2, routerID: 1.1.1.2}")]
    [InlineData(BgpRules.Frr, "spec.myASN", "BGPPeer one: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, vrf: red}", "BGPPeer two: {myASN: 9, peerASN: 2, peerAddress: 10.9.0.2, vrf: red}")]
    [InlineData(BgpRules.Native, "spec.ipAddressPools", "IPAddressPool: {addresses: ['fd00::/120']}", "BGPAdvertisement two: {ipAddressPools: [one]}")]
    [InlineData(BgpRules.Frr, "spec.myASN", Peer, "BGPPeer two: {myASN: 9, peerASN: 2, peerAddress: 10.9.0.2}")]
    public void Refused_under_the_rules_of_MetalLBs_modes_only(BgpRules rules, string field, params string[] resources)
    {
        Assert.Empty(Judge(resources).Faults);
        Assert.Contains(Judge(rules, resources).Faults, fault => fault.Field == field);
    }

    [Theory]
    [InlineData(BgpRules.Native, Dual, "BGPAdvertisement two: {ipAddressPools: [other]}")]
    [InlineData(BgpRules.Frr, Peer, "BGPPeer two: {myASN: 9, peerASN: 2, peerAddress: 10.9.0.2, vrf: red}")]
    [InlineData(BgpRules.Frr, "Node a: {z: a}", "Node b: {z: b}", "BGPPeer one: {myASN: 1, peerASN: 2, peerAddress: 10.9.0.1, nodeSelectors: [{matchLabels: {z: a}}]}", "BGPPeer two: {myASN: 9, peerASN: 2, peerAddress: 10.9.0.1, routerID: 1.1.1.1, nodeSelectors: [{matchLabels: {z: b}}]}")]
    public void Accepted_under_the_rules_of_MetalLBs_modes(BgpRules rules, params string[] resources)
    {
        Assert.Empty(Judge(rules, resources).Faults);
    }

    [Fact]
    public void Unknown_pools_in_an_advertisement_are_noticed()
    {
        Assert.Contains(Judge(Pool, "L2Advertisement two: {ipAddressPools: [one, lost]}").Notices, static notice => notice.Reason.Contains("'lost'", StringComparison.Ordinal));
    }

    private static (IReadOnlyList<ConfigFault> Faults, IReadOnlyList<ConfigFault> Notices) Judge(params string[] resources) => Judge(BgpRules.Own, resources);

    private static (IReadOnlyList<ConfigFault> Faults, IReadOnlyList<ConfigFault> Notices) Judge(BgpRules rules, params string[] resources)
    {
        var reader = new ManifestReader(rules);
        reader.Read("test", string.Join("\n---\n", resources.Select(Document)));
        return reader.Judge();
    }

    /// <summary>[version] Kind [name]: spec</summary>
    private static string Document(string text)
    {
        int colon = text.IndexOf(": ", StringComparison.Ordinal);
        string[] words = text[..colon].Split(' ');
        string version = words[0].Contains('/', StringComparison.Ordinal) ? words[0] : "";
        string kind = words[version.Length > 0 ? 1 : 0];
        string name = words.Length > (version.Length > 0 ? 2 : 1) ? words[^1] : "one";
        if (version.Length == 0)
            version = kind switch { "AddressService" => "dynamiclb.io/v1beta1", "BGPPeer" => "metallb.io/v1beta2", "Service" or "Secret" or "Node" => "v1", _ => "metallb.io/v1beta1" };
        string labels = kind == "Node" ? $", labels: {text[(colon + 2)..]}" : "";
        return $"apiVersion: {version}\nkind: {kind}\nmetadata: {{{(name == "-" ? "" : $"name: {name}")}{labels}}}\n{(kind == "Node" ? "" : $"spec: {text[(colon + 2)..]}\n")}";
    }
}
