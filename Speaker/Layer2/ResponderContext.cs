using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What the responders of all interfaces share. Thread-safe.</summary>
/// <param name="table">What we answer for.</param>
/// <param name="guard">Whether we may answer at all.</param>
/// <param name="metrics">Where it is counted.</param>
/// <param name="time">The clock.</param>
internal sealed class ResponderContext(AnnouncementTable table, PauseGuard guard, SpeakerMetrics metrics, TimeProvider time)
{
    private volatile FrozenDictionary<IPv4Address, MacInPlace> _macsInPlace = FrozenDictionary<IPv4Address, MacInPlace>.Empty;
    private volatile ILookup<MacAddress, IPv4Address>? _byMac;
    private volatile IReadOnlySet<MacAddress> _ownMacs = new HashSet<MacAddress>();

    public AnnouncementTable Table => table;

    /// <summary>What is looked for before its first use.</summary>
    public FirstUseProbes Probes { get; } = new();

    public PauseGuard Guard => guard;

    public SpeakerMetrics Metrics => metrics;

    public TimeProvider Time => time;

    /// <summary>Hardware addresses of all interfaces that take part.</summary>
    public IReadOnlySet<MacAddress> OwnMacs
    {
        get => _ownMacs;
        set => _ownMacs = value;
    }

    /// <summary>Addresses whose frames come and go with hardware addresses of their own, as far as the kernel does it.</summary>
    public FrozenDictionary<IPv4Address, MacInPlace> MacsInPlace
    {
        get => _macsInPlace;
        set => (_macsInPlace, _byMac) = (value, value.ToLookup(static entry => entry.Value.Mac, static entry => entry.Key));
    }

    /// <summary>The addresses of <see cref="MacsInPlace"/> with a hardware address.</summary>
    public IEnumerable<IPv4Address> AddressesAt(MacAddress mac) => _byMac?[mac] ?? [];

    /// <summary>Whether an address can be answered for on an interface: with the interface's hardware address always, with its own only when traffic uses that too.</summary>
    public bool CanUseMacOf(Announced item, string @interface) =>
        item.Mac is not { } mac || (_macsInPlace.TryGetValue(item.Address.IPv4, out var used) && used.Mac == mac && used.Links.Contains(@interface));

    /// <summary>Called when switches may have learnt the hardware address of an address of ours at another port. Must be quick.</summary>
    public Action<HostAddress>? Displaced { get; set; }

    /// <summary>Called when another machine says that an address of ours is its own. Must be quick.</summary>
    public Action<HostAddress, MacAddress>? Claimed { get; set; }
}

/// <summary>The hardware address that an address has in the kernel.</summary>
/// <param name="Mac">The hardware address.</param>
/// <param name="Links">Names of the interfaces on which it has.</param>
internal readonly record struct MacInPlace(MacAddress Mac, FrozenSet<string> Links);

/// <summary>How the sockets of an interface are opened.</summary>
/// <param name="Arp">A channel for ARP.</param>
/// <param name="Ndp">A channel for Neighbor Discovery.</param>
/// <param name="Groups">The interface's solicited-node groups.</param>
internal sealed record ResponderSockets(
    Func<LinkInfo, ILinkChannel> Arp, Func<LinkInfo, ILinkChannel> Ndp, Func<LinkInfo, ISolicitedNodeGroups> Groups)
{
    /// <summary>A channel for what other hosts ask DHCP servers.</summary>
    public required Func<LinkInfo, ILinkChannel> Dhcp { get; init; }
}
