using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Configuration;

/// <summary>The resources that configure the programs, as they are in one namespace.</summary>
public sealed record ConfigResources
{
    /// <summary>Address pools.</summary>
    public IReadOnlyCollection<IPAddressPool> Pools { get; init; } = [];

    /// <summary>Address services.</summary>
    public IReadOnlyCollection<AddressServiceResource> AddressServices { get; init; } = [];

    /// <summary>Announcements by ARP and NDP.</summary>
    public IReadOnlyCollection<L2Advertisement> L2Advertisements { get; init; } = [];

    /// <summary>Announcements by BGP.</summary>
    public IReadOnlyCollection<BGPAdvertisement> BgpAdvertisements { get; init; } = [];

    /// <summary>BGP sessions.</summary>
    public IReadOnlyCollection<BGPPeer> BgpPeers { get; init; } = [];

    /// <summary>Parameters of BFD.</summary>
    public IReadOnlyCollection<BFDProfile> BfdProfiles { get; init; } = [];

    /// <summary>Aliases of communities.</summary>
    public IReadOnlyCollection<Community> Communities { get; init; } = [];

    /// <summary>The nodes of the cluster; null when they are not known.</summary>
    public IReadOnlyCollection<Node>? Nodes { get; init; }

    /// <summary>The Secrets of our own namespace; null when they are not known, and references to them are not checked.</summary>
    public IReadOnlyCollection<Secret>? Secrets { get; init; }
}

/// <summary>Reads the configuration from resources.</summary>
public static class ResourceReader
{
    /// <summary>Reads and judges.</summary>
    /// <param name="resources">The resources.</param>
    /// <param name="previous">What is in force, or null.</param>
    /// <param name="rules">Restrictions on BGP.</param>
    /// <param name="toleratesAbsent">Whether a reference to something that may still be made is no fault.</param>
    public static ConfigResult Read(ConfigResources resources, LoadBalancerConfig? previous = null, BgpRules rules = BgpRules.Own, bool toleratesAbsent = false)
    {
        var set = new ConfigSet
        {
            Pools = Items(resources.Pools, "IPAddressPool", static pool => pool.Spec),
            AddressServices = Items(resources.AddressServices, "AddressService", static service => service.Spec),
            L2Advertisements = Items(resources.L2Advertisements, "L2Advertisement", static ad => ad.Spec),
            BgpAdvertisements = Items(resources.BgpAdvertisements, "BGPAdvertisement", static ad => ad.Spec),
            BgpPeers = Items(resources.BgpPeers, "BGPPeer", static peer => peer.Spec),
            BfdProfiles = Items(resources.BfdProfiles, "BFDProfile", static profile => profile.Spec),
            Communities = Items(resources.Communities, "Community", static community => community.Spec),
            Nodes = resources.Nodes?.ToDictionary(static node => node.Metadata.Name ?? "", static node => node.Metadata.Labels),
            Secrets = resources.Secrets?.ToDictionary(static secret => secret.Metadata.Name ?? "", static secret => new SecretShape(secret.Type, [.. secret.Data?.Keys ?? []])),
            BgpRules = rules,
            ToleratesAbsent = toleratesAbsent,
        };
        return ConfigValidator.Validate(set, previous);
    }

    /// <summary>Those that were created first come first; of those of one second, by name.</summary>
    private static List<ConfigItem<TSpec>> Items<T, TSpec>(IEnumerable<T> objects, string kind, Func<T, TSpec> spec)
        where T : KubernetesObject =>
    [
        .. objects.OrderBy(static item => item.Metadata.CreationTimestamp ?? "", StringComparer.Ordinal).ThenBy(static item => item.Metadata.Name, StringComparer.Ordinal)
            .Select(item => new ConfigItem<TSpec>(
                new ConfigOrigin(kind, item.Metadata.Name ?? "", $"{kind} '{item.Metadata.Name}'"), spec(item), item.Metadata.Labels)),
    ];
}
