using System.Text.Json.Serialization;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Resources;

/// <summary>A reserved range of addresses (metallb.io/v1beta1).</summary>
public sealed record IPAddressPool : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public IPAddressPoolSpec Spec { get => field ?? new(); init; }

    /// <summary>Written by the controller.</summary>
    public IPAddressPoolStatus? Status { get; init; }
}

/// <summary>The spec of an <see cref="IPAddressPool"/>.</summary>
public sealed record IPAddressPoolSpec
{
    /// <summary>Networks and ranges, in the order in which they are used up.</summary>
    public IReadOnlyList<string>? Addresses { get; init; }

    /// <summary>Whether Services that name no pool may get an address; null is true.</summary>
    public bool? AutoAssign { get; init; }

    /// <summary>Whether IPv4 addresses that end in .0 or .255 are left out; null is false.</summary>
    [JsonPropertyName("avoidBuggyIPs")]
    public bool? AvoidBuggyIPs { get; init; }

    /// <summary>Pins the pool to certain Services.</summary>
    public ServiceAllocationSpec? ServiceAllocation { get; init; }
}

/// <summary>Pins a pool to certain Services, by its mere presence.</summary>
public sealed record ServiceAllocationSpec
{
    /// <summary>Lower numbers first; 0 or null last.</summary>
    public long? Priority { get; init; }

    /// <summary>Namespaces whose Services may use it.</summary>
    public IReadOnlyList<string>? Namespaces { get; init; }

    /// <summary>Labels of further such namespaces.</summary>
    public IReadOnlyList<LabelSelector>? NamespaceSelectors { get; init; }

    /// <summary>Labels of the Services that may use it.</summary>
    public IReadOnlyList<LabelSelector>? ServiceSelectors { get; init; }
}

/// <summary>How a pool is used. A pool of 2^62 addresses or more counts as <see cref="long.MaxValue"/>.</summary>
public sealed record IPAddressPoolStatus
{
    /// <summary>IPv4 addresses in use; one that Services share counts once.</summary>
    [JsonPropertyName("assignedIPv4")]
    public long AssignedIPv4 { get; init; }

    /// <summary>IPv6 addresses in use.</summary>
    [JsonPropertyName("assignedIPv6")]
    public long AssignedIPv6 { get; init; }

    /// <summary>IPv4 addresses free.</summary>
    [JsonPropertyName("availableIPv4")]
    public long AvailableIPv4 { get; init; }

    /// <summary>IPv6 addresses free.</summary>
    [JsonPropertyName("availableIPv6")]
    public long AvailableIPv6 { get; init; }
}

/// <summary>Which addresses are announced by ARP and NDP (metallb.io/v1beta1).</summary>
public sealed record L2Advertisement : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public L2AdvertisementSpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of an <see cref="L2Advertisement"/>.</summary>
public sealed record L2AdvertisementSpec
{
    /// <summary>Pools and address services by name.</summary>
    [JsonPropertyName("ipAddressPools")]
    public IReadOnlyList<string>? IPAddressPools { get; init; }

    /// <summary>Further ones by label.</summary>
    [JsonPropertyName("ipAddressPoolSelectors")]
    public IReadOnlyList<LabelSelector>? IPAddressPoolSelectors { get; init; }

    /// <summary>Nodes that may announce.</summary>
    public IReadOnlyList<LabelSelector>? NodeSelectors { get; init; }

    /// <summary>Interfaces to announce on.</summary>
    public IReadOnlyList<string>? Interfaces { get; init; }

    /// <summary>Services that are meant.</summary>
    public IReadOnlyList<LabelSelector>? ServiceSelectors { get; init; }

    /// <summary>Nodes that are preferred.</summary>
    public IReadOnlyList<PreferredNodeSelector>? PreferredNodeSelectors { get; init; }
}

/// <summary>Nodes that are preferred for announcing.</summary>
public sealed record PreferredNodeSelector
{
    /// <summary>1 to 100; weights of all that match a node add up.</summary>
    public int Weight { get; init; }

    /// <summary>The nodes.</summary>
    public LabelSelector? Preference { get; init; }
}

/// <summary>Which addresses are announced by BGP (metallb.io/v1beta1).</summary>
public sealed record BGPAdvertisement : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public BGPAdvertisementSpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of a <see cref="BGPAdvertisement"/>.</summary>
public sealed record BGPAdvertisementSpec
{
    /// <summary>Prefix length of IPv4 routes; null is 32.</summary>
    public int? AggregationLength { get; init; }

    /// <summary>Prefix length of IPv6 routes; null is 128.</summary>
    public int? AggregationLengthV6 { get; init; }

    /// <summary>LOCAL_PREF; null is 0.</summary>
    public long? LocalPref { get; init; }

    /// <summary>Communities by alias or value.</summary>
    public IReadOnlyList<string>? Communities { get; init; }

    /// <summary>Pools and address services by name.</summary>
    [JsonPropertyName("ipAddressPools")]
    public IReadOnlyList<string>? IPAddressPools { get; init; }

    /// <summary>Further ones by label.</summary>
    [JsonPropertyName("ipAddressPoolSelectors")]
    public IReadOnlyList<LabelSelector>? IPAddressPoolSelectors { get; init; }

    /// <summary>Nodes that announce.</summary>
    public IReadOnlyList<LabelSelector>? NodeSelectors { get; init; }

    /// <summary>BGPPeers to announce to, by name.</summary>
    public IReadOnlyList<string>? Peers { get; init; }

    /// <summary>Services that are meant.</summary>
    public IReadOnlyList<LabelSelector>? ServiceSelectors { get; init; }
}

/// <summary>A BGP session (metallb.io/v1beta2; every field of v1beta1 has the same name and form there).</summary>
public sealed record BGPPeer : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public BGPPeerSpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of a <see cref="BGPPeer"/>. Times are Go's durations, such as <c>1m30s</c>.</summary>
public sealed record BGPPeerSpec
{
    /// <summary>Our AS number.</summary>
    [JsonPropertyName("myASN")]
    public long MyASN { get; init; }

    /// <summary>The router's AS number; null or 0 with <see cref="DynamicASN"/>.</summary>
    [JsonPropertyName("peerASN")]
    public long? PeerASN { get; init; }

    /// <summary>internal or external.</summary>
    [JsonPropertyName("dynamicASN")]
    public string? DynamicASN { get; init; }

    /// <summary>AS number to show in place of ours.</summary>
    [JsonPropertyName("localASN")]
    public long? LocalASN { get; init; }

    /// <summary>The router's address.</summary>
    public string? PeerAddress { get; init; }

    /// <summary>Interface of an unnumbered session.</summary>
    public string? Interface { get; init; }

    /// <summary>Our address in the session.</summary>
    public string? SourceAddress { get; init; }

    /// <summary>The router's port; null is 179.</summary>
    public int? PeerPort { get; init; }

    /// <summary>Hold time.</summary>
    public string? HoldTime { get; init; }

    /// <summary>Keepalive time.</summary>
    public string? KeepaliveTime { get; init; }

    /// <summary>Time between attempts to connect.</summary>
    public string? ConnectTime { get; init; }

    /// <summary>Our router ID.</summary>
    [JsonPropertyName("routerID")]
    public string? RouterID { get; init; }

    /// <summary>Nodes that have the session.</summary>
    public IReadOnlyList<LabelSelector>? NodeSelectors { get; init; }

    /// <summary>TCP MD5 password. A secret.</summary>
    public string? Password { get; init; }

    /// <summary>Secret with the password.</summary>
    public SecretName? PasswordSecret { get; init; }

    /// <summary>BFDProfile by name.</summary>
    public string? BfdProfile { get; init; }

    /// <summary>Graceful restart.</summary>
    public bool? EnableGracefulRestart { get; init; }

    /// <summary>More than one hop away.</summary>
    public bool? EbgpMultiHop { get; init; }

    /// <summary>VRF of the session.</summary>
    public string? Vrf { get; init; }

    /// <summary>Deprecated.</summary>
    [JsonPropertyName("disableMP")]
    public bool? DisableMP { get; init; }

    /// <summary>Both families over one session.</summary>
    public bool? DualStackAddressFamily { get; init; }
}

/// <summary>A Secret by name.</summary>
public sealed record SecretName
{
    /// <summary>The Secret, in our own namespace.</summary>
    public string? Name { get; init; }
}

/// <summary>Parameters of BFD sessions (metallb.io/v1beta1).</summary>
public sealed record BFDProfile : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public BFDProfileSpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of a <see cref="BFDProfile"/>. Intervals in milliseconds; null is the default.</summary>
public sealed record BFDProfileSpec
{
    /// <summary>10 to 60000; 300.</summary>
    public int? ReceiveInterval { get; init; }

    /// <summary>10 to 60000; 300.</summary>
    public int? TransmitInterval { get; init; }

    /// <summary>2 to 255; 3.</summary>
    public int? DetectMultiplier { get; init; }

    /// <summary>10 to 60000; 50.</summary>
    public int? EchoInterval { get; init; }

    /// <summary>Whether echo packets are sent; IPv4 only.</summary>
    public bool? EchoMode { get; init; }

    /// <summary>Whether we wait for the other side to begin.</summary>
    public bool? PassiveMode { get; init; }

    /// <summary>1 to 254; 254.</summary>
    public int? MinimumTtl { get; init; }
}

/// <summary>Aliases of BGP communities (metallb.io/v1beta1).</summary>
public sealed record Community : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public CommunitySpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of a <see cref="Community"/>.</summary>
public sealed record CommunitySpec
{
    /// <summary>The aliases.</summary>
    public IReadOnlyList<CommunityAlias>? Communities { get; init; }
}

/// <summary>One alias.</summary>
public sealed record CommunityAlias
{
    /// <summary>The alias.</summary>
    public string? Name { get; init; }

    /// <summary><c>65000:1</c> or <c>large:65000:1:2</c>.</summary>
    public string? Value { get; init; }
}

/// <summary>To which BGP peers a node announces a Service (metallb.io/v1beta1). It has no spec.</summary>
public sealed record ServiceBGPStatus : KubernetesObject
{
    /// <summary>Written by the speaker.</summary>
    public ServiceBGPStatusStatus? Status { get; init; }
}

/// <summary>The status of a <see cref="ServiceBGPStatus"/>.</summary>
public sealed record ServiceBGPStatusStatus
{
    /// <summary>The node.</summary>
    public string? Node { get; init; }

    /// <summary>The Service.</summary>
    public string? ServiceName { get; init; }

    /// <summary>Its namespace.</summary>
    public string? ServiceNamespace { get; init; }

    /// <summary>BGPPeers by name, sorted.</summary>
    public IReadOnlyList<string>? Peers { get; init; }
}

/// <summary>What one program makes of the configuration (metallb.io/v1beta1). It has no spec.</summary>
public sealed record ConfigurationState : KubernetesObject
{
    /// <summary>Label with <c>controller</c> or <c>speaker</c>.</summary>
    public const string ComponentTypeLabel = "metallb.io/component-type";

    /// <summary>Written by the program.</summary>
    public ConfigurationStateStatus? Status { get; init; }
}

/// <summary>The status of a <see cref="ConfigurationState"/>.</summary>
public sealed record ConfigurationStateStatus
{
    /// <summary>Valid, Invalid or Unknown.</summary>
    public string? Result { get; init; }

    /// <summary>What is wrong, a line for each fault.</summary>
    public string? ErrorSummary { get; init; }

    /// <summary>One condition for each part of the program that reads the configuration.</summary>
    public IReadOnlyList<Condition>? Conditions { get; init; }
}
