using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bgp;

/// <summary>An UPDATE that was received (RFC 4271 §4.3), judged by the revised rules of RFC 7606.</summary>
public sealed class BgpUpdate
{
    private readonly List<BgpPrefix> _withdrawn = [];
    private readonly List<BgpPrefix> _announced = [];
    private readonly List<uint> _path = [];
    private readonly List<uint> _communities = [];
    private readonly List<BgpLargeCommunity> _large = [];

    private BgpUpdate()
    {
    }

    /// <summary>Withdrawn routes of all families.</summary>
    public IReadOnlyList<BgpPrefix> Withdrawn => _withdrawn;

    /// <summary>Announced routes of all families.</summary>
    public IReadOnlyList<BgpPrefix> Announced => _announced;

    /// <summary>The AS path, sets included.</summary>
    public IReadOnlyList<uint> AsPath => _path;

    /// <summary>Communities in the order of the message.</summary>
    public IReadOnlyList<uint> Communities => _communities;

    /// <summary>Large communities in the order of the message.</summary>
    public IReadOnlyList<BgpLargeCommunity> LargeCommunities => _large;

    /// <summary>Origin: 0 IGP, 1 EGP, 2 incomplete; null when it is not there.</summary>
    public byte? Origin { get; private set; }

    /// <summary>LOCAL_PREF, or null.</summary>
    public uint? LocalPref { get; private set; }

    /// <summary>Next hop of the message's own routes, or null.</summary>
    public IPv4Address? NextHop { get; private set; }

    /// <summary>First next hop of MP_REACH_NLRI, or null.</summary>
    public IPv6Address? NextHopV6 { get; private set; }

    /// <summary>What is wrong, when the announced routes are to be taken for withdrawn (RFC 7606 §2); else null.</summary>
    public string? TreatAsWithdraw { get; private set; }

    /// <summary>The family whose last route this marks (RFC 4724 §2), or null.</summary>
    public BgpFamily? EndOfRib { get; private set; }

    /// <summary>Reads an UPDATE.</summary>
    /// <param name="message">The whole message, as <see cref="BgpWire.TryFrame"/> found it.</param>
    /// <param name="encoding">What the session agreed on.</param>
    /// <param name="update">The UPDATE, or null.</param>
    /// <returns>Null, or the NOTIFICATION that ends the session.</returns>
    public static BgpNotification? TryParse(ReadOnlySpan<byte> message, BgpEncoding encoding, out BgpUpdate? update)
    {
        update = null;
        var body = message[BgpWire.HeaderLength..];
        int withdrawn = BinaryPrimitives.ReadUInt16BigEndian(body);
        if (body.Length < 4 + withdrawn)
            return MalformedList;
        int attributes = BinaryPrimitives.ReadUInt16BigEndian(body[(2 + withdrawn)..]);
        if (body.Length < 4 + withdrawn + attributes)
            return MalformedList;
        var read = new BgpUpdate();
        var nlri = body[(4 + withdrawn + attributes)..];
        if (!ReadPrefixes(body.Slice(2, withdrawn), BgpFamily.IPv4, read._withdrawn) || !ReadPrefixes(nlri, BgpFamily.IPv4, read._announced))
            return new BgpNotification(BgpErrorCode.Update, 10);
        if (withdrawn + attributes + nlri.Length == 0)
            read.EndOfRib = BgpFamily.IPv4;
        if (read.ReadAttributes(body.Slice(4 + withdrawn, attributes), encoding, nlri.Length > 0) is { } error)
            return error;
        update = read;
        return null;
    }

    private static BgpNotification MalformedList => new(BgpErrorCode.Update, 1);

    private BgpNotification? ReadAttributes(ReadOnlySpan<byte> source, BgpEncoding encoding, bool hasOwn)
    {
        bool only = true, reach = false, unreach = false, hasPath = false;
        UInt128 seenLow = 0, seenHigh = 0;
        var all = source;
        while (source.Length > 0)
        {
            int head = (source[0] & BgpUpdateWriter.ExtendedLength) != 0 ? 4 : 3;
            int length = source.Length < head ? int.MaxValue / 2 : head == 4 ? BinaryPrimitives.ReadUInt16BigEndian(source[2..]) : source[2];
            if (source.Length < head + length)
            {
                Fault("an attribute is longer than the attributes");
                break;
            }
            var (flags, type) = (source[0], (BgpAttribute)source[1]);
            var value = source.Slice(head, length);
            bool isSeen = Mark((byte)type, ref seenLow, ref seenHigh);
            only &= type == BgpAttribute.MpUnreach && length == 3;
            source = source[(head + length)..];
            if (type is BgpAttribute.MpReach or BgpAttribute.MpUnreach)
            {
                if (isSeen)
                    return MalformedList;
                reach |= type == BgpAttribute.MpReach;
                unreach |= type == BgpAttribute.MpUnreach;
                if (!(type == BgpAttribute.MpReach ? ReadReach(value) : ReadUnreach(value)))
                    return new BgpNotification(BgpErrorCode.Update, 9, all[..^source.Length][^(head + length)..].ToArray());
            }
            else if (!isSeen)
            {
                // All but the first of an attribute are of no consequence (RFC 7606 §3, g).
                hasPath |= type == BgpAttribute.AsPath;
                ReadAttribute(flags, type, value, encoding);
            }
        }
        if (reach || hasOwn)
        {
            if (Origin is null || !hasPath || (hasOwn && NextHop is null) || (encoding.IsInternal && LocalPref is null))
                Fault("a mandatory attribute is missing");
        }
        else if (only && unreach && _withdrawn.Count == 0 && EndOfRib is null)
        {
            EndOfRib = BgpFamily.IPv6;
        }
        return null;
    }

    private static bool Mark(byte type, ref UInt128 low, ref UInt128 high)
    {
        ref var bits = ref type < 128 ? ref low : ref high;
        var bit = UInt128.One << (type & 127);
        bool isSeen = (bits & bit) != 0;
        bits |= bit;
        return isSeen;
    }

    private void ReadAttribute(byte flags, BgpAttribute type, ReadOnlySpan<byte> value, BgpEncoding encoding)
    {
        const int Kind = BgpUpdateWriter.Optional | BgpUpdateWriter.Transitive;
        int expected = type switch
        {
            BgpAttribute.Origin or BgpAttribute.AsPath or BgpAttribute.NextHop or BgpAttribute.LocalPref or BgpAttribute.AtomicAggregate => BgpUpdateWriter.Transitive,
            BgpAttribute.MultiExitDiscriminator => BgpUpdateWriter.Optional,
            BgpAttribute.Aggregator or BgpAttribute.Communities or BgpAttribute.As4Path or BgpAttribute.LargeCommunities => Kind,
            _ => flags & Kind,
        };
        if ((flags & Kind) != expected)
        {
            Fault($"{type} has the wrong flags");
            return;
        }
        switch (type)
        {
            case BgpAttribute.Origin when value.Length == 1 && value[0] <= 2:
                Origin = value[0];
                break;
            case BgpAttribute.AsPath:
                if (!ReadPath(value, encoding.FourOctetAs ? 4 : 2))
                    Fault("malformed AS_PATH");
                break;
            case BgpAttribute.NextHop when value.Length == 4:
                NextHop = IPv4Address.Read(value);
                break;
            case BgpAttribute.LocalPref when !encoding.IsInternal:
                break;
            case BgpAttribute.LocalPref when value.Length == 4:
                LocalPref = BinaryPrimitives.ReadUInt32BigEndian(value);
                break;
            case BgpAttribute.MultiExitDiscriminator when value.Length == 4:
                break;
            case BgpAttribute.Communities when value.Length > 0 && value.Length % 4 == 0:
                for (; value.Length > 0; value = value[4..])
                    _communities.Add(BinaryPrimitives.ReadUInt32BigEndian(value));
                break;
            case BgpAttribute.LargeCommunities when value.Length > 0 && value.Length % BgpLargeCommunity.Length == 0:
                for (; value.Length > 0; value = value[BgpLargeCommunity.Length..])
                {
                    _large.Add(new BgpLargeCommunity(
                        BinaryPrimitives.ReadUInt32BigEndian(value), BinaryPrimitives.ReadUInt32BigEndian(value[4..]), BinaryPrimitives.ReadUInt32BigEndian(value[8..])));
                }
                break;
            case BgpAttribute.Origin or BgpAttribute.NextHop or BgpAttribute.LocalPref or BgpAttribute.MultiExitDiscriminator or BgpAttribute.Communities
                or BgpAttribute.LargeCommunities:
                Fault($"{type} has a wrong value");
                break;
            default:
                // Attributes that change nothing for us, faults in which only discard them (RFC 7606 §7).
                break;
        }
    }

    private bool ReadPath(ReadOnlySpan<byte> value, int width)
    {
        while (value.Length > 0)
        {
            if (value.Length < 2 || value[0] is 0 or > 4 || value[1] == 0 || value.Length < 2 + (value[1] * width))
                return false;
            for (int i = 0; i < value[1]; i++)
            {
                var number = value[(2 + (i * width))..];
                _path.Add(width == 4 ? BinaryPrimitives.ReadUInt32BigEndian(number) : BinaryPrimitives.ReadUInt16BigEndian(number));
            }
            value = value[(2 + (value[1] * width))..];
        }
        return true;
    }

    private bool ReadReach(ReadOnlySpan<byte> value)
    {
        if (value.Length < 5 || value.Length < 5 + value[3])
            return false;
        var family = (BgpFamily)BinaryPrimitives.ReadUInt16BigEndian(value);
        if (value[2] != BgpWire.Unicast || family is not (BgpFamily.IPv4 or BgpFamily.IPv6))
            return true;
        var hop = value.Slice(4, value[3]);
        bool isV6 = hop.Length is IPv6Address.Length or 2 * IPv6Address.Length;
        if (!isV6 && (family == BgpFamily.IPv6 || hop.Length != IPv4Address.Length))
            return false;
        if (isV6)
            NextHopV6 = IPv6Address.Read(hop);
        return ReadPrefixes(value[(5 + hop.Length)..], family, _announced);
    }

    private bool ReadUnreach(ReadOnlySpan<byte> value)
    {
        if (value.Length < 3)
            return false;
        var family = (BgpFamily)BinaryPrimitives.ReadUInt16BigEndian(value);
        return value[2] != BgpWire.Unicast || family is not (BgpFamily.IPv4 or BgpFamily.IPv6) || ReadPrefixes(value[3..], family, _withdrawn);
    }

    private static bool ReadPrefixes(ReadOnlySpan<byte> source, BgpFamily family, List<BgpPrefix> prefixes)
    {
        while (source.Length > 0)
        {
            if (!BgpPrefix.TryParse(source, family, out var prefix))
                return false;
            prefixes.Add(prefix);
            source = source[prefix.WireLength..];
        }
        return true;
    }

    private void Fault(string reason) => TreatAsWithdraw ??= reason;
}
