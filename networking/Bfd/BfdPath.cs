using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bfd;

/// <summary>The two ends of a session. Immutable.</summary>
/// <param name="Peer">The other side's address, without a zone.</param>
/// <param name="Local">Our address; null to leave it to the routing.</param>
/// <param name="Interface">Index of the interface, needed for a link-local peer; 0 for any.</param>
/// <param name="IsMultiHop">Whether there may be routers between (RFC 5883), else both share a link (RFC 5881).</param>
/// <param name="Device">The VRF device that the sockets are bound to; null for none.</param>
public sealed record BfdPath(IPAddress Peer, IPAddress? Local = null, int Interface = 0, bool IsMultiHop = false, string? Device = null)
{
    /// <summary>Whether echo packets can be sent: to a neighbour, and by IPv4.</summary>
    public bool CanEcho => !IsMultiHop && Peer.AddressFamily == AddressFamily.InterNetwork;

    internal IPv6Address PeerKey { get; } = Key(Peer);

    internal IPv6Address LocalKey { get; } = Local is null ? default : Key(Local);

    internal static IPv6Address Key(IPv4Address address) => new(0, 0xffff_0000_0000UL | address.Value);

    private static IPv6Address Key(IPAddress address) =>
        IPv4Address.TryFrom(address, out var four) ? Key(four) : IPv6Address.TryFrom(address, out var six) ? six : default;

    internal bool Accepts(in BfdArrival arrival) =>
        arrival.Source == PeerKey && arrival.IsMultiHop == IsMultiHop && (Interface == 0 || IsMultiHop || arrival.Interface == Interface)
        && (LocalKey.IsAny || LocalKey == arrival.Destination) && Device == arrival.Device;
}

/// <summary>How a datagram came. IPv4 addresses are mapped to IPv6 ones.</summary>
/// <param name="Source">Who sent it.</param>
/// <param name="Destination">To which of our addresses.</param>
/// <param name="Interface">Index of the interface it came by.</param>
/// <param name="TimeToLive">TTL or hop limit on arrival; -1 when the kernel did not tell.</param>
/// <param name="IsMultiHop">Whether it came to the port for several hops.</param>
/// <param name="Device">The VRF device of the socket.</param>
public readonly record struct BfdArrival(IPv6Address Source, IPv6Address Destination, int Interface, int TimeToLive, bool IsMultiHop, string? Device);
