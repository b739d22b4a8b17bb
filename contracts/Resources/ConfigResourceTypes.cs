using System.Text.Json.Serialization;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Resources;

/// <summary>Where the resources that configure the programs live in the API (manifests/crds).</summary>
public static class ConfigResourceTypes
{
    /// <summary>API group of MetalLB.</summary>
    public const string MetalLbGroup = "metallb.io";

    /// <summary>API group of our own resources.</summary>
    public const string OwnGroup = "dynamiclb.io";

    private static readonly ConfigJsonContext Json = ConfigJsonContext.Default;

    /// <summary>Address pools.</summary>
    public static ResourceType<IPAddressPool> IPAddressPools { get; } =
        new(MetalLbGroup, "v1beta1", "ipaddresspools", "IPAddressPool", true, Json.IPAddressPool, Json.ResourceListIPAddressPool);

    /// <summary>Announcements by ARP and NDP.</summary>
    public static ResourceType<L2Advertisement> L2Advertisements { get; } =
        new(MetalLbGroup, "v1beta1", "l2advertisements", "L2Advertisement", true, Json.L2Advertisement, Json.ResourceListL2Advertisement);

    /// <summary>Announcements by BGP.</summary>
    public static ResourceType<BGPAdvertisement> BGPAdvertisements { get; } =
        new(MetalLbGroup, "v1beta1", "bgpadvertisements", "BGPAdvertisement", true, Json.BGPAdvertisement, Json.ResourceListBGPAdvertisement);

    /// <summary>BGP sessions.</summary>
    public static ResourceType<BGPPeer> BGPPeers { get; } =
        new(MetalLbGroup, "v1beta2", "bgppeers", "BGPPeer", true, Json.BGPPeer, Json.ResourceListBGPPeer);

    /// <summary>Parameters of BFD.</summary>
    public static ResourceType<BFDProfile> BFDProfiles { get; } =
        new(MetalLbGroup, "v1beta1", "bfdprofiles", "BFDProfile", true, Json.BFDProfile, Json.ResourceListBFDProfile);

    /// <summary>Aliases of communities.</summary>
    public static ResourceType<Community> Communities { get; } =
        new(MetalLbGroup, "v1beta1", "communities", "Community", true, Json.Community, Json.ResourceListCommunity);

    /// <summary>What programs make of the configuration.</summary>
    public static ResourceType<ConfigurationState> ConfigurationStates { get; } =
        new(MetalLbGroup, "v1beta1", "configurationstates", "ConfigurationState", true, Json.ConfigurationState, Json.ResourceListConfigurationState);

    /// <summary>Which node announces a Service to which BGP peers.</summary>
    public static ResourceType<ServiceBGPStatus> ServiceBGPStatuses { get; } =
        new(MetalLbGroup, "v1beta1", "servicebgpstatuses", "ServiceBGPStatus", true, Json.ServiceBGPStatus, Json.ResourceListServiceBGPStatus);

    /// <summary>Address services.</summary>
    public static ResourceType<AddressServiceResource> AddressServices { get; } = new(
        OwnGroup, "v1beta1", "addressservices", "AddressService", true, Json.AddressServiceResource, Json.ResourceListAddressServiceResource);
}

/// <summary>JSON of the resources that configure the programs.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResourceList<IPAddressPool>))]
[JsonSerializable(typeof(ResourceList<L2Advertisement>))]
[JsonSerializable(typeof(ResourceList<BGPAdvertisement>))]
[JsonSerializable(typeof(ResourceList<BGPPeer>))]
[JsonSerializable(typeof(ResourceList<BFDProfile>))]
[JsonSerializable(typeof(ResourceList<Community>))]
[JsonSerializable(typeof(ResourceList<ConfigurationState>))]
[JsonSerializable(typeof(ResourceList<ServiceBGPStatus>))]
[JsonSerializable(typeof(ResourceList<AddressServiceResource>))]
public sealed partial class ConfigJsonContext : JsonSerializerContext;
