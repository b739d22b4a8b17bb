using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Addresses of one family from a first to a last, both included. Immutable.</summary>
/// <param name="Family">InterNetwork or InterNetworkV6.</param>
/// <param name="First">The lowest address as a number.</param>
/// <param name="Last">The highest address as a number.</param>
public readonly record struct AddressRange(AddressFamily Family, UInt128 First, UInt128 Last)
{
    /// <summary>Whether an address lies in the range.</summary>
    public bool Contains(IPAddress address) => address.AddressFamily == Family && ToNumber(address) is var number && number >= First && number <= Last;

    /// <summary>Whether two ranges have an address in common.</summary>
    public bool Overlaps(in AddressRange other) => Family == other.Family && First <= other.Last && other.First <= Last;

    /// <summary>An address as a number, network order.</summary>
    public static UInt128 ToNumber(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        _ = address.TryWriteBytes(bytes, out int length);
        return length == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt128BigEndian(bytes);
    }

    /// <summary>The address of a number.</summary>
    public static IPAddress ToAddress(AddressFamily family, UInt128 number)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (family == AddressFamily.InterNetworkV6)
        {
            BinaryPrimitives.WriteUInt128BigEndian(bytes, number);
            return new IPAddress(bytes);
        }
        BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)number);
        return new IPAddress(bytes[..4]);
    }

    /// <summary>Reads an address as it is usually written: IPv4 as four decimal numbers, so that <c>10.1</c> is a slip and not 10.0.0.1; IPv6 without a zone.</summary>
    public static bool TryParseAddress(string? text, [NotNullWhen(true)] out IPAddress? address) =>
        IPAddress.TryParse(text, out address)
        && (address.AddressFamily == AddressFamily.InterNetwork ? address.ToString() == text : !text!.AsSpan().ContainsAny('%', '['));

    /// <summary>
    /// Reads <c>10.0.0.0/24</c> (host bits are ignored) or <c>10.0.0.5-10.0.0.9</c>, as MetalLB does; unlike it, a range across families is refused.
    /// </summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParse(string text, out AddressRange range)
    {
        range = default;
        int dash = text.IndexOf('-');
        if (dash < 0)
            return TryParsePrefix(text.Trim(), out range);
        string first = text[..dash].Trim(), last = text[(dash + 1)..].Trim();
        if (!TryParseAddress(first, out var from))
            return $"'{first}' is not an IP address";
        if (!TryParseAddress(last, out var to))
            return $"'{last}' is not an IP address";
        if (from.AddressFamily != to.AddressFamily)
            return $"'{text}' begins and ends in different address families";
        range = new AddressRange(from.AddressFamily, ToNumber(from), ToNumber(to));
        return range.First > range.Last ? $"'{text}' ends before it begins" : null;
    }

    /// <summary>Length of the shortest prefix that lies in the range: of all networks that make it up, the widest.</summary>
    public int WidestPrefix
    {
        get
        {
            int bits = Family == AddressFamily.InterNetwork ? 32 : 128;
            if (First == 0 && Last == (bits == 32 ? uint.MaxValue : UInt128.MaxValue))
                return 0;
            for (int length = 1; length < bits; length++)
            {
                var hosts = (UInt128.One << (bits - length)) - 1;
                // The first network of that length from the beginning on; one that would wrap around lies below the beginning.
                var start = (First + hosts) & ~hosts;
                if (start >= First && start + hosts <= Last && start + hosts >= start)
                    return length;
            }
            return bits;
        }
    }

    /// <summary>First and last address.</summary>
    public override string ToString() => $"{ToAddress(Family, First)}-{ToAddress(Family, Last)}";

    private static string? TryParsePrefix(string text, out AddressRange range)
    {
        range = default;
        int slash = text.IndexOf('/');
        if (slash < 0)
            return TryParseAddress(text, out var single)
                ? $"'{text}' lacks a prefix length: write '{text}/{(single.AddressFamily == AddressFamily.InterNetwork ? 32 : 128)}'"
                : $"'{text}' is neither a CIDR nor a range";
        if (!TryParseAddress(text[..slash], out var address))
            return $"'{text}' is not a CIDR";
        int bits = address.AddressFamily == AddressFamily.InterNetwork ? 32 : 128;
        if (!int.TryParse(text.AsSpan(slash + 1), System.Globalization.NumberStyles.None, null, out int length) || length > bits)
            return $"'{text}' has no valid prefix length (0 to {bits})";
        UInt128 hosts = length == 0 ? (bits == 32 ? uint.MaxValue : UInt128.MaxValue) : (UInt128.One << (bits - length)) - 1;
        var first = ToNumber(address) & ~hosts;
        range = new AddressRange(address.AddressFamily, first, first | hosts);
        return null;
    }
}
