using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>The addresses this node announces, with the time each ends (null: never). An immutable snapshot: readers take it once.</summary>
internal sealed class AnnouncedAddresses(IReadOnlyDictionary<IPv4Address, DateTimeOffset?> addresses)
{
    private readonly FrozenDictionary<IPv4Address, DateTimeOffset?> _addresses = addresses.ToFrozenDictionary();

    public static AnnouncedAddresses None { get; } = new(new Dictionary<IPv4Address, DateTimeOffset?>());

    public IReadOnlyCollection<IPv4Address> All => _addresses.Keys;

    /// <summary>Whether the address is ours to announce now. Also when nobody has told us that its lease has ended.</summary>
    public bool Has(IPv4Address address, DateTimeOffset now) =>
        _addresses.TryGetValue(address, out var until) && (until is null || now < until);
}
