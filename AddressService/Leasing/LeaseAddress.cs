using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Which of the two protocols a lease is of.</summary>
internal enum LeaseFamily
{
    [JsonStringEnumMemberName("ipv4")]
    IPv4 = 0,

    [JsonStringEnumMemberName("ipv6")]
    IPv6,
}

/// <summary>An address of either family as a value. IPv4 addresses are kept in ::ffff:0:0/96, which no server may lease.</summary>
internal readonly record struct LeaseAddress
{
    private readonly IPv6Address _value;

    private LeaseAddress(IPv6Address value) => _value = value;

    public LeaseFamily Family => _value.IsIPv4Mapped ? LeaseFamily.IPv4 : LeaseFamily.IPv6;

    /// <summary>The address, if it is one of IPv4.</summary>
    public IPv4Address? IPv4 => _value.IsIPv4Mapped ? new IPv4Address((uint)_value.Low) : null;

    /// <summary>The address, if it is one of IPv6.</summary>
    public IPv6Address? IPv6 => _value.IsIPv4Mapped ? null : _value;

    public static implicit operator LeaseAddress(IPv4Address address) => new(new IPv6Address(0, 0xffff_0000_0000UL | address.Value));

    public static implicit operator LeaseAddress(IPv6Address address) => new(address);

    public static bool TryParse([NotNullWhen(true)] string? text, out LeaseAddress address)
    {
        address = default;
        if (IPv4Address.TryParse(text, out var four))
            address = four;
        else if (IPv6Address.TryParse(text, out var six) && !six.IsIPv4Mapped)
            address = six;
        else
            return false;
        return true;
    }

    public override string ToString() => IPv4 is { } four ? four.ToString() : _value.ToString();
}

/// <summary>What a lease is for: a service has one of each family.</summary>
internal readonly record struct LeaseKey(string Service, LeaseFamily Family)
{
    /// <summary>By service, IPv4 before IPv6.</summary>
    public static IComparer<LeaseKey> Order { get; } = Comparer<LeaseKey>.Create(
        static (left, right) => string.CompareOrdinal(left.Service, right.Service) is var order and not 0 ? order : left.Family.CompareTo(right.Family));
}
