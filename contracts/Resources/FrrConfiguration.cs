using System.Text.Json.Serialization;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Resources;

/// <summary>What FRR-K8s makes of a node's FRR (frrk8s.metallb.io/v1beta1). Only what we write; a field that is null is left to others.</summary>
public sealed record FrrConfiguration : KubernetesObject
{
    /// <summary>API group.</summary>
    public const string Group = "frrk8s.metallb.io";

    /// <summary>What is wanted.</summary>
    public FrrConfigurationSpec Spec { get => field ?? new(); init; }
}

/// <summary>The spec of an <see cref="FrrConfiguration"/>.</summary>
public sealed record FrrConfigurationSpec
{
    /// <summary>BGP and BFD.</summary>
    public FrrBgp Bgp { get => field ?? new(); init; }

    /// <summary>The nodes that are meant.</summary>
    public FrrNodeSelector NodeSelector { get => field ?? new(); init; }
}

/// <summary>A label selector.</summary>
public sealed record FrrNodeSelector
{
    /// <summary>Labels that a node must have.</summary>
    public IReadOnlyDictionary<string, string>? MatchLabels { get; init; }
}

/// <summary>BGP and BFD of a node.</summary>
public sealed record FrrBgp
{
    /// <summary>One for each VRF.</summary>
    public IReadOnlyList<FrrRouter> Routers { get => field ?? []; init; }

    /// <summary>Parameters of BFD.</summary>
    public IReadOnlyList<FrrBfdProfile> BfdProfiles { get => field ?? []; init; }
}

/// <summary>A BGP instance.</summary>
public sealed record FrrRouter
{
    /// <summary>Our AS number.</summary>
    public long Asn { get; init; }

    /// <summary>Router ID.</summary>
    public string? Id { get; init; }

    /// <summary>VRF.</summary>
    public string? Vrf { get; init; }

    /// <summary>Sessions.</summary>
    public IReadOnlyList<FrrNeighbor> Neighbors { get => field ?? []; init; }

    /// <summary>Everything that is announced to any of them.</summary>
    public IReadOnlyList<string> Prefixes { get => field ?? []; init; }
}

/// <summary>A session.</summary>
public sealed record FrrNeighbor
{
    /// <summary>The router's AS number.</summary>
    public long? Asn { get; init; }

    /// <summary>internal or external, in place of a number.</summary>
    [JsonPropertyName("dynamicASN")]
    public string? DynamicAsn { get; init; }

    /// <summary>AS number to show in place of ours.</summary>
    [JsonPropertyName("localASN")]
    public long? LocalAsn { get; init; }

    /// <summary>Our address.</summary>
    [JsonPropertyName("sourceaddress")]
    public string? SourceAddress { get; init; }

    /// <summary>The router's address.</summary>
    public string? Address { get; init; }

    /// <summary>Interface, for an unnumbered session.</summary>
    public string? Interface { get; init; }

    /// <summary>The router's port.</summary>
    public int? Port { get; init; }

    /// <summary>TCP MD5 password. A secret.</summary>
    public string? Password { get; init; }

    /// <summary>Secret with the password.</summary>
    public FrrSecret? PasswordSecret { get; init; }

    /// <summary>Hold time.</summary>
    public string? HoldTime { get; init; }

    /// <summary>Keepalive time.</summary>
    public string? KeepaliveTime { get; init; }

    /// <summary>Time between attempts to connect.</summary>
    public string? ConnectTime { get; init; }

    /// <summary>More than one hop away.</summary>
    public bool? EbgpMultiHop { get; init; }

    /// <summary>Name of a BFD profile.</summary>
    public string? BfdProfile { get; init; }

    /// <summary>Graceful restart.</summary>
    public bool? EnableGracefulRestart { get; init; }

    /// <summary>Deprecated.</summary>
    [JsonPropertyName("disableMP")]
    public bool? DisableMp { get; init; }

    /// <summary>Both families over one session.</summary>
    public bool? DualStackAddressFamily { get; init; }

    /// <summary>What it is told.</summary>
    public FrrAdvertise ToAdvertise { get => field ?? new(); init; }
}

/// <summary>A Secret of type kubernetes.io/basic-auth.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Namespace">Its namespace: FRR-K8s reads those of its own.</param>
public sealed record FrrSecret(string Name, string Namespace);

/// <summary>What a neighbour is told.</summary>
public sealed record FrrAdvertise
{
    /// <summary>Prefixes.</summary>
    public FrrAllowed Allowed { get => field ?? new(); init; }

    /// <summary>Prefixes by their LOCAL_PREF.</summary>
    public IReadOnlyList<FrrLocalPref> WithLocalPref { get => field ?? []; init; }

    /// <summary>Prefixes by their communities.</summary>
    public IReadOnlyList<FrrCommunity> WithCommunity { get => field ?? []; init; }
}

/// <summary>Prefixes that a neighbour may be told.</summary>
public sealed record FrrAllowed
{
    /// <summary>Prefixes.</summary>
    public IReadOnlyList<string> Prefixes { get => field ?? []; init; }

    /// <summary>filtered: those above; all: all of the router's.</summary>
    public string Mode { get; init; } = "filtered";
}

/// <summary>Prefixes with a LOCAL_PREF.</summary>
/// <param name="Prefixes">The prefixes.</param>
/// <param name="LocalPref">The value.</param>
public sealed record FrrLocalPref(IReadOnlyList<string> Prefixes, long LocalPref);

/// <summary>Prefixes with a community.</summary>
/// <param name="Prefixes">The prefixes.</param>
/// <param name="Community"><c>65000:1</c> or <c>large:65000:1:2</c>.</param>
public sealed record FrrCommunity(IReadOnlyList<string> Prefixes, string Community);

/// <summary>Parameters of BFD; intervals in milliseconds.</summary>
public sealed record FrrBfdProfile
{
    /// <summary>The name.</summary>
    public string Name { get; init; } = "";

    /// <summary>10 to 60000.</summary>
    public int? ReceiveInterval { get; init; }

    /// <summary>10 to 60000.</summary>
    public int? TransmitInterval { get; init; }

    /// <summary>2 to 255.</summary>
    public int? DetectMultiplier { get; init; }

    /// <summary>10 to 60000.</summary>
    public int? EchoInterval { get; init; }

    /// <summary>Whether echo packets are sent.</summary>
    public bool EchoMode { get; init; }

    /// <summary>Whether the router speaks first.</summary>
    public bool PassiveMode { get; init; }

    /// <summary>1 to 254.</summary>
    public int? MinimumTtl { get; init; }
}

/// <summary>Where these resources live in the API.</summary>
public static class FrrResourceTypes
{
    /// <summary>Configurations.</summary>
    public static ResourceType<FrrConfiguration> FrrConfigurations { get; } = new(
        FrrConfiguration.Group, "v1beta1", "frrconfigurations", "FRRConfiguration", true, FrrJsonContext.Default.FrrConfiguration,
        FrrJsonContext.Default.ResourceListFrrConfiguration);
}

/// <summary>JSON of these resources.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResourceList<FrrConfiguration>))]
public sealed partial class FrrJsonContext : JsonSerializerContext;
