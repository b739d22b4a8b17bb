using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>A DHCP message in its Ethernet frame: IPv4 (RFC 791) and UDP (RFC 768) between ports 68 and 67.</summary>
internal static class DhcpFrame
{
    /// <summary>Ethernet, IPv4 and UDP headers of what we send, in bytes.</summary>
    public const int HeadersLength = EthernetLength + IPv4Length + UdpLength;

    private const int EthernetLength = 14;
    private const int IPv4Length = 20;
    private const int UdpLength = 8;
    private const int ClientPort = 68;
    private const int ServerPort = 67;
    private const ushort IPv4EtherType = 0x0800;
    private const byte Udp = 17;

    /// <summary>Writes the frame of a client's message.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException"><paramref name="frame"/> is too short.</exception>
    public static int Write(Span<byte> frame, MacAddress source, in DhcpDestination destination, DhcpMessage message)
    {
        int length = message.Write(frame[HeadersLength..]);
        (destination.IsBroadcast ? MacAddress.Broadcast : destination.NextHop).Write(frame);
        source.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], IPv4EtherType);

        var ip = frame.Slice(EthernetLength, IPv4Length);
        ip.Clear();
        ip[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(IPv4Length + UdpLength + length));
        ip[8] = 64;
        ip[9] = Udp;
        (destination.IsBroadcast ? IPv4Address.Any : destination.Source).Write(ip[12..]);
        (destination.IsBroadcast ? IPv4Address.Broadcast : destination.Server).Write(ip[16..]);
        BinaryPrimitives.WriteUInt16BigEndian(ip[10..], Fold(Sum(ip)));

        var udp = frame.Slice(EthernetLength + IPv4Length, UdpLength + length);
        BinaryPrimitives.WriteUInt16BigEndian(udp, ClientPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], ServerPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)udp.Length);
        udp[6..8].Clear();
        ushort checksum = Fold(Sum(udp) + Sum(ip[12..20]) + Udp + (uint)udp.Length);
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], checksum == 0 ? ushort.MaxValue : checksum);
        return HeadersLength + length;
    }

    /// <summary>
    /// Finds a server's message in a frame. The UDP checksum is not verified: a server on this host, behind veth or virtio delivers it unfinished,
    /// and a packet socket does not say so without a control message.
    /// </summary>
    /// <returns><see cref="DhcpDropReason.None"/>, or why not.</returns>
    public static DhcpDropReason TryRead(ReadOnlySpan<byte> frame, out DhcpReply reply)
    {
        reply = default;
        if (frame.Length < EthernetLength + IPv4Length || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != IPv4EtherType)
            return DhcpDropReason.BadIpHeader;
        var ip = frame[EthernetLength..];
        int headerLength = (ip[0] & 15) * 4;
        int totalLength = BinaryPrimitives.ReadUInt16BigEndian(ip[2..]);
        if (ip[0] >> 4 != 4 || headerLength < IPv4Length || totalLength < headerLength || totalLength > ip.Length)
            return DhcpDropReason.BadIpHeader;
        if (Fold(Sum(ip[..headerLength])) != 0)
            return DhcpDropReason.BadIpHeader;
        if ((BinaryPrimitives.ReadUInt16BigEndian(ip[6..]) & 0x3fff) != 0)
            return DhcpDropReason.Fragment;
        var udp = ip[headerLength..totalLength];
        if (ip[9] != Udp || udp.Length < UdpLength || BinaryPrimitives.ReadUInt16BigEndian(udp[2..]) != ClientPort)
            return DhcpDropReason.OtherPort;
        int udpLength = BinaryPrimitives.ReadUInt16BigEndian(udp[4..]);
        if (udpLength < UdpLength || udpLength > udp.Length)
            return DhcpDropReason.BadUdpLength;
        if (!DhcpMessage.TryParse(udp[UdpLength..udpLength], out var message, out var reason))
            return reason;
        if (!message.IsReply)
        {
            message.Recycle();
            return DhcpDropReason.NotAReply;
        }
        reply = new DhcpReply(
            message, MacAddress.Read(frame[6..]), IPv4Address.Read(ip[12..]), BinaryPrimitives.ReadUInt16BigEndian(udp));
        return DhcpDropReason.None;
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (; bytes.Length >= 2; bytes = bytes[2..])
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes);
        return bytes.IsEmpty ? sum : sum + ((uint)bytes[0] << 8);
    }

    /// <summary>The Internet checksum (RFC 1071) of a sum; zero when the sum covers a right checksum.</summary>
    private static ushort Fold(uint sum)
    {
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }
}
