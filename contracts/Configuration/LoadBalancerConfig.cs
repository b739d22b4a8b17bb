using System.Collections.Frozen;

namespace DynamicLb.Contracts.Configuration;

/// <summary>The whole configuration, validated. Immutable; controller and speaker read the same.</summary>
public sealed class LoadBalancerConfig
{
    private readonly FrozenDictionary<string, AddressSource> _byName;

    /// <summary>Creates a configuration from parts whose names are unique.</summary>
    public LoadBalancerConfig(IReadOnlyList<AddressPool> addressPools, IReadOnlyList<AddressServiceSource> addressServices)
    {
        AddressPools = addressPools;
        AddressServices = addressServices;
        _byName = addressPools.Concat<AddressSource>(addressServices).ToFrozenDictionary(static source => source.Name);
    }

    /// <summary>A configuration that gives nothing.</summary>
    public static LoadBalancerConfig Empty { get; } = new([], []);

    /// <summary>The pools in the order in which they are tried among equals: that of the file, or of their names.</summary>
    public IReadOnlyList<AddressPool> AddressPools { get; }

    /// <summary>The address services in their order; they are tried after the pools.</summary>
    public IReadOnlyList<AddressServiceSource> AddressServices { get; }

    /// <summary>Pools and address services that are configured, but refused: what Services have from them stays, and nothing new is given.</summary>
    public IReadOnlySet<string> RefusedSources { get; init; } = FrozenSet<string>.Empty;

    /// <summary>Announcements by ARP and NDP, in the order of their names.</summary>
    public IReadOnlyList<Layer2Advertisement> Layer2Advertisements { get; init; } = [];

    /// <summary>Announcements by BGP, in the order of their names.</summary>
    public IReadOnlyList<BgpAdvertisement> BgpAdvertisements { get; init; } = [];

    /// <summary>BGP sessions, in the order of their names.</summary>
    public IReadOnlyList<BgpPeer> BgpPeers { get; init; } = [];

    /// <summary>Parameters of BFD, in the order of their names.</summary>
    public IReadOnlyList<BfdProfile> BfdProfiles { get; init; } = [];

    /// <summary>The objects it was made of.</summary>
    internal ConfigSet Accepted { get; init; } = new();

    /// <summary>A source by name, or null.</summary>
    public AddressSource? Find(string? name) => name is null ? null : _byName.GetValueOrDefault(name);
}

/// <summary>Something wrong in the configuration.</summary>
/// <param name="Object">The object at fault, such as <c>address-pools[1] 'lab'</c> or <c>IPAddressPool 'lab'</c>.</param>
/// <param name="Field">The field, or empty.</param>
/// <param name="Line">Line in the file, from 1; 0 when unknown.</param>
/// <param name="Reason">What is wrong with it.</param>
public sealed record ConfigFault(string Object, string Field, int Line, string Reason)
{
    /// <summary>The file, where there are several.</summary>
    public string? File { get; init; }

    /// <summary>One line for people.</summary>
    public override string ToString() =>
        $"{(File is null ? "" : $"{File}: ")}{(Line > 0 ? $"line {Line}: " : "")}{Object}{(Object.Length > 0 && Field.Length > 0 ? (Field.StartsWith("spec", StringComparison.Ordinal) ? " " : ".") : "")}{Field}: {Reason}";
}

/// <summary>What came of reading a configuration.</summary>
/// <param name="Config">What stands without the objects at fault; null when nothing could be read at all.</param>
/// <param name="Faults">Everything that is wrong.</param>
/// <param name="Notices">What is right, but perhaps not what was meant.</param>
public sealed record ConfigResult(LoadBalancerConfig? Config, IReadOnlyList<ConfigFault> Faults, IReadOnlyList<ConfigFault> Notices)
{
    /// <summary>Whether nothing is wrong.</summary>
    public bool IsGood => Faults.Count == 0;
}
