using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// When the neighbours are told of which address: at once, then every 1.1 s for 5 s (MetalLB's schedule), so that a lost frame or a slow switch does no harm; and spaced, so that
/// a thousand addresses that come at once do not flood the LAN. A pure machine on a monotonic clock. Not thread-safe.
/// </summary>
internal sealed class GratuitousSchedule
{
    /// <summary>Times that the neighbours are told of an address that came here.</summary>
    public const int Rounds = 5;

    /// <summary>Addresses that go out together.</summary>
    public const int BatchSize = 50;

    /// <summary>Pause between rounds.</summary>
    public static readonly TimeSpan RoundEvery = TimeSpan.FromMilliseconds(1100);

    /// <summary>Pause between batches.</summary>
    public static readonly TimeSpan BatchEvery = TimeSpan.FromMilliseconds(10);

    private readonly Dictionary<IPv4Address, Entry> _entries = [];
    private readonly PriorityQueue<IPv4Address, TimeSpan> _due = new();
    private TimeSpan _batchStart = TimeSpan.MinValue;
    private int _inBatch;

    /// <summary>When <see cref="TryTake"/> has something next; null for never.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            DropStale();
            if (!_due.TryPeek(out _, out var due))
                return null;
            return _inBatch >= BatchSize && due < _batchStart + BatchEvery ? _batchStart + BatchEvery : due;
        }
    }

    /// <summary>Begins anew for an address.</summary>
    /// <param name="address">The address.</param>
    /// <param name="rounds">How often.</param>
    /// <param name="at">When first.</param>
    public void Add(IPv4Address address, int rounds, TimeSpan at)
    {
        if (_entries.TryGetValue(address, out var entry) && entry.Due <= at && entry.Left >= rounds)
            return;
        _entries[address] = new Entry(at, rounds);
        _due.Enqueue(address, at);
    }

    /// <summary>The next address to tell of, if one is due.</summary>
    public bool TryTake(TimeSpan now, out IPv4Address address)
    {
        address = default;
        if (NextDue is not { } next || next > now)
            return false;
        if (_batchStart == TimeSpan.MinValue || now >= _batchStart + BatchEvery)
            (_batchStart, _inBatch) = (now, 0);
        _inBatch++;
        address = _due.Dequeue();
        int left = _entries[address].Left - 1;
        _entries.Remove(address);
        if (left > 0)
            Add(address, left, now + RoundEvery);
        return true;
    }

    /// <summary>Forgets an address.</summary>
    public void Remove(IPv4Address address) => _entries.Remove(address);

    // What was replaced or removed is still in the queue.
    private void DropStale()
    {
        while (_due.TryPeek(out var address, out var due) && !(_entries.TryGetValue(address, out var entry) && entry.Due == due))
            _due.Dequeue();
    }

    private readonly record struct Entry(TimeSpan Due, int Left);
}
