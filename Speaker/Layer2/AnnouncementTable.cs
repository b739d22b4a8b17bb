using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>An address that we answer for.</summary>
/// <param name="Address">The address.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Deadline">The same moment as a monotonic time stamp, worked out when we first heard of it: a wall clock that is set back gains nothing.</param>
/// <param name="Label">The address as text, made once for the metrics.</param>
internal sealed record Announced(IPv4Address Address, DateTimeOffset? ValidUntil, long Deadline, string Label)
{
    /// <summary>Interfaces that it is announced on; null for all.</summary>
    public IReadOnlySet<string>? Interfaces { get; init; }

    public bool IsOn(string @interface) => Interfaces is null || Interfaces.Contains(@interface);

    public bool IsValid(TimeProvider time) => ValidUntil is not { } end || (time.GetUtcNow() < end && time.GetTimestamp() < Deadline);
}

/// <summary>
/// The addresses that we answer for. One loop writes, everybody reads: readers take the whole table at once, so a packet is answered without a lock.
/// </summary>
internal sealed class AnnouncementTable(TimeProvider time)
{
    private volatile FrozenDictionary<IPv4Address, Announced> _byAddress = FrozenDictionary<IPv4Address, Announced>.Empty;

    /// <summary>The addresses now. Thread-safe.</summary>
    public FrozenDictionary<IPv4Address, Announced> Snapshot => _byAddress;

    /// <summary>Replaces everything. Those that are new, or on other interfaces, of which the neighbours need to be told.</summary>
    /// <param name="wanted">The addresses, and when they end.</param>
    /// <param name="interfaces">Interfaces of those that are not announced on all.</param>
    public IReadOnlyList<IPv4Address> Replace(
        IReadOnlyDictionary<IPv4Address, DateTimeOffset?> wanted, IReadOnlyDictionary<IPv4Address, IReadOnlySet<string>>? interfaces = null)
    {
        var before = _byAddress;
        var table = new Dictionary<IPv4Address, Announced>(wanted.Count);
        var arrived = new List<IPv4Address>();
        foreach (var (address, end) in wanted)
        {
            var on = interfaces?.GetValueOrDefault(address);
            bool known = before.TryGetValue(address, out var current) && (on is null ? current.Interfaces is null : current.Interfaces?.SetEquals(on) == true);
            table[address] = known && current!.ValidUntil == end ? current : new Announced(address, end, Deadline(end), address.ToString()) { Interfaces = on };
            if (!known)
                arrived.Add(address);
        }
        _byAddress = table.ToFrozenDictionary();
        return arrived;
    }

    private long Deadline(DateTimeOffset? end)
    {
        if (end is not { } moment)
            return long.MaxValue;
        double ticks = (moment - time.GetUtcNow()).TotalSeconds * time.TimestampFrequency;
        return ticks >= long.MaxValue / 2 ? long.MaxValue : time.GetTimestamp() + (long)ticks;
    }
}
