using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bgp;

/// <summary>Types of path attributes (IANA "BGP Path Attributes") that we know.</summary>
public enum BgpAttribute : byte
{
    /// <summary>Origin of the route.</summary>
    Origin = 1,

    /// <summary>Autonomous systems it passed.</summary>
    AsPath = 2,

    /// <summary>IPv4 next hop.</summary>
    NextHop = 3,

    /// <summary>Preference between entries to an AS.</summary>
    MultiExitDiscriminator = 4,

    /// <summary>Preference within an AS.</summary>
    LocalPref = 5,

    /// <summary>Marks an aggregate.</summary>
    AtomicAggregate = 6,

    /// <summary>Who aggregated.</summary>
    Aggregator = 7,

    /// <summary>Communities (RFC 1997).</summary>
    Communities = 8,

    /// <summary>Routes of other families (RFC 4760).</summary>
    MpReach = 14,

    /// <summary>Withdrawn routes of other families (RFC 4760).</summary>
    MpUnreach = 15,

    /// <summary>The path with AS numbers of four bytes, for those who know but two (RFC 6793).</summary>
    As4Path = 17,

    /// <summary>Large communities (RFC 8092).</summary>
    LargeCommunities = 32,
}

/// <summary>Writes UPDATEs with as many prefixes as fit (RFC 4271 §4.3, RFC 4760). Pure.</summary>
public static class BgpUpdateWriter
{
    internal const byte Optional = 0x80;
    internal const byte Transitive = 0x40;
    internal const byte ExtendedLength = 0x10;
    internal const byte AsSequence = 2;

    // Header, length of withdrawn routes, length of attributes.
    private const int FixedLength = BgpWire.HeaderLength + 4;
    private const int AttributesAt = FixedLength;

    /// <summary>Announces routes of one family that have the same attributes.</summary>
    /// <param name="destination">Room for the longest message.</param>
    /// <param name="encoding">How the session writes; it must carry the family.</param>
    /// <param name="family">The family of all prefixes.</param>
    /// <param name="attributes">Their attributes.</param>
    /// <param name="prefixes">The prefixes.</param>
    /// <param name="taken">How many of them are in the message; 0 when the attributes leave no room for one.</param>
    /// <returns>Length of the message; 0 when no prefix was taken.</returns>
    public static int WriteReach(
        Span<byte> destination, BgpEncoding encoding, BgpFamily family, BgpRouteAttributes attributes, ReadOnlySpan<BgpPrefix> prefixes, out int taken)
    {
        var message = destination[..Math.Min(destination.Length, encoding.LongestMessage)];
        taken = 0;
        int needed = AttributesAt + 100 + (attributes.Communities.Length * 4) + (attributes.LargeCommunities.Length * BgpLargeCommunity.Length);
        if (needed > message.Length)
            return 0;
        int at = AttributesAt;
        if (!encoding.IsMultiProtocol(family))
        {
            WriteCommon(message, ref at, encoding, attributes, encoding.NextHopV4);
            int length = at - AttributesAt;
            taken = Fill(message, ref at, prefixes, message.Length);
            return Finish(message, at, length);
        }
        // MP_REACH_NLRI is the first attribute (RFC 7606 §5.1). The others are written behind all room that it may take, and moved up.
        Span<byte> common = stackalloc byte[needed];
        int commonLength = 0;
        WriteCommon(common, ref commonLength, encoding, attributes, null);
        int start = at;
        message[at] = Optional | ExtendedLength;
        message[at + 1] = (byte)BgpAttribute.MpReach;
        BinaryPrimitives.WriteUInt16BigEndian(message[(at + 4)..], (ushort)family);
        message[at + 6] = BgpWire.Unicast;
        at += 7;
        at += WriteNextHop(message[at..], encoding);
        message[at++] = 0;
        taken = Fill(message, ref at, prefixes, message.Length - commonLength);
        BinaryPrimitives.WriteUInt16BigEndian(message[(start + 2)..], (ushort)(at - start - 4));
        common[..commonLength].CopyTo(message[at..]);
        at += commonLength;
        return Finish(message, at, at - AttributesAt);
    }

    /// <summary>Withdraws routes of one family.</summary>
    /// <param name="destination">Room for the longest message.</param>
    /// <param name="encoding">How the session writes.</param>
    /// <param name="family">The family of all prefixes.</param>
    /// <param name="prefixes">The prefixes.</param>
    /// <param name="taken">How many of them are in the message.</param>
    /// <returns>Length of the message.</returns>
    public static int WriteUnreach(Span<byte> destination, BgpEncoding encoding, BgpFamily family, ReadOnlySpan<BgpPrefix> prefixes, out int taken)
    {
        var message = destination[..Math.Min(destination.Length, encoding.LongestMessage)];
        if (!encoding.IsMultiProtocol(family))
        {
            int at = BgpWire.HeaderLength + 2;
            taken = Fill(message, ref at, prefixes, message.Length - 2);
            BinaryPrimitives.WriteUInt16BigEndian(message[BgpWire.HeaderLength..], (ushort)(at - BgpWire.HeaderLength - 2));
            BinaryPrimitives.WriteUInt16BigEndian(message[at..], 0);
            BgpWire.WriteHeader(message, BgpMessageType.Update, at + 2);
            return at + 2;
        }
        int end = AttributesAt + 7;
        WriteUnreachHead(message, family);
        taken = Fill(message, ref end, prefixes, message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[(AttributesAt + 2)..], (ushort)(end - AttributesAt - 4));
        return Finish(message, end, end - AttributesAt);
    }

    /// <summary>The mark behind all routes of a family (RFC 4724 §2).</summary>
    public static int WriteEndOfRib(Span<byte> destination, BgpFamily family)
    {
        if (family == BgpFamily.IPv4)
            return Finish(destination, FixedLength, 0);
        WriteUnreachHead(destination, family);
        BinaryPrimitives.WriteUInt16BigEndian(destination[(AttributesAt + 2)..], 3);
        return Finish(destination, AttributesAt + 7, 7);
    }

    private static void WriteUnreachHead(Span<byte> message, BgpFamily family)
    {
        message[AttributesAt] = Optional | ExtendedLength;
        message[AttributesAt + 1] = (byte)BgpAttribute.MpUnreach;
        BinaryPrimitives.WriteUInt16BigEndian(message[(AttributesAt + 4)..], (ushort)family);
        message[AttributesAt + 6] = BgpWire.Unicast;
    }

    private static int Finish(Span<byte> message, int length, int attributes)
    {
        BinaryPrimitives.WriteUInt16BigEndian(message[BgpWire.HeaderLength..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(message[(BgpWire.HeaderLength + 2)..], (ushort)attributes);
        BgpWire.WriteHeader(message, BgpMessageType.Update, length);
        return length;
    }

    private static int Fill(Span<byte> message, ref int at, ReadOnlySpan<BgpPrefix> prefixes, int end)
    {
        int taken = 0;
        while (taken < prefixes.Length && at + prefixes[taken].WireLength <= end)
            at += prefixes[taken++].Write(message[at..]);
        return taken;
    }

    /// <summary>Next hop of MP_REACH_NLRI with its length: one address, or a global and a link-local one.</summary>
    private static int WriteNextHop(Span<byte> destination, BgpEncoding encoding)
    {
        var nextHop = encoding.NextHopV6!.Value;
        nextHop.Write(destination[1..]);
        destination[0] = IPv6Address.Length;
        if (encoding.LinkLocal is { } linkLocal && !nextHop.IsLinkLocal)
        {
            linkLocal.Write(destination[(1 + IPv6Address.Length)..]);
            destination[0] = 2 * IPv6Address.Length;
        }
        return 1 + destination[0];
    }

    private static void WriteCommon(Span<byte> message, ref int at, BgpEncoding encoding, BgpRouteAttributes attributes, IPv4Address? nextHop)
    {
        // Origin IGP.
        Begin(message, ref at, Transitive, BgpAttribute.Origin, 1)[0] = 0;
        WritePath(message, ref at, encoding);
        if (nextHop is { } hop)
            hop.Write(Begin(message, ref at, Transitive, BgpAttribute.NextHop, 4));
        if (encoding.IsInternal)
            BinaryPrimitives.WriteUInt32BigEndian(Begin(message, ref at, Transitive, BgpAttribute.LocalPref, 4), attributes.LocalPref);
        if (attributes.Communities.Length > 0)
        {
            var value = Begin(message, ref at, Optional | Transitive, BgpAttribute.Communities, attributes.Communities.Length * 4);
            foreach (uint community in attributes.Communities)
            {
                BinaryPrimitives.WriteUInt32BigEndian(value, community);
                value = value[4..];
            }
        }
        if (!encoding.IsInternal && !encoding.FourOctetAs && encoding.Asn > ushort.MaxValue)
        {
            var value = Begin(message, ref at, Optional | Transitive, BgpAttribute.As4Path, 6);
            value[0] = AsSequence;
            value[1] = 1;
            BinaryPrimitives.WriteUInt32BigEndian(value[2..], encoding.Asn);
        }
        if (attributes.LargeCommunities.Length > 0)
        {
            var value = Begin(message, ref at, Optional | Transitive, BgpAttribute.LargeCommunities, attributes.LargeCommunities.Length * BgpLargeCommunity.Length);
            foreach (var community in attributes.LargeCommunities)
            {
                BinaryPrimitives.WriteUInt32BigEndian(value, community.Global);
                BinaryPrimitives.WriteUInt32BigEndian(value[4..], community.First);
                BinaryPrimitives.WriteUInt32BigEndian(value[8..], community.Second);
                value = value[BgpLargeCommunity.Length..];
            }
        }
    }

    private static void WritePath(Span<byte> message, ref int at, BgpEncoding encoding)
    {
        if (encoding.IsInternal)
        {
            _ = Begin(message, ref at, Transitive, BgpAttribute.AsPath, 0);
            return;
        }
        var value = Begin(message, ref at, Transitive, BgpAttribute.AsPath, encoding.FourOctetAs ? 6 : 4);
        value[0] = AsSequence;
        value[1] = 1;
        if (encoding.FourOctetAs)
            BinaryPrimitives.WriteUInt32BigEndian(value[2..], encoding.Asn);
        else
            BinaryPrimitives.WriteUInt16BigEndian(value[2..], encoding.Asn > ushort.MaxValue ? BgpWire.AsTrans : (ushort)encoding.Asn);
    }

    private static Span<byte> Begin(Span<byte> message, ref int at, int flags, BgpAttribute type, int length)
    {
        bool isLong = length > byte.MaxValue;
        message[at] = (byte)(isLong ? flags | ExtendedLength : flags);
        message[at + 1] = (byte)type;
        if (isLong)
            BinaryPrimitives.WriteUInt16BigEndian(message[(at + 2)..], (ushort)length);
        else
            message[at + 2] = (byte)length;
        at += isLong ? 4 : 3;
        var value = message.Slice(at, length);
        at += length;
        return value;
    }
}
