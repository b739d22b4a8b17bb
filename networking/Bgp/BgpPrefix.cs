using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bgp;

/// <summary>Kinds of routes that are exchanged: unicast of an address family (RFC 4760 §6). The values are IANA's address family numbers.</summary>
public enum BgpFamily : ushort
{
    /// <summary>IPv4 unicast.</summary>
    IPv4 = 1,

    /// <summary>IPv6 unicast.</summary>
    IPv6 = 2,
}

/// <summary>A network as BGP announces it, as a value. Immutable and thread-safe.</summary>
public readonly record struct BgpPrefix : IComparable<BgpPrefix>
{
    /// <summary>Creates a prefix; bits beyond the length are cleared.</summary>
    /// <param name="family">The family.</param>
    /// <param name="bits">The address, left-aligned: an IPv4 address has the uppermost 32 bits.</param>
    /// <param name="length">0 to 32, or to 128.</param>
    /// <exception cref="ArgumentOutOfRangeException">The length is none of the family.</exception>
    public BgpPrefix(BgpFamily family, UInt128 bits, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, family == BgpFamily.IPv4 ? 32 : 128);
        Family = family;
        Length = (byte)length;
        Bits = length == 0 ? 0 : bits & (UInt128.MaxValue << (128 - length));
    }

    /// <summary>The family.</summary>
    public BgpFamily Family { get; }

    /// <summary>The address, left-aligned.</summary>
    public UInt128 Bits { get; }

    /// <summary>Leading bits that all addresses of the network share.</summary>
    public byte Length { get; }

    /// <summary>Bytes on the wire: one for the length, and as many as it covers.</summary>
    public int WireLength => 1 + ((Length + 7) / 8);

    /// <summary>The network of an address.</summary>
    /// <param name="address">Any address inside.</param>
    /// <param name="length">0 to 32, or to 128.</param>
    public static BgpPrefix Of(IPAddress address, int length)
    {
        ArgumentNullException.ThrowIfNull(address);
        Span<byte> bytes = stackalloc byte[16];
        bytes.Clear();
        _ = address.TryWriteBytes(bytes, out _);
        return new BgpPrefix(
            address.AddressFamily == AddressFamily.InterNetwork ? BgpFamily.IPv4 : BgpFamily.IPv6,
            System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(bytes), length);
    }

    /// <summary>Parses <c>10.0.0.0/24</c> or <c>2001:db8::/64</c>.</summary>
    /// <exception cref="FormatException">Neither of them.</exception>
    public static BgpPrefix Parse(string text)
    {
        var network = IPNetwork.Parse(text);
        return Of(network.BaseAddress, network.PrefixLength);
    }

    /// <summary>Reads a prefix (RFC 4271 §4.3). Bits beyond the length are of no consequence.</summary>
    /// <param name="source">The bytes from the prefix on.</param>
    /// <param name="family">What it is a prefix of.</param>
    /// <param name="prefix">The prefix.</param>
    /// <returns>False when the length is none of the family, or bytes are missing.</returns>
    public static bool TryParse(ReadOnlySpan<byte> source, BgpFamily family, out BgpPrefix prefix)
    {
        prefix = default;
        if (source.IsEmpty || source[0] > (family == BgpFamily.IPv4 ? 32 : 128))
            return false;
        int length = source[0], bytes = (length + 7) / 8;
        if (source.Length < 1 + bytes)
            return false;
        UInt128 bits = 0;
        for (int i = 0; i < bytes; i++)
            bits |= (UInt128)source[1 + i] << (120 - (8 * i));
        prefix = new BgpPrefix(family, bits, length);
        return true;
    }

    /// <summary>Writes the prefix as <see cref="TryParse"/> reads it.</summary>
    /// <returns>The number of bytes, <see cref="WireLength"/>.</returns>
    public int Write(Span<byte> destination)
    {
        destination[0] = Length;
        int length = WireLength;
        for (int i = 1; i < length; i++)
            destination[i] = (byte)(Bits >> (128 - (8 * i)));
        return length;
    }

    /// <inheritdoc/>
    public int CompareTo(BgpPrefix other) => Family != other.Family ? Family.CompareTo(other.Family)
        : Bits != other.Bits ? Bits.CompareTo(other.Bits) : Length.CompareTo(other.Length);

    /// <summary>Whether the left prefix sorts before the right one.</summary>
    public static bool operator <(BgpPrefix left, BgpPrefix right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left prefix sorts behind the right one.</summary>
    public static bool operator >(BgpPrefix left, BgpPrefix right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left prefix does not sort behind the right one.</summary>
    public static bool operator <=(BgpPrefix left, BgpPrefix right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left prefix does not sort before the right one.</summary>
    public static bool operator >=(BgpPrefix left, BgpPrefix right) => left.CompareTo(right) >= 0;

    /// <summary>Address and length.</summary>
    public override string ToString() => Family == BgpFamily.IPv4
        ? $"{new IPv4Address((uint)(Bits >> 96))}/{Length}"
        : $"{new IPv6Address((ulong)(Bits >> 64), (ulong)Bits)}/{Length}";
}
