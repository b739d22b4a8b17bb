using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>A DHCPv6 message in its Ethernet frame: IPv6 (RFC 8200) without extension headers, and UDP between ports 546 and 547.</summary>
internal static class Dhcp6Frame
{
    /// <summary>Ethernet, IPv6 and UDP headers, in bytes.</summary>
    public const int HeadersLength = EthernetLength + IPv6Length + UdpLength;

    private const int EthernetLength = 14;
    private const int IPv6Length = 40;
    private const int UdpLength = 8;
    private const int ClientPort = 546;
    private const int ServerPort = 547;
    private const ushort EtherType = 0x86dd;
    private const byte Udp = 17;
    private const byte HopLimit = 1;
    private static readonly IPv6Address AllServers = new(0xff02_0000_0000_0000, 0x0001_0002);

    /// <summary>Writes the frame of a client's message to All_DHCP_Relay_Agents_and_Servers, ff02::1:2.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException"><paramref name="frame"/> is too short.</exception>
    public static int Write(Span<byte> frame, MacAddress sourceMac, IPv6Address source, Dhcp6Message message)
    {
        int length = UdpLength + message.Write(frame[HeadersLength..]);
        AllServers.MulticastMac.Write(frame);
        sourceMac.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherType);
        var ip = frame.Slice(EthernetLength, IPv6Length);
        ip.Clear();
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)length);
        ip[6] = Udp;
        ip[7] = HopLimit;
        source.Write(ip[8..]);
        AllServers.Write(ip[24..]);
        var udp = frame.Slice(EthernetLength + IPv6Length, length);
        BinaryPrimitives.WriteUInt16BigEndian(udp, ClientPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[2..], ServerPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp[4..], (ushort)length);
        udp[6..UdpLength].Clear();
        ushort checksum = InternetChecksum.OfIPv6(ip[8..], Udp, udp);
        BinaryPrimitives.WriteUInt16BigEndian(udp[6..], checksum == 0 ? ushort.MaxValue : checksum);
        return EthernetLength + IPv6Length + length;
    }

    /// <summary>
    /// Finds a message to port 546 in a frame. The UDP checksum is not verified: a server on this host, behind veth or virtio delivers it
    /// unfinished, and a packet socket does not say so without a control message.
    /// </summary>
    /// <returns><see cref="Dhcp6DropReason.None"/>, or why not. Never throws.</returns>
    public static Dhcp6DropReason TryRead(ReadOnlySpan<byte> frame, out Dhcp6Message message, out IPv6Address source)
    {
        message = null!;
        source = default;
        if (frame.Length < HeadersLength || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != EtherType)
            return Dhcp6DropReason.BadHeader;
        var ip = frame[EthernetLength..];
        int length = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        if (ip[0] >> 4 != 6 || ip[6] != Udp || length < UdpLength || length > ip.Length - IPv6Length)
            return Dhcp6DropReason.BadHeader;
        var udp = ip.Slice(IPv6Length, length);
        int udpLength = BinaryPrimitives.ReadUInt16BigEndian(udp[4..]);
        if (BinaryPrimitives.ReadUInt16BigEndian(udp[2..]) != ClientPort || udpLength < UdpLength || udpLength > length)
            return Dhcp6DropReason.BadHeader;
        source = IPv6Address.Read(ip[8..]);
        return Dhcp6Message.TryParse(udp[UdpLength..udpLength], out message, out var reason) ? Dhcp6DropReason.None : reason;
    }
}
