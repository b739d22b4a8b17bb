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

/// <summary>A Neighbor Solicitation or Advertisement in its Ethernet frame, reduced to what duplicate address detection and answers need.</summary>
/// <param name="Type">Which of the two.</param>
/// <param name="SourceMac">Ethernet source of the frame.</param>
/// <param name="Source">IPv6 source; :: in a solicitation says that the sender looks whether it may use the target itself (RFC 4862 §5.4.2).</param>
/// <param name="Target">The address in question.</param>
public readonly record struct NeighborMessage(NeighborMessageType Type, MacAddress SourceMac, IPv6Address Source, IPv6Address Target)
{
    /// <summary>Length of the frame of an advertisement, in bytes.</summary>
    public const int AdvertisementLength = DetectionLength + OptionLength;

    /// <summary>Length of the frame of a solicitation for detection, in bytes.</summary>
    public const int DetectionLength = EthernetLength + IPv6Length + MessageLength;

    private const int EthernetLength = 14;
    private const int IPv6Length = 40;
    private const int MessageLength = 24;
    private const ushort EtherType = 0x86dd;
    private const byte Icmp = 58;
    private const byte HopLimit = 255;
    private const byte SourceLinkLayerAddress = 1;
    private const byte TargetLinkLayerAddress = 2;
    private const int OptionLength = 8;
    private const byte SolicitedFlag = 0x40;
    private const byte OverrideFlag = 0x20;
    private static readonly IPv6Address AllNodes = new(0xff02_0000_0000_0000, 1);

    /// <summary>Ethernet destination of the frame.</summary>
    public MacAddress DestinationMac { get; init; }

    /// <summary>Where a solicitation wants its answer sent: what its option says, else the frame's source.</summary>
    public MacAddress AnswerTo { get; init; }

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
        if (target.IsMulticast || !TryReadOptions(icmp[MessageLength..], out var sourceAddress))
            return false;
        var source = IPv6Address.Read(ip[8..]);
        var destination = IPv6Address.Read(ip[24..]);
        if (type == NeighborMessageType.Solicitation && source.IsAny && (sourceAddress is not null || destination != target.SolicitedNode))
            return false;
        // An answer that was asked for goes to who asked.
        if (type == NeighborMessageType.Advertisement && destination.IsMulticast && (icmp[4] & SolicitedFlag) != 0)
            return false;
        var sourceMac = MacAddress.Read(frame[6..]);
        message = new NeighborMessage(type, sourceMac, source, target) { DestinationMac = MacAddress.Read(frame), AnswerTo = sourceAddress ?? sourceMac };
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

    /// <summary>
    /// Writes the frame that says that an address is at <paramref name="source"/>, whatever neighbours knew before (RFC 4861 §4.4, Override), sent from that address, as hosts do.
    /// </summary>
    /// <param name="frame">At least <see cref="AdvertisementLength"/> bytes.</param>
    /// <param name="source">Ethernet source, and what the target is at.</param>
    /// <param name="target">The address.</param>
    /// <param name="asker">Who asked and where it is; null, or somebody that has no address yet, for all nodes.</param>
    /// <returns>Bytes written: <see cref="AdvertisementLength"/>.</returns>
    /// <exception cref="ArgumentException">The frame is too short.</exception>
    public static int WriteAdvertisement(Span<byte> frame, MacAddress source, IPv6Address target, (IPv6Address Address, MacAddress Mac)? asker)
    {
        frame[..AdvertisementLength].Clear();
        bool solicited = asker is { Address.IsAny: false };
        var destination = solicited ? asker!.Value.Address : AllNodes;
        (solicited ? asker!.Value.Mac : AllNodes.MulticastMac).Write(frame);
        source.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherType);
        var ip = frame.Slice(EthernetLength, IPv6Length);
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], MessageLength + OptionLength);
        ip[6] = Icmp;
        ip[7] = HopLimit;
        target.Write(ip[8..]);
        destination.Write(ip[24..]);
        var icmp = frame.Slice(EthernetLength + IPv6Length, MessageLength + OptionLength);
        icmp[0] = (byte)NeighborMessageType.Advertisement;
        icmp[4] = (byte)(solicited ? SolicitedFlag | OverrideFlag : OverrideFlag);
        target.Write(icmp[8..]);
        icmp[MessageLength] = TargetLinkLayerAddress;
        icmp[MessageLength + 1] = 1;
        source.Write(icmp[(MessageLength + 2)..]);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.OfIPv6(ip[8..], Icmp, icmp));
        return AdvertisementLength;
    }

    private static bool TryReadOptions(ReadOnlySpan<byte> options, out MacAddress? sourceAddress)
    {
        sourceAddress = null;
        while (!options.IsEmpty)
        {
            if (options.Length < 2 || options[1] == 0 || 8 * options[1] > options.Length)
                return false;
            if (options[0] == SourceLinkLayerAddress)
                sourceAddress = MacAddress.Read(options[2..]);
            options = options[(8 * options[1])..];
        }
        return true;
    }
}
