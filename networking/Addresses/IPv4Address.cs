using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Networking.Addresses;

/// <summary>
/// An IPv4 address as a value: what the packet paths use, where <see cref="IPAddress"/> would allocate. Immutable and thread-safe.
/// </summary>
/// <param name="Value">The address in host order: 10.0.0.1 is 0x0a000001.</param>
public readonly record struct IPv4Address(uint Value) : IComparable<IPv4Address>
{
    /// <summary>Length on the wire, in bytes.</summary>
    public const int Length = 4;

    /// <summary>0.0.0.0.</summary>
    public static IPv4Address Any => default;

    /// <summary>255.255.255.255.</summary>
    public static IPv4Address Broadcast { get; } = new(uint.MaxValue);

    /// <summary>Whether this is 0.0.0.0.</summary>
    public bool IsAny => Value == 0;

    /// <summary>Reads the first four bytes of <paramref name="source"/> (network order).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than four bytes.</exception>
    public static IPv4Address Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt32BigEndian(source));

    /// <summary>Writes four bytes (network order).</summary>
    /// <exception cref="ArgumentOutOfRangeException">Room for fewer than four bytes.</exception>
    public void Write(Span<byte> destination) => BinaryPrimitives.WriteUInt32BigEndian(destination, Value);

    /// <summary>Converts from <see cref="IPAddress"/>; false for IPv6.</summary>
    public static bool TryFrom([NotNullWhen(true)] IPAddress? address, out IPv4Address result)
    {
        result = default;
        if (address is null || address.AddressFamily != AddressFamily.InterNetwork)
            return false;
        Span<byte> bytes = stackalloc byte[Length];
        _ = address.TryWriteBytes(bytes, out _);
        result = Read(bytes);
        return true;
    }

    /// <summary>Parses four decimal octets; shorthand such as <c>10.1</c> is refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IPv4Address address)
    {
        address = default;
        return text is not null && text.AsSpan().Count('.') == 3 && IPAddress.TryParse(text, out var parsed) && TryFrom(parsed, out address);
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not an IPv4 address.</exception>
    public static IPv4Address Parse(string text) =>
        TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not an IPv4 address.");

    /// <summary>Converts to the base class library's type.</summary>
    public IPAddress ToIPAddress()
    {
        Span<byte> bytes = stackalloc byte[Length];
        Write(bytes);
        return new IPAddress(bytes);
    }

    /// <inheritdoc/>
    public int CompareTo(IPv4Address other) => Value.CompareTo(other.Value);

    /// <summary>Whether the left address is numerically lower.</summary>
    public static bool operator <(IPv4Address left, IPv4Address right) => left.Value < right.Value;

    /// <summary>Whether the left address is numerically higher.</summary>
    public static bool operator >(IPv4Address left, IPv4Address right) => left.Value > right.Value;

    /// <summary>Whether the left address is not higher.</summary>
    public static bool operator <=(IPv4Address left, IPv4Address right) => left.Value <= right.Value;

    /// <summary>Whether the left address is not lower.</summary>
    public static bool operator >=(IPv4Address left, IPv4Address right) => left.Value >= right.Value;

    /// <summary>Dotted decimal.</summary>
    public override string ToString() => $"{Value >> 24}.{(Value >> 16) & 255}.{(Value >> 8) & 255}.{Value & 255}";
}
