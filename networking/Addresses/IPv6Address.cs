using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace DynamicLb.Networking.Addresses;

/// <summary>
/// An IPv6 address as a value, without a zone. Immutable and thread-safe.
/// </summary>
/// <param name="High">The first eight bytes, in host order: 2001:db8:: is 0x20010db8_00000000.</param>
/// <param name="Low">The last eight bytes, in host order.</param>
public readonly record struct IPv6Address(ulong High, ulong Low) : IComparable<IPv6Address>
{
    /// <summary>Length on the wire, in bytes.</summary>
    public const int Length = 16;

    /// <summary>The unspecified address, ::.</summary>
    public static IPv6Address Any => default;

    /// <summary>Whether this is ::.</summary>
    public bool IsAny => (High | Low) == 0;

    /// <summary>Whether this is ::1.</summary>
    public bool IsLoopback => High == 0 && Low == 1;

    /// <summary>Whether this lies in ff00::/8.</summary>
    public bool IsMulticast => High >> 56 == 0xff;

    /// <summary>Whether this lies in fe80::/10.</summary>
    public bool IsLinkLocal => High >> 54 == 0xfe80 >> 6;

    /// <summary>Whether this stands for an IPv4 address, in ::ffff:0:0/96.</summary>
    public bool IsIPv4Mapped => High == 0 && Low >> 32 == 0xffff;

    /// <summary>The multicast address that neighbours of this one listen to, ff02::1:ffXX:XXXX (RFC 4291 §2.7.1).</summary>
    public IPv6Address SolicitedNode => new(0xff02_0000_0000_0000, 0x0000_0001_ff00_0000 | (Low & 0xff_ffff));

    /// <summary>The Ethernet address that a multicast address is sent to: 33:33 and its last four bytes (RFC 2464 §7).</summary>
    public MacAddress MulticastMac => new(0x3333_0000_0000UL | (uint)Low);

    /// <summary>The link-local address that follows from a hardware address (RFC 4291 appendix A).</summary>
    public static IPv6Address LinkLocalOf(MacAddress mac) =>
        new(0xfe80_0000_0000_0000, (((mac.Value >> 24) ^ 0x02_0000) << 40) | 0xff_fe00_0000 | (mac.Value & 0xff_ffff));

    /// <summary>Reads the first sixteen bytes of <paramref name="source"/> (network order).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than sixteen bytes.</exception>
    public static IPv6Address Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]));

    /// <summary>Writes sixteen bytes (network order).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Room for fewer than sixteen bytes.</exception>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Low);
        BinaryPrimitives.WriteUInt64BigEndian(destination, High);
    }

    /// <summary>Converts from <see cref="IPAddress"/>, whose zone is left out; false for IPv4.</summary>
    public static bool TryFrom([NotNullWhen(true)] IPAddress? address, out IPv6Address result)
    {
        result = default;
        if (address is null || address.AddressFamily != AddressFamily.InterNetworkV6)
            return false;
        Span<byte> bytes = stackalloc byte[Length];
        _ = address.TryWriteBytes(bytes, out _);
        result = Read(bytes);
        return true;
    }

    /// <summary>Parses the forms of RFC 4291 §2.2; brackets, zones and prefix lengths are refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IPv6Address address)
    {
        address = default;
        return text is not null && text.AsSpan().IndexOfAny("[]%/") < 0 && IPAddress.TryParse(text, out var parsed) && TryFrom(parsed, out address);
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not an IPv6 address.</exception>
    public static IPv6Address Parse(string text) =>
        TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not an IPv6 address.");

    /// <summary>Converts to the base class library's type.</summary>
    /// <param name="zone">Index of the interface, for a link-local address; 0 for none.</param>
    public IPAddress ToIPAddress(long zone = 0)
    {
        Span<byte> bytes = stackalloc byte[Length];
        Write(bytes);
        return new IPAddress(bytes, zone);
    }

    /// <inheritdoc/>
    public int CompareTo(IPv6Address other) => High != other.High ? High.CompareTo(other.High) : Low.CompareTo(other.Low);

    /// <summary>Whether the left address is numerically lower.</summary>
    public static bool operator <(IPv6Address left, IPv6Address right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left address is numerically higher.</summary>
    public static bool operator >(IPv6Address left, IPv6Address right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left address is not higher.</summary>
    public static bool operator <=(IPv6Address left, IPv6Address right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left address is not lower.</summary>
    public static bool operator >=(IPv6Address left, IPv6Address right) => left.CompareTo(right) >= 0;

    /// <summary>The canonical form of RFC 5952: lower case, the first longest run of two or more zero groups as ::.</summary>
    public override string ToString()
    {
        if (IsIPv4Mapped)
            return $"::ffff:{new IPv4Address((uint)Low)}";
        int start = -1;
        int length = 1;
        for (int i = 0; i < 8; i++)
        {
            int end = i;
            while (end < 8 && Group(end) == 0)
                end++;
            if (end - i > length)
                (start, length) = (i, end - i);
        }
        var text = new StringBuilder(39);
        for (int i = 0; i < 8; i++)
        {
            if (i == start)
            {
                text.Append("::");
                i += length - 1;
                continue;
            }
            if (text.Length > 0 && text[^1] != ':')
                text.Append(':');
            text.Append(CultureInfo.InvariantCulture, $"{Group(i):x}");
        }
        return text.ToString();
    }

    private int Group(int index) => (int)((index < 4 ? High : Low) >> (48 - (16 * (index & 3)))) & 0xffff;
}
