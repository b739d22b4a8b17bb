using System.Diagnostics.CodeAnalysis;
using System.Net;

namespace DynamicLb.Networking.Addresses;

/// <summary>
/// An address of either family as a value: a key for tables that hold both. An IPv4 address is kept in its IPv4-mapped form (RFC 4291 §2.5.5.2). Immutable and thread-safe.
/// </summary>
public readonly record struct HostAddress : IComparable<HostAddress>
{
    private const ulong MappedPrefix = 0xffff_0000_0000;
    private readonly IPv6Address _value;

    /// <summary>An IPv4 address.</summary>
    public HostAddress(IPv4Address address) => _value = new IPv6Address(0, MappedPrefix | address.Value);

    /// <summary>An IPv6 address; one that stands for an IPv4 address is that.</summary>
    public HostAddress(IPv6Address address) => _value = address;

    /// <summary>Whether this is an IPv4 address.</summary>
    public bool IsIPv4 => _value.IsIPv4Mapped;

    /// <summary>The IPv4 address; meaningless unless <see cref="IsIPv4"/>.</summary>
    public IPv4Address IPv4 => new((uint)_value.Low);

    /// <summary>The IPv6 address; of an IPv4 address the mapped form.</summary>
    public IPv6Address IPv6 => _value;

    /// <summary>An IPv4 address.</summary>
    public static implicit operator HostAddress(IPv4Address address) => new(address);

    /// <summary>An IPv6 address.</summary>
    public static implicit operator HostAddress(IPv6Address address) => new(address);

    /// <summary>As the operator.</summary>
    public static HostAddress FromIPv4Address(IPv4Address address) => new(address);

    /// <summary>As the operator.</summary>
    public static HostAddress FromIPv6Address(IPv6Address address) => new(address);

    /// <summary>Converts from <see cref="IPAddress"/>, whose zone is left out; false for null.</summary>
    public static bool TryFrom([NotNullWhen(true)] IPAddress? address, out HostAddress result)
    {
        result = default;
        if (IPv4Address.TryFrom(address, out var ipv4))
            result = ipv4;
        else if (IPv6Address.TryFrom(address, out var ipv6))
            result = ipv6;
        else
            return false;
        return true;
    }

    /// <summary>Parses an address of either family, in the forms that their own types take.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out HostAddress address)
    {
        address = default;
        if (IPv4Address.TryParse(text, out var ipv4))
            address = ipv4;
        else if (IPv6Address.TryParse(text, out var ipv6))
            address = ipv6;
        else
            return false;
        return true;
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not an address.</exception>
    public static HostAddress Parse(string text) => TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not an IP address.");

    /// <summary>Converts to the base class library's type.</summary>
    public IPAddress ToIPAddress() => IsIPv4 ? IPv4.ToIPAddress() : _value.ToIPAddress();

    /// <inheritdoc/>
    public int CompareTo(HostAddress other) => _value.CompareTo(other._value);

    /// <summary>Whether the left address is lower; those of IPv4 are lower than most of IPv6.</summary>
    public static bool operator <(HostAddress left, HostAddress right) => left.CompareTo(right) < 0;

    /// <summary>Whether the left address is higher.</summary>
    public static bool operator >(HostAddress left, HostAddress right) => left.CompareTo(right) > 0;

    /// <summary>Whether the left address is not higher.</summary>
    public static bool operator <=(HostAddress left, HostAddress right) => left.CompareTo(right) <= 0;

    /// <summary>Whether the left address is not lower.</summary>
    public static bool operator >=(HostAddress left, HostAddress right) => left.CompareTo(right) >= 0;

    /// <summary>Dotted decimal, or the canonical form of RFC 5952.</summary>
    public override string ToString() => IsIPv4 ? IPv4.ToString() : _value.ToString();
}
