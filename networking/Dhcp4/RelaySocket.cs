using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// UDP port 67 of one address of this host, <c>giaddr</c>, of which there can be one: for any number of <see cref="RelayDhcpTransport"/>s, each of which
/// hears every answer. Thread-safe.
/// </summary>
public sealed class RelaySocket : RelayEndpoint<IDhcpReceiver>
{
    private const int RelayPort = 67;

    /// <summary>Binds the socket; port 67 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="address">The address of this host that servers answer to and, unless told otherwise, choose the subnet by.</param>
    /// <param name="time">Clock for the pause after a fault of the link.</param>
    /// <exception cref="ArgumentException">The address is 0.0.0.0.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port 67 is taken by a DHCP server or another relay.</exception>
    public RelaySocket(IPv4Address address, TimeProvider time)
        : this(address, time, RelayPort, RelayPort)
    {
    }

    internal RelaySocket(IPv4Address address, TimeProvider time, int port, int serverPort)
        : base(new IPEndPoint(Usable(address).ToIPAddress(), port), serverPort, time) => Address = address;

    /// <summary><c>giaddr</c>.</summary>
    public IPv4Address Address { get; }

    private protected override void Take(ReadOnlySpan<byte> datagram, SocketAddress sender, ImmutableList<IDhcpReceiver> listeners)
    {
        foreach (var receiver in listeners)
        {
            // A message of its own for each: who receives one may recycle it.
            var reason = Read(datagram, sender, out var reply);
            if (reason == DhcpDropReason.None)
            {
                receiver.Received(reply);
                continue;
            }
            // What is not for this relay counts once, however many listen.
            receiver.Dropped(reason);
            return;
        }
    }

    private DhcpDropReason Read(ReadOnlySpan<byte> datagram, SocketAddress sender, out DhcpReply reply)
    {
        reply = default;
        if (!DhcpMessage.TryParse(datagram, out var message, out var reason))
            return reason;
        if (!message.IsReply || message.RelayAddress != Address)
        {
            reason = message.IsReply ? DhcpDropReason.OtherRelay : DhcpDropReason.NotAReply;
            message.Recycle();
            return reason;
        }
        // Port and address, in network order, follow the two bytes of the family.
        var from = sender.Buffer.Span;
        reply = new DhcpReply(message, MacAddress.Zero, IPv4Address.Read(from[4..]), BinaryPrimitives.ReadUInt16BigEndian(from[2..]));
        return DhcpDropReason.None;
    }

    private static IPv4Address Usable(IPv4Address address) =>
        address.IsAny ? throw new ArgumentException("A relay needs an address of this host.", nameof(address)) : address;
}
