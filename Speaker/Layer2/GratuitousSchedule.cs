using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// When the neighbours are told of which address: at once, then every 1.1 s for 5 s (MetalLB's schedule), so that a lost frame or a slow switch does no harm; and spaced, so that
/// a thousand addresses that come at once do not flood the LAN. After that each is told of again from time to time, since switches forget what is silent; the addresses spread
/// evenly over that time. A pure machine on a monotonic clock. Not thread-safe.
/// </summary>
/// <param name="refreshEvery">Pause between the later announcements of an address; zero for none.</param>
internal sealed class GratuitousSchedule(TimeSpan refreshEvery = default)
{
    /// <summary>Times that the neighbours are told of an address that came here.</summary>
    public const int Rounds = 5;

    /// <summary>Addresses that go out together.</summary>
    public const int BatchSize = 50;

    /// <summary>Pause between rounds.</summary>
    public static readonly TimeSpan RoundEvery = TimeSpan.FromMilliseconds(1100);

    /// <summary>Pause between batches.</summary>
    public static readonly TimeSpan BatchEvery = TimeSpan.FromMilliseconds(10);

    private readonly Dictionary<HostAddress, Entry> _entries = [];
    private readonly PriorityQueue<HostAddress, TimeSpan> _due = new();
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

    /// <summary>Begins anew for an address; rounds that are left to it anyway are not lost.</summary>
    /// <param name="address">The address.</param>
    /// <param name="rounds">How often.</param>
    /// <param name="at">When first.</param>
    public void Add(HostAddress address, int rounds, TimeSpan at)
    {
        var entry = _entries.GetValueOrDefault(address);
        if (entry.Left > 0)
            (rounds, at) = (Math.Max(rounds, entry.Left), at < entry.Due ? at : entry.Due);
        Set(address, new Entry(at, rounds, entry.IsRefreshed));
    }

    /// <summary>The next address to tell of, if one is due.</summary>
    public bool TryTake(TimeSpan now, out HostAddress address)
    {
        address = default;
        if (NextDue is not { } next || next > now)
            return false;
        if (_batchStart == TimeSpan.MinValue || now >= _batchStart + BatchEvery)
            (_batchStart, _inBatch) = (now, 0);
        _inBatch++;
        address = _due.Dequeue();
        _entries.Remove(address, out var entry);
        if (entry.Left > 1)
            Set(address, entry with { Due = now + RoundEvery, Left = entry.Left - 1 });
        else if (refreshEvery > TimeSpan.Zero)
            Set(address, new Entry(now + (entry.IsRefreshed ? refreshEvery : refreshEvery * ShareOf(address)), 0, true));
        return true;
    }

    /// <summary>Forgets an address.</summary>
    public void Remove(HostAddress address) => _entries.Remove(address);

    // What was replaced or removed is still in the queue.
    private void DropStale()
    {
        while (_due.TryPeek(out var address, out var due) && !(_entries.TryGetValue(address, out var entry) && entry.Due == due))
            _due.Dequeue();
    }

    private void Set(HostAddress address, Entry entry)
    {
        _entries[address] = entry;
        _due.Enqueue(address, entry.Due);
    }

    // Addresses that came together part for good by this: a number in (0, 1], spread by Knuth's multiplicative hash.
    private static double ShareOf(HostAddress address)
    {
        ulong mixed = (address.IPv6.Low ^ address.IPv6.High) * 0x9e37_79b9_7f4a_7c15;
        return ((mixed >> 32) + 1) / 4294967296d;
    }

    /// <param name="Due">When next.</param>
    /// <param name="Left">Rounds left of the first announcement; 0 between later ones.</param>
    /// <param name="IsRefreshed">Whether it has its place in the time between later announcements.</param>
    private readonly record struct Entry(TimeSpan Due, int Left, bool IsRefreshed);
}
