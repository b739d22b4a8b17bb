using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Admission;

/// <summary>A kind of resource that is looked at before it is written.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Path">Where the API server asks (MetalLB's paths).</param>
internal abstract record AdmittedKind(string Kind, string Path)
{
    private static readonly ConfigJsonContext Json = ConfigJsonContext.Default;

    /// <summary>All of them.</summary>
    public static IReadOnlyList<AdmittedKind> All { get; } =
    [
        new AdmittedKind<IPAddressPool>(
            "IPAddressPool", "/validate-metallb-io-v1beta1-ipaddresspool", Json.IPAddressPool, static all => all.Pools, static (all, items) => all with { Pools = items }),
        new AdmittedKind<L2Advertisement>(
            "L2Advertisement", "/validate-metallb-io-v1beta1-l2advertisement", Json.L2Advertisement, static all => all.L2Advertisements,
            static (all, items) => all with { L2Advertisements = items }),
        new AdmittedKind<BGPAdvertisement>(
            "BGPAdvertisement", "/validate-metallb-io-v1beta1-bgpadvertisement", Json.BGPAdvertisement, static all => all.BgpAdvertisements,
            static (all, items) => all with { BgpAdvertisements = items }),
        new AdmittedKind<BGPPeer>("BGPPeer", "/validate-metallb-io-v1beta2-bgppeer", Json.BGPPeer, static all => all.BgpPeers, static (all, items) => all with { BgpPeers = items }),
        new AdmittedKind<BFDProfile>(
            "BFDProfile", "/validate-metallb-io-v1beta1-bfdprofile", Json.BFDProfile, static all => all.BfdProfiles, static (all, items) => all with { BfdProfiles = items }),
        new AdmittedKind<Community>(
            "Community", "/validate-metallb-io-v1beta1-community", Json.Community, static all => all.Communities, static (all, items) => all with { Communities = items }),
        new AdmittedKind<AddressServiceResource>(
            "AddressService", "/validate-dynamiclb-io-v1beta1-addressservice", Json.AddressServiceResource, static all => all.AddressServices,
            static (all, items) => all with { AddressServices = items }),
    ];

    /// <summary>The configuration with an object of this kind in the place of that of its name, as the one that was made last.</summary>
    /// <exception cref="JsonException">It is none of this kind.</exception>
    public abstract ConfigResources With(ConfigResources all, string name, JsonElement item);

    /// <summary>The configuration without the object of that name.</summary>
    public abstract ConfigResources Without(ConfigResources all, string name);
}

/// <inheritdoc/>
internal sealed record AdmittedKind<T>(
    string Kind, string Path, JsonTypeInfo<T> TypeInfo, Func<ConfigResources, IReadOnlyCollection<T>> Get, Func<ConfigResources, IReadOnlyCollection<T>, ConfigResources> Set)
    : AdmittedKind(Kind, Path)
    where T : KubernetesObject
{
    // Of two that contradict each other the later one is at fault: that is the one that is asked about.
    private const string Last = "9999-12-31T23:59:59Z";

    public override ConfigResources With(ConfigResources all, string name, JsonElement item)
    {
        var value = item.Deserialize(TypeInfo) ?? throw new JsonException("there is no object");
        return Set(all, [.. Others(all, name), value with { Metadata = value.Metadata with { Name = name, CreationTimestamp = Last } }]);
    }

    public override ConfigResources Without(ConfigResources all, string name) => Set(all, [.. Others(all, name)]);

    private IEnumerable<T> Others(ConfigResources all, string name) => Get(all).Where(item => item.Metadata.Name != name);
}
