using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Journal;

/// <summary>What became of one lease: counted, and the last of it kept. It belongs to the loop that owns the leases.</summary>
/// <param name="before">What was counted before the program started, as far as it was stored.</param>
internal sealed class LeaseHistory(LeaseCounts? before = null)
{
    /// <summary>Renewals kept.</summary>
    public const int Renewals = 8;

    /// <summary>Everything else kept.</summary>
    public const int Events = 16;

    private ServerTable _servers = new(most: 4);
    private Ring<(long At, string? Ip, string? Server)> _renewals = new(Renewals);
    private Ring<(long At, string Type, string? Ip, string? Server, string? Detail)> _events = new(Events);
    private readonly long _renewalsBefore = before?.Renewals ?? 0;
    private long _naks = before?.Naks ?? 0;
    private long _losses = before?.Losses ?? 0;
    private long _changes = before?.Changes ?? 0;

    public void Add(in JournalEntry entry)
    {
        if (entry.Type == LeaseEventType.Renewed)
            _renewals.Add((entry.At.UtcTicks, entry.Ip, entry.Server));
        else
            _events.Add((entry.At.UtcTicks, entry.Type, entry.Ip, entry.Server, entry.Detail ?? (entry.From is { } from ? $"had {from}" : null)));
        if (entry.Type == LeaseEventType.Lost)
            _losses++;
        if (entry.Type == LeaseEventType.Changed)
            _changes++;
        if (entry is { Type: LeaseEventType.Bound or LeaseEventType.Renewed or LeaseEventType.Changed or LeaseEventType.Recovered, Server: { } server })
            _servers.Ack(server, entry.At);
    }

    public void Nak(DateTimeOffset at, string server, string? ip, string? text)
    {
        _naks++;
        _events.Add((at.UtcTicks, "nak", ip, server, text));
        _servers.Nak(server, at);
    }

    /// <summary>The counters, to be stored; the same object when nothing has changed.</summary>
    public LeaseCounts? Counts(LeaseCounts? stored)
    {
        long renewals = _renewalsBefore + _renewals.Total;
        return stored is not null
            ? stored.Renewals == renewals && stored.Naks == _naks && stored.Losses == _losses && stored.Changes == _changes ? stored : new LeaseCounts(renewals, _naks, _losses, _changes)
            : renewals + _naks + _losses + _changes == 0 ? null : new LeaseCounts(renewals, _naks, _losses, _changes);
    }

    public LeaseHistoryAnswer Answer(LeaseRecord record) => new(
        record.CreatedAt, record.ObtainedAt, _renewalsBefore + _renewals.Total, _naks, _losses, _changes,
        [.. _renewals.NewestFirst().Select(r => new LeaseHistoryEntry(Utc(r.At), LeaseEventType.Renewed, r.Ip, r.Server))],
        [.. _events.NewestFirst().Select(e => new LeaseHistoryEntry(Utc(e.At), e.Type, e.Ip, e.Server, e.Detail))],
        _servers.Answer(null));

    private static DateTimeOffset Utc(long ticks) => new(ticks, TimeSpan.Zero);

    /// <summary>The last few of many; takes memory as it fills.</summary>
    private struct Ring<T>(int most)
    {
        private T[] _items = [];

        public long Total { get; private set; }

        public void Add(T item)
        {
            if (Total == _items.Length && _items.Length < most)
                Array.Resize(ref _items, Math.Max(1, Math.Min(most, _items.Length * 2)));
            _items[Total++ % _items.Length] = item;
        }

        public readonly IEnumerable<T> NewestFirst()
        {
            var items = _items;
            long total = Total;
            return Enumerable.Range(1, (int)Math.Min(total, items.Length)).Select(back => items[(total - back) % items.Length]);
        }
    }
}

/// <summary>DHCP servers that answered, a bounded number: one more replaces the one not seen for longest. Not thread-safe, and not to be copied.</summary>
internal struct ServerTable(int most)
{
    // As many as there are: a lease mostly has one.
    private Line[] _lines = [];

    public void Ack(string server, DateTimeOffset at) => Find(server, at).Acks++;

    public void Nak(string server, DateTimeOffset at) => Find(server, at).Naks++;

    /// <param name="leases">How many leases each server has now; null to leave that out.</param>
    public readonly IReadOnlyList<ServerSeen> Answer(IReadOnlyDictionary<string, int>? leases) =>
        [.. _lines.OrderBy(l => l.Server, StringComparer.Ordinal)
            .Select(l => new ServerSeen(l.Server, l.Acks, l.Naks, new DateTimeOffset(l.LastSeen, TimeSpan.Zero), leases is null ? null : leases.GetValueOrDefault(l.Server)))];

    private ref Line Find(string server, DateTimeOffset at)
    {
        int oldest = 0;
        for (int i = 0; i < _lines.Length; i++)
        {
            ref var line = ref _lines[i];
            if (line.Server == server)
            {
                line.LastSeen = at.UtcTicks;
                return ref line;
            }
            if (line.LastSeen < _lines[oldest].LastSeen)
                oldest = i;
        }
        if (_lines.Length < most)
        {
            oldest = _lines.Length;
            Array.Resize(ref _lines, oldest + 1);
        }
        _lines[oldest] = new Line { Server = server, LastSeen = at.UtcTicks };
        return ref _lines[oldest];
    }

    private struct Line
    {
        public required string Server { get; init; }

        public long Acks { get; set; }

        public long Naks { get; set; }

        /// <summary>Ticks, UTC.</summary>
        public long LastSeen { get; set; }
    }
}
