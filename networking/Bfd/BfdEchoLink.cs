using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Bfd;

/// <summary>
/// Echo packets on one interface (RFC 5881 §4), IPv4: an IP packet from and to our own address, in a frame to the peer, whose forwarding sends it back. Neither can be done by a UDP
/// socket, so both ways go by a packet socket. It sees control packets as well, and learns from them the hardware addresses of the peers. Not thread-safe.
/// </summary>
internal sealed class BfdEchoLink : IDisposable
{
    private const int EthernetHeader = 14;
    private const int IPv4Header = 20;
    private const int UdpHeader = 8;
    private const int Headers = EthernetHeader + IPv4Header + UdpHeader;
    private const ushort IPv4Type = 0x0800;
    private const byte Udp = 17;
    private const byte FullTimeToLive = 255;
    /// <summary>Network control (RFC 4594), as for control packets.</summary>
    private const byte TypeOfService = 0xc0;

    private static readonly BpfProgram Filter = new(
        IPv4Type,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfEqual(0, 0, 9),
        BpfInstruction.LoadByte(23),
        BpfInstruction.JumpIfEqual(Udp, 0, 7),
        BpfInstruction.LoadHalf(20),
        BpfInstruction.JumpIfAnyBit(0x1fff, 5, 0),
        BpfInstruction.LoadIPv4HeaderLength(14),
        BpfInstruction.LoadHalfIndexed(16),
        BpfInstruction.JumpIfEqual((uint)BfdPort.Echo, 1, 0),
        BpfInstruction.JumpIfEqual((uint)BfdPort.SingleHop, 0, 1),
        BpfInstruction.Return(256),
        BpfInstruction.Return(0));

    private readonly Socket _socket;
    private readonly SocketAddress _destination;
    private readonly LinkInfo _link;
    private readonly Dictionary<IPv4Address, MacAddress> _peers = [];

    private BfdEchoLink(Socket socket, LinkInfo link, SocketAddress destination) => (_socket, _link, _destination, Handle) = (socket, link, destination, (int)socket.Handle);

    public int Handle { get; }

    public int Interface => _link.Index;

    /// <summary>Opens the socket.</summary>
    /// <exception cref="SocketException">Not permitted (CAP_NET_RAW), or there is no such Ethernet interface.</exception>
    public static BfdEchoLink Open(int index)
    {
        var link = NetworkInterfaces.Read().FirstOrDefault(state => state.Link.Index == index)?.Link ?? throw new SocketException((int)SocketError.AddressNotAvailable);
        var (socket, address) = PacketLinkChannel.OpenSocket(link, Filter);
        return new BfdEchoLink(socket, link, address);
    }

    /// <summary>Sends an echo packet by way of a peer.</summary>
    /// <returns>False while the peer's hardware address is unknown, or when the kernel does not take the frame.</returns>
    public bool Send(IPv4Address peer, IPv4Address own, ReadOnlySpan<byte> payload)
    {
        if (!_peers.TryGetValue(peer, out var mac) || mac == MacAddress.Zero)
            return false;
        Span<byte> frame = stackalloc byte[Headers + payload.Length];
        Write(frame, mac, _link.Mac, own, payload);
        try
        {
            _socket.SendTo(frame, SocketFlags.None, _destination);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Takes the next frame that waits.</summary>
    /// <param name="buffer">Room for a frame.</param>
    /// <param name="payload">The payload when it is an echo packet, else empty.</param>
    /// <param name="timeToLive">Its TTL.</param>
    /// <param name="source">Its sender by IP.</param>
    /// <returns>False when none waits.</returns>
    public unsafe bool TryReceive(Span<byte> buffer, out ReadOnlySpan<byte> payload, out int timeToLive, out IPv4Address source)
    {
        payload = default;
        timeToLive = 0;
        source = default;
        fixed (byte* data = buffer)
        {
            var vector = new BfdSystemCalls.Vector { Base = data, Length = (nuint)buffer.Length };
            var message = new BfdSystemCalls.MessageHeader { Vectors = &vector, VectorCount = 1 };
            int length = (int)BfdSystemCalls.ReceiveMessage(Handle, &message, BfdSystemCalls.DontWait);
            if (length < 0)
                return false;
            Read(buffer[..length], out payload, out timeToLive, out source);
            return true;
        }
    }

    public void Dispose() => _socket.Dispose();

    internal static void Write(Span<byte> frame, MacAddress peer, MacAddress own, IPv4Address address, ReadOnlySpan<byte> payload)
    {
        frame.Clear();
        peer.Write(frame);
        own.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], IPv4Type);
        var ip = frame[EthernetHeader..];
        ip[0] = 0x45;
        ip[1] = TypeOfService;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(IPv4Header + UdpHeader + payload.Length));
        ip[8] = FullTimeToLive;
        ip[9] = Udp;
        address.Write(ip[12..]);
        address.Write(ip[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], Checksum(ip[..IPv4Header]));
        var udp = ip[IPv4Header..];
        BinaryPrimitives.WriteUInt16BigEndian(udp, (ushort)BfdPort.Echo);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], (ushort)BfdPort.Echo);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)(UdpHeader + payload.Length));
        // A UDP checksum of 0 says that there is none (RFC 768); the payload has a secret of its own.
        payload.CopyTo(udp[UdpHeader..]);
    }

    /// <summary>Of a header whose checksum field is 0 (RFC 791 §3.1).</summary>
    private static ushort Checksum(ReadOnlySpan<byte> header)
    {
        uint sum = 0;
        for (int i = 0; i < header.Length; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(header[i..]);
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    private void Read(ReadOnlySpan<byte> frame, out ReadOnlySpan<byte> payload, out int timeToLive, out IPv4Address source)
    {
        payload = default;
        timeToLive = 0;
        source = default;
        if (frame.Length < Headers)
            return;
        int header = (frame[EthernetHeader] & 0xf) * 4;
        if (header < IPv4Header || frame.Length < EthernetHeader + header + UdpHeader)
            return;
        timeToLive = frame[EthernetHeader + 8];
        source = IPv4Address.Read(frame[(EthernetHeader + 12)..]);
        var udp = frame[(EthernetHeader + header)..];
        switch ((BfdPort)BinaryPrimitives.ReadUInt16BigEndian(udp[2..]))
        {
            case BfdPort.Echo:
                payload = udp[UdpHeader..];
                break;
            // Only who is asked for is remembered, and only what no router has forwarded is believed.
            case BfdPort.SingleHop when timeToLive == FullTimeToLive && _peers.ContainsKey(source):
                _peers[source] = MacAddress.Read(frame[6..]);
                break;
        }
    }

    /// <summary>Learns a peer's hardware address from its next control packet.</summary>
    public void Learn(IPv4Address peer) => _peers.TryAdd(peer, default);
}
