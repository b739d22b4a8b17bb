using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Ndp;

/// <summary>Router Solicitations and Advertisements (RFC 4861 §4.1, §4.2), as whole Ethernet frames. Pure.</summary>
public static class RouterAdvertisement
{
    private const ushort EtherType = 0x86dd;
    private const byte Icmp = 58;
    private const byte SolicitationType = 133;
    private const byte AdvertisementType = 134;
    private const byte HopLimit = 255;
    private const int IPAt = 14;
    private const int IcmpAt = IPAt + 40;
    private static readonly IPv6Address AllNodes = new(0xff02_0000_0000_0000, 1);
    private static readonly IPv6Address AllRouters = new(0xff02_0000_0000_0000, 2);

    /// <summary>The kernel filter: not our own, IPv6, ICMPv6, a Router Advertisement.</summary>
    public static BpfProgram Filter { get; } = new(
        EtherType,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfEqual(4, 5, 0),
        BpfInstruction.LoadByte(20),
        BpfInstruction.JumpIfEqual(Icmp, 0, 3),
        BpfInstruction.LoadByte(IcmpAt),
        BpfInstruction.JumpIfEqual(AdvertisementType, 0, 1),
        BpfInstruction.Return(2048),
        BpfInstruction.Return(0));

    /// <summary>An advertisement of a router that is nobody's default router: lifetime zero.</summary>
    public static byte[] Advertisement(MacAddress mac, IPv6Address source)
    {
        var frame = Frame(mac, source, AllNodes, AdvertisementType, 16);
        const byte DefaultHops = 64;
        frame[IcmpAt + 4] = DefaultHops;
        return Finish(frame, mac, 16);
    }

    /// <summary>A solicitation.</summary>
    public static byte[] Solicitation(MacAddress mac, IPv6Address source) => Finish(Frame(mac, source, AllRouters, SolicitationType, 8), mac, 8);

    /// <summary>Reads who sent an advertisement. What did not come from the link itself is refused (RFC 4861 §6.1.2).</summary>
    public static bool TryParse(ReadOnlySpan<byte> frame, out IPv6Address router)
    {
        router = default;
        if (frame.Length < IcmpAt + 16 || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != EtherType)
            return false;
        var ip = frame[IPAt..];
        int length = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        if (ip[0] >> 4 != 6 || ip[6] != Icmp || ip[7] != HopLimit || length < 16 || ip.Length < 40 + length)
            return false;
        var icmp = ip.Slice(40, length);
        router = IPv6Address.Read(ip[8..]);
        return icmp[0] == AdvertisementType && icmp[1] == 0 && router.IsLinkLocal && InternetChecksum.OfIPv6(ip.Slice(8, 32), Icmp, icmp) == 0;
    }

    private static byte[] Frame(MacAddress mac, IPv6Address source, IPv6Address destination, byte type, int fixedLength)
    {
        var frame = new byte[IcmpAt + fixedLength + 8];
        destination.MulticastMac.Write(frame);
        mac.Write(frame.AsSpan(6));
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), EtherType);
        frame[IPAt] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(IPAt + 4), (ushort)(fixedLength + 8));
        frame[IPAt + 6] = Icmp;
        frame[IPAt + 7] = HopLimit;
        source.Write(frame.AsSpan(IPAt + 8));
        destination.Write(frame.AsSpan(IPAt + 24));
        frame[IcmpAt] = type;
        return frame;
    }

    /// <summary>Adds the option with our Ethernet address, and the checksum.</summary>
    private static byte[] Finish(byte[] frame, MacAddress mac, int fixedLength)
    {
        var option = frame.AsSpan(IcmpAt + fixedLength);
        (option[0], option[1]) = (1, 1);
        mac.Write(option[2..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(IcmpAt + 2), InternetChecksum.OfIPv6(frame.AsSpan(IPAt + 8, 32), Icmp, frame.AsSpan(IcmpAt)));
        return frame;
    }
}
