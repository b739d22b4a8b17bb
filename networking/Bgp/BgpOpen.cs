using System.Buffers.Binary;

namespace DynamicLb.Networking.Bgp;

/// <summary>Capabilities (RFC 5492, IANA "Capability Codes") that we know.</summary>
public enum BgpCapability : byte
{
    /// <summary>Families (RFC 4760).</summary>
    MultiProtocol = 1,

    /// <summary>ROUTE-REFRESH (RFC 2918).</summary>
    RouteRefresh = 2,

    /// <summary>IPv4 routes with IPv6 next hops (RFC 8950).</summary>
    ExtendedNextHop = 5,

    /// <summary>Messages of up to 65535 bytes (RFC 8654).</summary>
    ExtendedMessage = 6,

    /// <summary>Graceful restart (RFC 4724, 8538).</summary>
    GracefulRestart = 64,

    /// <summary>AS numbers of four bytes (RFC 6793).</summary>
    FourOctetAs = 65,

    /// <summary>Marks of begin and end of a refresh (RFC 7313).</summary>
    EnhancedRouteRefresh = 70,
}

/// <summary>What a speaker says of graceful restart (RFC 4724 §3, RFC 8538 §2).</summary>
/// <param name="IsRestarting">It has just restarted (R).</param>
/// <param name="Notifications">A NOTIFICATION keeps routes, too (N).</param>
/// <param name="Seconds">How long a restart takes at most, 0 to 4095.</param>
/// <param name="Families">Families whose routes are kept, and whether forwarding went on meanwhile (F).</param>
public sealed record BgpGracefulRestart(bool IsRestarting, bool Notifications, int Seconds, IReadOnlyList<(BgpFamily Family, bool Forwarding)> Families);

/// <summary>An OPEN (RFC 4271 §4.2) with the capabilities that we know. Immutable.</summary>
/// <param name="Asn">The speaker's AS number, of four bytes when it announces them.</param>
/// <param name="HoldSeconds">The hold time it proposes; 0 for none.</param>
/// <param name="RouterId">Its BGP identifier.</param>
public sealed record BgpOpen(uint Asn, ushort HoldSeconds, uint RouterId)
{
    /// <summary>Families of RFC 4760; none when it announces none, which means IPv4.</summary>
    public IReadOnlyList<BgpFamily> Families { get; init; } = [];

    /// <summary>Whether it knows AS numbers of four bytes.</summary>
    public bool FourOctetAs { get; init; }

    /// <summary>Whether it answers ROUTE-REFRESH.</summary>
    public bool RouteRefresh { get; init; }

    /// <summary>Whether it marks begin and end of a refresh.</summary>
    public bool EnhancedRouteRefresh { get; init; }

    /// <summary>Whether it takes long messages.</summary>
    public bool ExtendedMessage { get; init; }

    /// <summary>Whether it takes IPv4 unicast with IPv6 next hops.</summary>
    public bool ExtendedNextHop { get; init; }

    /// <summary>Graceful restart; null when it is not announced.</summary>
    public BgpGracefulRestart? GracefulRestart { get; init; }

    private const byte Version = 4;
    private const byte CapabilitiesParameter = 2;
    private const byte ExtendedLengthMark = 255;

    /// <summary>Reads an OPEN.</summary>
    /// <param name="message">The whole message, as <see cref="BgpWire.TryFrame"/> found it.</param>
    /// <param name="open">The OPEN, or null.</param>
    /// <returns>Null, or the NOTIFICATION to answer with.</returns>
    public static BgpNotification? TryParse(ReadOnlySpan<byte> message, out BgpOpen? open)
    {
        open = null;
        var body = message[BgpWire.HeaderLength..];
        if (body.Length < 10)
            return new BgpNotification(BgpErrorCode.MessageHeader, 2, message.Slice(16, 2).ToArray());
        if (body[0] != Version)
            return new BgpNotification(BgpErrorCode.Open, 1, new byte[] { 0, Version });
        var parameters = body[10..];
        bool extended = body[9] == ExtendedLengthMark && parameters.Length >= 3 && parameters[0] == ExtendedLengthMark;
        int total = body[9];
        if (extended)
        {
            total = BinaryPrimitives.ReadUInt16BigEndian(parameters[1..]);
            parameters = parameters[3..];
        }
        if (total != parameters.Length)
            return new BgpNotification(BgpErrorCode.Open, 0);
        var read = new BgpOpen(BinaryPrimitives.ReadUInt16BigEndian(body[1..]), BinaryPrimitives.ReadUInt16BigEndian(body[3..]), BinaryPrimitives.ReadUInt32BigEndian(body[5..]));
        var families = new List<BgpFamily>();
        int head = extended ? 3 : 2;
        while (parameters.Length > 0)
        {
            if (parameters.Length < head)
                return new BgpNotification(BgpErrorCode.Open, 0);
            int length = extended ? BinaryPrimitives.ReadUInt16BigEndian(parameters[1..]) : parameters[1];
            if (parameters.Length < head + length)
                return new BgpNotification(BgpErrorCode.Open, 0);
            if (parameters[0] != CapabilitiesParameter)
                return new BgpNotification(BgpErrorCode.Open, 4);
            if (!TryReadCapabilities(parameters.Slice(head, length), ref read, families))
                return new BgpNotification(BgpErrorCode.Open, 0);
            parameters = parameters[(head + length)..];
        }
        open = read with { Families = families };
        return null;
    }

    /// <summary>The whole message.</summary>
    public byte[] ToMessage()
    {
        var message = new byte[256];
        int at = BgpWire.HeaderLength;
        message[at] = Version;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at + 1), Asn > ushort.MaxValue ? BgpWire.AsTrans : (ushort)Asn);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(at + 3), HoldSeconds);
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(at + 5), RouterId);
        // One parameter with all capabilities: the form that every implementation since RFC 3392 understands.
        int start = at + 12, end = start + WriteCapabilities(message.AsSpan(start));
        if (end == start)
        {
            end = at + 10;
        }
        else
        {
            message[at + 9] = (byte)(end - at - 10);
            message[at + 10] = CapabilitiesParameter;
            message[at + 11] = (byte)(end - start);
        }
        BgpWire.WriteHeader(message, BgpMessageType.Open, end);
        return message[..end];
    }

    private int WriteCapabilities(Span<byte> destination)
    {
        int at = 0;
        foreach (var family in Families)
        {
            var value = Begin(destination, ref at, BgpCapability.MultiProtocol, 4);
            BinaryPrimitives.WriteUInt16BigEndian(value, (ushort)family);
            value[3] = BgpWire.Unicast;
        }
        if (RouteRefresh)
            _ = Begin(destination, ref at, BgpCapability.RouteRefresh, 0);
        if (EnhancedRouteRefresh)
            _ = Begin(destination, ref at, BgpCapability.EnhancedRouteRefresh, 0);
        if (ExtendedNextHop)
        {
            var value = Begin(destination, ref at, BgpCapability.ExtendedNextHop, 6);
            BinaryPrimitives.WriteUInt16BigEndian(value, (ushort)BgpFamily.IPv4);
            BinaryPrimitives.WriteUInt16BigEndian(value[2..], BgpWire.Unicast);
            BinaryPrimitives.WriteUInt16BigEndian(value[4..], (ushort)BgpFamily.IPv6);
        }
        if (ExtendedMessage)
            _ = Begin(destination, ref at, BgpCapability.ExtendedMessage, 0);
        if (FourOctetAs)
            BinaryPrimitives.WriteUInt32BigEndian(Begin(destination, ref at, BgpCapability.FourOctetAs, 4), Asn);
        if (GracefulRestart is { } restart)
        {
            var value = Begin(destination, ref at, BgpCapability.GracefulRestart, 2 + (4 * restart.Families.Count));
            BinaryPrimitives.WriteUInt16BigEndian(
                value, (ushort)((restart.IsRestarting ? 0x8000 : 0) | (restart.Notifications ? 0x4000 : 0) | Math.Clamp(restart.Seconds, 0, 0xfff)));
            for (int i = 0; i < restart.Families.Count; i++)
            {
                var entry = value[(2 + (4 * i))..];
                BinaryPrimitives.WriteUInt16BigEndian(entry, (ushort)restart.Families[i].Family);
                entry[2] = BgpWire.Unicast;
                entry[3] = (byte)(restart.Families[i].Forwarding ? 0x80 : 0);
            }
        }
        return at;
    }

    private static Span<byte> Begin(Span<byte> destination, ref int at, BgpCapability code, int length)
    {
        destination[at] = (byte)code;
        destination[at + 1] = (byte)length;
        at += 2 + length;
        return destination.Slice(at - length, length);
    }

    /// <summary>Unknown capabilities are skipped (RFC 5492 §3), and known ones of an impossible length are taken for unknown.</summary>
    private static bool TryReadCapabilities(ReadOnlySpan<byte> source, ref BgpOpen open, List<BgpFamily> families)
    {
        while (source.Length > 0)
        {
            if (source.Length < 2 || source.Length < 2 + source[1])
                return false;
            var value = source.Slice(2, source[1]);
            switch ((BgpCapability)source[0])
            {
                case BgpCapability.MultiProtocol when value.Length == 4 && value[3] == BgpWire.Unicast:
                    var family = (BgpFamily)BinaryPrimitives.ReadUInt16BigEndian(value);
                    if (family is BgpFamily.IPv4 or BgpFamily.IPv6 && !families.Contains(family))
                        families.Add(family);
                    break;
                case BgpCapability.RouteRefresh:
                    open = open with { RouteRefresh = true };
                    break;
                case BgpCapability.EnhancedRouteRefresh:
                    open = open with { EnhancedRouteRefresh = true };
                    break;
                case BgpCapability.ExtendedMessage:
                    open = open with { ExtendedMessage = true };
                    break;
                case BgpCapability.FourOctetAs when value.Length == 4:
                    open = open with { FourOctetAs = true, Asn = BinaryPrimitives.ReadUInt32BigEndian(value) };
                    break;
                case BgpCapability.ExtendedNextHop when value.Length % 6 == 0:
                    for (; value.Length > 0; value = value[6..])
                    {
                        if (value[1] == (byte)BgpFamily.IPv4 && value[0] == 0 && value[2] == 0 && value[3] == BgpWire.Unicast && value[4] == 0 && value[5] == (byte)BgpFamily.IPv6)
                            open = open with { ExtendedNextHop = true };
                    }
                    break;
                case BgpCapability.GracefulRestart when value.Length >= 2 && value.Length % 4 == 2:
                    open = open with { GracefulRestart = ReadRestart(value) };
                    break;
                default:
                    break;
            }
            source = source[(2 + source[1])..];
        }
        return true;
    }

    private static BgpGracefulRestart ReadRestart(ReadOnlySpan<byte> value)
    {
        ushort head = BinaryPrimitives.ReadUInt16BigEndian(value);
        var kept = new List<(BgpFamily, bool)>();
        for (value = value[2..]; value.Length > 0; value = value[4..])
        {
            var family = (BgpFamily)BinaryPrimitives.ReadUInt16BigEndian(value);
            if (value[2] == BgpWire.Unicast && family is BgpFamily.IPv4 or BgpFamily.IPv6)
                kept.Add((family, (value[3] & 0x80) != 0));
        }
        return new BgpGracefulRestart((head & 0x8000) != 0, (head & 0x4000) != 0, head & 0xfff, kept);
    }
}
