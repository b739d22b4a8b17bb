using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Ndp;

/// <summary>Messages of Neighbor Discovery (RFC 4861 §4), by ICMPv6 type.</summary>
public enum NeighborMessageType : byte
{
    /// <summary>Who has the target address?</summary>
    Solicitation = 135,

    /// <summary>The sender has the target address.</summary>
    Advertisement = 136,
}

/// <summary>A Neighbor Solicitation or Advertisement in its Ethernet frame, reduced to what duplicate address detection needs.</summary>
/// <param name="Type">Which of the two.</param>
/// <param name="SourceMac">Ethernet source of the frame.</param>
/// <param name="Source">IPv6 source; :: in a solicitation says that the sender looks whether it may use the target itself (RFC 4862 §5.4.2).</param>
/// <param name="Target">The address in question.</param>
public readonly record struct NeighborMessage(NeighborMessageType Type, MacAddress SourceMac, IPv6Address Source, IPv6Address Target)
{
    /// <summary>Length of the frame of a solicitation for detection, in bytes.</summary>
    public const int DetectionLength = EthernetLength + IPv6Length + MessageLength;

    private const int EthernetLength = 14;
    private const int IPv6Length = 40;
    private const int MessageLength = 24;
    private const ushort EtherType = 0x86dd;
    private const byte Icmp = 58;
    private const byte HopLimit = 255;
    private const byte SourceLinkLayerAddress = 1;

    /// <summary>
    /// Reads a frame, with the checks of RFC 4861 §7.1: hop limit 255, checksum, code, lengths, and what a solicitation from :: must be like.
    /// False for anything else. Never throws.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> frame, out NeighborMessage message)
    {
        message = default;
        if (frame.Length < DetectionLength || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != EtherType)
            return false;
        var ip = frame[EthernetLength..];
        int length = BinaryPrimitives.ReadUInt16BigEndian(ip[4..]);
        if (ip[0] >> 4 != 6 || ip[6] != Icmp || ip[7] != HopLimit || length < MessageLength || length > ip.Length - IPv6Length)
            return false;
        var icmp = ip.Slice(IPv6Length, length);
        var type = (NeighborMessageType)icmp[0];
        if (type is not (NeighborMessageType.Solicitation or NeighborMessageType.Advertisement) || icmp[1] != 0
            || InternetChecksum.OfIPv6(ip[8..IPv6Length], Icmp, icmp) != 0)
            return false;
        var target = IPv6Address.Read(icmp[8..]);
        if (target.IsMulticast || !TryReadOptions(icmp[MessageLength..], out bool hasSourceAddress))
            return false;
        var source = IPv6Address.Read(ip[8..]);
        var destination = IPv6Address.Read(ip[24..]);
        if (type == NeighborMessageType.Solicitation && source.IsAny && (hasSourceAddress || destination != target.SolicitedNode))
            return false;
        // An answer that was asked for goes to who asked.
        if (type == NeighborMessageType.Advertisement && destination.IsMulticast && (icmp[4] & 0x40) != 0)
            return false;
        message = new NeighborMessage(type, MacAddress.Read(frame[6..]), source, target);
        return true;
    }

    /// <summary>Writes the frame that asks whether anybody uses an address: a solicitation from :: to the address's solicited-node group.</summary>
    /// <param name="frame">At least <see cref="DetectionLength"/> bytes.</param>
    /// <param name="source">Ethernet source.</param>
    /// <param name="target">The address.</param>
    /// <returns>Bytes written: <see cref="DetectionLength"/>.</returns>
    /// <exception cref="ArgumentException">The frame is too short.</exception>
    public static int WriteDetection(Span<byte> frame, MacAddress source, IPv6Address target)
    {
        frame[..DetectionLength].Clear();
        var group = target.SolicitedNode;
        group.MulticastMac.Write(frame);
        source.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherType);
        var ip = frame.Slice(EthernetLength, IPv6Length);
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], MessageLength);
        ip[6] = Icmp;
        ip[7] = HopLimit;
        group.Write(ip[24..]);
        var icmp = frame.Slice(EthernetLength + IPv6Length, MessageLength);
        icmp[0] = (byte)NeighborMessageType.Solicitation;
        target.Write(icmp[8..]);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.OfIPv6(ip[8..], Icmp, icmp));
        return DetectionLength;
    }

    private static bool TryReadOptions(ReadOnlySpan<byte> options, out bool hasSourceAddress)
    {
        hasSourceAddress = false;
        while (!options.IsEmpty)
        {
            if (options.Length < 2 || options[1] == 0 || 8 * options[1] > options.Length)
                return false;
            hasSourceAddress |= options[0] == SourceLinkLayerAddress;
            options = options[(8 * options[1])..];
        }
        return true;
    }
}
