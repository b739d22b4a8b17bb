using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Contracts.Configuration;

/// <summary>How an address is made known to the network.</summary>
[Flags]
public enum AnnouncementProtocol
{
    /// <summary>Not at all: no advertisement chooses it.</summary>
    None = 0,

    /// <summary>One node answers ARP and NDP for it.</summary>
    Layer2 = 1,

    /// <summary>Nodes tell routers by BGP.</summary>
    Bgp = 2,
}

/// <summary>Which Services may use a source that is pinned. Immutable.</summary>
/// <param name="Priority">Lower numbers first; 0 and below last.</param>
/// <param name="Namespaces">Namespaces whose Services may.</param>
/// <param name="NamespaceSelectors">Labels of further such namespaces. With neither, Services of any namespace may.</param>
/// <param name="ServiceSelectors">Labels of the Services that may; none for all.</param>
public sealed record ServiceAllocation(
    long Priority, FrozenSet<string> Namespaces, IReadOnlyList<LabelSelector> NamespaceSelectors, IReadOnlyList<LabelSelector> ServiceSelectors)
{
    /// <summary>Sorts pinned sources: those with a priority by it, those without at the end.</summary>
    public long Rank => Priority > 0 ? Priority : long.MaxValue;

    /// <summary>Whether a Service may use the source. A namespace selector that matches no namespace lets nobody in.</summary>
    public bool Permits(string serviceNamespace, IReadOnlyDictionary<string, string>? namespaceLabels, IReadOnlyDictionary<string, string>? serviceLabels)
    {
        bool anyNamespace = Namespaces.Count == 0 && NamespaceSelectors.Count == 0;
        return (anyNamespace || Namespaces.Contains(serviceNamespace) || NamespaceSelectors.Any(selector => selector.Matches(namespaceLabels)))
            && LabelSelector.AnyMatches(ServiceSelectors, serviceLabels);
    }
}

/// <summary>What becomes of a Service's address when its lease is lost or changes.</summary>
public enum LeaseChangePolicy
{
    /// <summary>The new address takes the place of the old one, which goes as soon as it is lost.</summary>
    Adopt = 0,

    /// <summary>The old address stays until its lease would have ended, then the new one is taken.</summary>
    Hold,

    /// <summary>The old address goes, and no other is taken until somebody says so.</summary>
    Fail,
}

/// <summary>The hardware address that an address is announced with by ARP.</summary>
public enum AnnouncedMac
{
    /// <summary>That of the announcing node's interface, as MetalLB does.</summary>
    Node = 0,

    /// <summary>That of the lease, which moves with the address from node to node.</summary>
    Lease,
}

/// <summary>Where addresses come from: an address pool or an address service. Names are unique among both. Immutable.</summary>
/// <param name="Name">The name that annotations and metrics use.</param>
/// <param name="Protocol">How its addresses are announced.</param>
/// <param name="AutoAssign">Whether Services that ask for nothing may get one of its addresses.</param>
public abstract record AddressSource(string Name, AnnouncementProtocol Protocol, bool AutoAssign)
{
    /// <summary>The Services it is pinned to; null when it is for all.</summary>
    public ServiceAllocation? Allocation { get; init; }

    /// <summary>Whether an address can be one of this source. True of any address for an address service without <c>cidrs</c>.</summary>
    public abstract bool MayContain(IPAddress address);

    /// <summary>Whether an IPv4 address ends in .0 or .255, which some equipment drops.</summary>
    public static bool IsBuggy(IPAddress address) => address.AddressFamily == AddressFamily.InterNetwork && ((uint)AddressRange.ToNumber(address) & 0xff) is 0 or 0xff;
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
    /// <summary>The concurrency where nothing is said: half of what an address service has under way at DHCP servers at a time.</summary>
    public const int DefaultConcurrency = 32;

    /// <summary>How many calls for leases it is sent at a time, 1 to 256; the others wait with us.</summary>
    public int Concurrency { get; init; } = DefaultConcurrency;

    /// <summary>Whether IPv4 addresses that end in .0 or .255 are refused.</summary>
    public bool AvoidBuggyIPs { get; init; }

    /// <summary>Whether it is asked for IPv4 addresses.</summary>
    public bool LeasesIPv4 { get; init; } = true;

    /// <summary>Whether it is asked for IPv6 addresses: a Service of both families has a lease of each.</summary>
    public bool LeasesIPv6 { get; init; }

    /// <summary>The interface that it is to lease on, as it names it; null leaves it to the address service.</summary>
    public string? Interface { get; init; }

    /// <summary>What becomes of an address whose lease is lost or changes.</summary>
    public LeaseChangePolicy OnLeaseChange { get; init; }

    /// <summary>The hardware address that its IPv4 addresses are announced with by ARP.</summary>
    public AnnouncedMac AnnouncedMac { get; init; }

    /// <summary>Whether it is asked for addresses of a family.</summary>
    public bool Leases(AddressFamily family) => family == AddressFamily.InterNetwork ? LeasesIPv4 : LeasesIPv6;

    /// <inheritdoc/>
    public override bool MayContain(IPAddress address) =>
        (Cidrs.Count == 0 || Cidrs.Any(range => range.Contains(address))) && !(AvoidBuggyIPs && IsBuggy(address));
}

/// <summary>A value in a Secret.</summary>
/// <param name="Name">The Secret.</param>
/// <param name="Key">The key in it.</param>
public sealed record SecretKeyReference(string Name, string Key);
