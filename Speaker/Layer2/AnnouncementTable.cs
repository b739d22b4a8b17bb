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

    /// <summary>Replaces everything. Those that are new, of which the neighbours need to be told.</summary>
    public IReadOnlyList<IPv4Address> Replace(IReadOnlyDictionary<IPv4Address, DateTimeOffset?> wanted)
    {
        var before = _byAddress;
        var table = new Dictionary<IPv4Address, Announced>(wanted.Count);
        var arrived = new List<IPv4Address>();
        foreach (var (address, end) in wanted)
        {
            bool known = before.TryGetValue(address, out var current);
            table[address] = known && current!.ValidUntil == end ? current : new Announced(address, end, Deadline(end), address.ToString());
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
