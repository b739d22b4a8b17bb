using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Netlink;

/// <summary>An Ethernet interface and what decides whether it can announce.</summary>
/// <param name="Link">Index, name and hardware address.</param>
/// <param name="IsUp">Administratively up (IFF_UP).</param>
/// <param name="IsBroadcast">Can broadcast (IFF_BROADCAST).</param>
/// <param name="UsesArp">Resolves addresses (no IFF_NOARP).</param>
/// <param name="IsEnslaved">Part of a bridge, bond or VRF, whose own interface does the talking.</param>
public sealed record InterfaceState(LinkInfo Link, bool IsUp, bool IsBroadcast, bool UsesArp, bool IsEnslaved)
{
    /// <summary>Up and plugged in (IFF_RUNNING).</summary>
    public bool HasCarrier { get; init; }

    /// <summary>Its IPv4 addresses.</summary>
    public IReadOnlyList<InterfaceAddress> Addresses { get; init; } = [];

    /// <summary>The IPv6 networks that it has addresses in, link-local ones included.</summary>
    public IReadOnlyList<IPv6Network> IPv6Networks { get; init; } = [];

    /// <summary>Whether an address lies in a network that it has an address in. One of a single address (/32, /128) is none: nobody else is there.</summary>
    public bool IsOnLink(HostAddress address) =>
        address.IsIPv4 ? Addresses.Any(own => own.PrefixLength < 32 && own.Contains(address.IPv4))
            : IPv6Networks.Any(network => network.PrefixLength < 128 && network.Contains(address.IPv6));
}

/// <summary>An IPv4 address of an interface.</summary>
/// <param name="Address">The address.</param>
/// <param name="PrefixLength">Length of its network's prefix, 0 to 32.</param>
public readonly record struct InterfaceAddress(IPv4Address Address, int PrefixLength)
{
    /// <summary>Whether another address lies in the same network.</summary>
    public bool Contains(IPv4Address other) => PrefixLength <= 0 || (Address.Value ^ other.Value) >> (32 - PrefixLength) == 0;
}
