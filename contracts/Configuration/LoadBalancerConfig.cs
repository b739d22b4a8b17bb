using System.Collections.Frozen;
using System.Net;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Contracts.Configuration;

/// <summary>How an address is made known to the network.</summary>
public enum AnnouncementProtocol
{
    /// <summary>One node answers ARP for it.</summary>
    Layer2 = 0,

    /// <summary>Nodes tell routers by BGP.</summary>
    Bgp,
}

/// <summary>Where addresses come from: an address pool or an address service. Names are unique among both. Immutable.</summary>
/// <param name="Name">The name that annotations and metrics use.</param>
/// <param name="Protocol">How its addresses are announced.</param>
/// <param name="AutoAssign">Whether Services that ask for nothing may get one of its addresses.</param>
public abstract record AddressSource(string Name, AnnouncementProtocol Protocol, bool AutoAssign)
{
    /// <summary>Whether an address can be one of this source. True of any address for an address service without <c>cidrs</c>.</summary>
    public abstract bool MayContain(IPAddress address);
}

/// <summary>A reserved range, from which the controller gives addresses by itself.</summary>
/// <param name="Name">The name.</param>
/// <param name="Protocol">How its addresses are announced.</param>
/// <param name="AutoAssign">Whether Services that ask for nothing may get one.</param>
/// <param name="Ranges">The addresses, in the order in which they are used up.</param>
/// <param name="AvoidBuggyIPs">Whether IPv4 addresses that end in .0 or .255 are never given.</param>
public sealed record AddressPool(string Name, AnnouncementProtocol Protocol, bool AutoAssign, IReadOnlyList<AddressRange> Ranges, bool AvoidBuggyIPs)
    : AddressSource(Name, Protocol, AutoAssign)
{
    /// <inheritdoc/>
    public override bool MayContain(IPAddress address) => Ranges.Any(range => range.Contains(address));
}

/// <summary>A program that leases addresses (REST API <c>/v1/ip</c>).</summary>
/// <param name="Name">The name.</param>
/// <param name="Protocol">How its addresses are announced.</param>
/// <param name="AutoAssign">Whether Services that ask for nothing may get one.</param>
/// <param name="Url">Base address of the API.</param>
/// <param name="Cidrs">A guard: an address outside is refused. Empty: any is accepted.</param>
/// <param name="TokenFile">File that holds the token, or null.</param>
/// <param name="TokenSecret">Secret in our own namespace that holds the token, or null.</param>
/// <param name="Timeout">How long one call may take. It must exceed the service's own wait for DHCP.</param>
/// <param name="Tls">Certificates for an https address, or null for the system's.</param>
public sealed record AddressServiceSource(
    string Name, AnnouncementProtocol Protocol, bool AutoAssign, Uri Url, IReadOnlyList<AddressRange> Cidrs, string? TokenFile,
    SecretKeyReference? TokenSecret, TimeSpan Timeout, AddressServiceTls? Tls = null)
    : AddressSource(Name, Protocol, AutoAssign)
{
    /// <inheritdoc/>
    public override bool MayContain(IPAddress address) => Cidrs.Count == 0 || Cidrs.Any(range => range.Contains(address));
}

/// <summary>A value in a Secret.</summary>
/// <param name="Name">The Secret.</param>
/// <param name="Key">The key in it.</param>
public sealed record SecretKeyReference(string Name, string Key);

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

    /// <summary>The pools, in the order of the file, which is the order in which they are tried.</summary>
    public IReadOnlyList<AddressPool> AddressPools { get; }

    /// <summary>The address services, in the order of the file; they are tried after the pools.</summary>
    public IReadOnlyList<AddressServiceSource> AddressServices { get; }

    /// <summary>A source by name, or null.</summary>
    public AddressSource? Find(string? name) => name is null ? null : _byName.GetValueOrDefault(name);
}

/// <summary>Something wrong in the configuration.</summary>
/// <param name="Object">The object at fault, such as <c>address-pools[1] 'lab'</c>.</param>
/// <param name="Field">The field, or empty.</param>
/// <param name="Line">Line in the file, from 1; 0 when unknown.</param>
/// <param name="Reason">What is wrong with it.</param>
public sealed record ConfigFault(string Object, string Field, int Line, string Reason)
{
    /// <summary>One line for people.</summary>
    public override string ToString() =>
        $"{(Line > 0 ? $"line {Line}: " : "")}{Object}{(Object.Length > 0 && Field.Length > 0 ? "." : "")}{Field}: {Reason}";
}

/// <summary>What came of reading a configuration.</summary>
/// <param name="Config">The configuration; null when there is a fault.</param>
/// <param name="Faults">Everything that is wrong.</param>
/// <param name="Notices">What is understood but not done yet.</param>
public sealed record ConfigResult(LoadBalancerConfig? Config, IReadOnlyList<ConfigFault> Faults, IReadOnlyList<ConfigFault> Notices);
