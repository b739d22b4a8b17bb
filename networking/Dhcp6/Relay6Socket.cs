using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// UDP port 547 of one address of this host, of which there can be one: for any number of <see cref="RelayDhcp6Transport"/>s, each of which hears what
/// bears its own relay header. Thread-safe.
/// </summary>
public sealed class Relay6Socket : RelayEndpoint<Relay6Listener>
{
    private const int RelayPort = 547;

    // In the kernel's form of an address: family, port and flow before it, two, two and four bytes.
    private const int AddressOffset = 8;

    /// <summary>Binds the socket; port 547 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="address">This host's address that the servers answer to; not link-local.</param>
    /// <param name="time">Clock for the pause after a fault.</param>
    /// <exception cref="ArgumentException">The address is :: or link-local.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port taken by a server or another relay agent.</exception>
    public Relay6Socket(IPv6Address address, TimeProvider time)
        : this(address, time, RelayPort, RelayPort)
    {
    }

    internal Relay6Socket(IPv6Address address, TimeProvider time, int port, int serverPort)
        : base(new IPEndPoint(Usable(address).ToIPAddress(), port), serverPort, time) => Address = address;

    /// <summary>The address that servers answer to.</summary>
    public IPv6Address Address { get; }

    private protected override void Take(ReadOnlySpan<byte> datagram, SocketAddress sender, ImmutableList<Relay6Listener> listeners)
    {
        var source = IPv6Address.Read(sender.Buffer.Span[AddressOffset..]);
        var reason = Dhcp6DropReason.OtherRelay;
        Dhcp6Message? message = null;
        var addressee = Dhcp6RelayMessage.TryParseReply(datagram, out var header, out var parsed, out var fault)
            ? listeners.Find(listener => listener.Header.Equals(header)) : null;
        if (parsed is null)
            reason = fault;
        else if (addressee?.Servers.Contains(source) == false)
            reason = Dhcp6DropReason.RogueServer;
        else if (addressee is not null)
            message = parsed;
        if (message is not null)
            addressee!.Receiver.Received(message, source);
        else
            // Once, however many listen.
            (addressee ?? listeners[0]).Receiver.Dropped(reason);
    }

    private static IPv6Address Usable(IPv6Address address) => address.IsAny || address.IsLinkLocal
        ? throw new ArgumentException("A relay agent needs an address of this host that is not link-local.", nameof(address)) : address;
}

/// <summary>Who hears the answers that a <see cref="Relay6Socket"/> receives.</summary>
/// <param name="Header">The relay header of its messages, which the answers bear.</param>
/// <param name="Servers">Who may answer.</param>
/// <param name="Receiver">Where the answers go.</param>
public sealed record Relay6Listener(Dhcp6RelayHeader Header, IReadOnlySet<IPv6Address> Servers, IDhcp6Receiver Receiver);
