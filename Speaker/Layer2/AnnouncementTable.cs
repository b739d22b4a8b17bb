using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>An address that we answer for.</summary>
/// <param name="Address">The address.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Deadline">The same moment as a monotonic time stamp, worked out when we first heard of it: a wall clock that is set back gains nothing.</param>
/// <param name="Label">The address as text, made once for the metrics.</param>
internal sealed record Announced(HostAddress Address, DateTimeOffset? ValidUntil, long Deadline, string Label)
{
    /// <summary>Interfaces that it is announced on; null for all.</summary>
    public IReadOnlySet<string>? Interfaces { get; init; }

    /// <summary>The hardware address that is its own, wherever it is announced; null for that of the interface.</summary>
    public MacAddress? Mac { get; init; }

    /// <summary>What neighbours asked and were told; goes with the address, not with the entry.</summary>
    public NeighborTraffic Traffic { get; init; } = new();

    public bool IsOn(string @interface) => Interfaces is null || Interfaces.Contains(@interface);

    public bool IsValid(TimeProvider time) => ValidUntil is not { } end || (time.GetUtcNow() < end && time.GetTimestamp() < Deadline);
}

/// <summary>When an address was asked for last, and answered. Thread-safe.</summary>
internal sealed class NeighborTraffic
{
    private long _told = long.MinValue;
    private long _asked;
    private long _asker;
    private long _answered;

    /// <summary>When it was asked for last; null for never.</summary>
    public DateTimeOffset? LastAsked => At(Volatile.Read(ref _asked));

    /// <summary>Who asked last.</summary>
    public MacAddress LastAsker => new((ulong)Volatile.Read(ref _asker));

    /// <summary>When an answer was sent last; null for never.</summary>
    public DateTimeOffset? LastAnswered => At(Volatile.Read(ref _answered));

    /// <summary>All neighbours are told of it now.</summary>
    /// <param name="now">A monotonic time stamp.</param>
    public void Told(long now) => Volatile.Write(ref _told, now);

    /// <summary>Whether all neighbours were told of it a moment ago.</summary>
    public bool WasTold(TimeProvider time, TimeSpan within) => Volatile.Read(ref _told) is var told && told != long.MinValue && time.GetElapsedTime(told) < within;

    public void Asked(DateTimeOffset now, MacAddress who)
    {
        Volatile.Write(ref _asker, (long)who.Value);
        Volatile.Write(ref _asked, now.UtcTicks);
    }

    public void Answered(DateTimeOffset now) => Volatile.Write(ref _answered, now.UtcTicks);

    private static DateTimeOffset? At(long ticks) => ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero);
}

/// <summary>
/// The addresses that we answer for. One loop writes, everybody reads: readers take the whole table at once, so a packet is answered without a lock.
/// </summary>
internal sealed class AnnouncementTable(TimeProvider time)
{
    private volatile FrozenDictionary<HostAddress, Announced> _byAddress = FrozenDictionary<HostAddress, Announced>.Empty;

    /// <summary>The addresses are others than before. Called by who replaces them: must be quick.</summary>
    public event Action? Changed;

    /// <summary>The addresses now. Thread-safe.</summary>
    public FrozenDictionary<HostAddress, Announced> Snapshot => _byAddress;

    /// <summary>Replaces everything. Those that are new, or on other interfaces, of which the neighbours need to be told.</summary>
    /// <param name="wanted">The addresses, and when they end.</param>
    /// <param name="interfaces">Interfaces of those that are not announced on all.</param>
    /// <param name="macs">Hardware addresses of those that have their own.</param>
    public IReadOnlyList<HostAddress> Replace(
        IReadOnlyDictionary<HostAddress, DateTimeOffset?> wanted, IReadOnlyDictionary<HostAddress, IReadOnlySet<string>>? interfaces = null,
        IReadOnlyDictionary<HostAddress, MacAddress>? macs = null)
    {
        var before = _byAddress;
        var table = new Dictionary<HostAddress, Announced>(wanted.Count);
        var arrived = new List<HostAddress>();
        foreach (var (address, end) in wanted)
        {
            var on = interfaces?.GetValueOrDefault(address);
            MacAddress? mac = macs is not null && macs.TryGetValue(address, out var own) ? own : null;
            bool known = before.TryGetValue(address, out var current) && current.Mac == mac && (on is null ? current.Interfaces is null : current.Interfaces?.SetEquals(on) == true);
            table[address] = known && current!.ValidUntil == end
                ? current
                : new Announced(address, end, Deadline(end), address.ToString()) { Interfaces = on, Mac = mac, Traffic = current?.Traffic ?? new NeighborTraffic() };
            if (!known)
                arrived.Add(address);
        }
        _byAddress = table.ToFrozenDictionary();
        if (arrived.Count > 0 || before.Count != table.Count)
            Changed?.Invoke();
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
