using DynamicLb.Contracts.Resources;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Where an object of the configuration was read, so that faults can name it.</summary>
/// <param name="Kind">Its kind, such as <c>IPAddressPool</c>.</param>
/// <param name="Name">Its name; empty when it has none.</param>
/// <param name="Title">What faults call it.</param>
public sealed record ConfigOrigin(string Kind, string Name, string Title)
{
    /// <summary>The line of a field, spelt as in the source; null where there are no lines.</summary>
    public Func<string, int>? Line { get; init; }

    /// <summary>The file, where there are several.</summary>
    public string? File { get; init; }

    /// <summary>How the source spells a path in the spec; null to write it as it is, after <c>spec.</c></summary>
    public Func<string, string>? Spell { get; init; }

    /// <summary>Fields, spelt as in the source, that could not even be read. With any, the object is refused.</summary>
    public IReadOnlySet<string> Unreadable { get; init; } = new HashSet<string>();

    /// <inheritdoc/>
    public bool Equals(ConfigOrigin? other) => ReferenceEquals(this, other);

    /// <inheritdoc/>
    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
}

/// <summary>One object of the configuration, not yet judged.</summary>
/// <param name="Origin">Where it was read.</param>
/// <param name="Spec">What it says.</param>
/// <param name="Labels">Its labels, by which advertisements choose pools; null for none.</param>
public sealed record ConfigItem<T>(ConfigOrigin Origin, T Spec, IReadOnlyDictionary<string, string>? Labels = null)
{
    /// <summary>Its name.</summary>
    public string Name => Origin.Name;
}

/// <summary>What is known of a Secret that a BGPPeer names.</summary>
/// <param name="Type">Its type.</param>
/// <param name="Keys">Its keys.</param>
public sealed record SecretShape(string? Type, IReadOnlyCollection<string> Keys);

/// <summary>Whose restrictions on BGP are to be kept.</summary>
public enum BgpRules
{
    /// <summary>Our own: what our speaker cannot do, or nobody can.</summary>
    Own = 0,

    /// <summary>Those of MetalLB's native mode, too.</summary>
    Native,

    /// <summary>Those of MetalLB's FRR modes, too.</summary>
    Frr,
}

/// <summary>
/// A whole configuration as it was written, from whichever reader. In each list those that were there first come first: where two objects cannot both be, the later one is refused.
/// </summary>
public sealed record ConfigSet
{
    /// <summary>Address pools.</summary>
    public IReadOnlyList<ConfigItem<IPAddressPoolSpec>> Pools { get; init; } = [];

    /// <summary>Address services.</summary>
    public IReadOnlyList<ConfigItem<AddressServiceSpec>> AddressServices { get; init; } = [];

    /// <summary>Announcements by ARP and NDP.</summary>
    public IReadOnlyList<ConfigItem<L2AdvertisementSpec>> L2Advertisements { get; init; } = [];

    /// <summary>Announcements by BGP.</summary>
    public IReadOnlyList<ConfigItem<BGPAdvertisementSpec>> BgpAdvertisements { get; init; } = [];

    /// <summary>BGP sessions.</summary>
    public IReadOnlyList<ConfigItem<BGPPeerSpec>> BgpPeers { get; init; } = [];

    /// <summary>Parameters of BFD.</summary>
    public IReadOnlyList<ConfigItem<BFDProfileSpec>> BfdProfiles { get; init; } = [];

    /// <summary>Aliases of communities.</summary>
    public IReadOnlyList<ConfigItem<CommunitySpec>> Communities { get; init; } = [];

    /// <summary>Labels of the nodes by name; null when they are not known, and what depends on them is judged by the selectors alone.</summary>
    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>?>? Nodes { get; init; }

    /// <summary>Secrets of our own namespace by name; null when they are not known, and references to them are not checked.</summary>
    public IReadOnlyDictionary<string, SecretShape>? Secrets { get; init; }

    /// <summary>Whether a reference to something that may still be made (a BFDProfile, the alias of a community) is no fault.</summary>
    public bool ToleratesAbsent { get; init; }

    /// <summary>Restrictions on BGP.</summary>
    public BgpRules BgpRules { get; init; }

    /// <summary>Whether pools are tried in the order of the lists; otherwise in the order of their names.</summary>
    public bool KeepsOrder { get; init; }

    /// <summary>All objects, each replaced by what <paramref name="substitute"/> returns for it, or left out for null.</summary>
    internal ConfigSet Select(ISubstitution substitute) => this with
    {
        Pools = Select(Pools, substitute),
        AddressServices = Select(AddressServices, substitute),
        L2Advertisements = Select(L2Advertisements, substitute),
        BgpAdvertisements = Select(BgpAdvertisements, substitute),
        BgpPeers = Select(BgpPeers, substitute),
        BfdProfiles = Select(BfdProfiles, substitute),
        Communities = Select(Communities, substitute),
    };

    /// <summary>The objects of one type.</summary>
    internal IEnumerable<ConfigItem<T>> Of<T>() =>
        new object[] { Pools, AddressServices, L2Advertisements, BgpAdvertisements, BgpPeers, BfdProfiles, Communities }.OfType<IReadOnlyList<ConfigItem<T>>>()
            .SelectMany(static list => list);

    private static IReadOnlyList<ConfigItem<T>> Select<T>(IReadOnlyList<ConfigItem<T>> items, ISubstitution substitute) =>
        [.. items.Select(substitute.For).OfType<ConfigItem<T>>()];

    /// <summary>Says what an object is replaced by.</summary>
    internal interface ISubstitution
    {
        ConfigItem<T>? For<T>(ConfigItem<T> item);
    }
}
