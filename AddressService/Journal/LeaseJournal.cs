using System.Globalization;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Journal;

/// <summary>Somebody who is told every event. Called on the loop that owns the leases: it must not wait.</summary>
internal interface ILeaseEventSink
{
    /// <summary>Takes an event, or leaves it.</summary>
    void Offer(LeaseEvent happened);
}

/// <summary>
/// What happened to the leases, in order, as far as a ring of <see cref="Capacity"/> reaches back, and who watches. It belongs to the loop that owns
/// the leases, so that a snapshot and the events after it fit together.
/// </summary>
internal sealed class LeaseJournal
{
    /// <summary>Events that are kept for readers who come back: at 10,000 leases of ten minutes, the last four minutes.</summary>
    public const int Capacity = 8192;

    private readonly string _boot;
    private readonly int _mostWatchers;
    private readonly List<LeaseWatcher> _watchers = [];
    private readonly List<ILeaseEventSink> _sinks = [];
    private JournalEntry[] _ring = new JournalEntry[64];
    private long _last;

    /// <param name="started">The start of the program: events of a later start have greater ids.</param>
    /// <param name="mostWatchers">How many may watch at once.</param>
    public LeaseJournal(DateTimeOffset started, int mostWatchers)
    {
        Started = started;
        _boot = started.ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
        _mostWatchers = mostWatchers;
    }

    public DateTimeOffset Started { get; }

    /// <summary>The id of the newest event.</summary>
    public string LastId => Id(_last);

    public int Watchers => _watchers.Count;

    /// <summary>Watchers that were cut off because they did not read what they were sent, since start.</summary>
    public long CutOff { get; private set; }

    public void Add(ILeaseEventSink sink) => _sinks.Add(sink);

    /// <summary>Writes an event down and passes it on.</summary>
    public void Tell(in JournalEntry entry)
    {
        if (_last == _ring.Length && _ring.Length < Capacity)
            Array.Resize(ref _ring, _ring.Length * 2);
        _ring[_last % _ring.Length] = entry;
        _last++;
        if (_watchers.Count == 0 && _sinks.Count == 0)
            return;
        var happened = entry.ToEvent(LastId);
        foreach (var sink in _sinks)
            sink.Offer(happened);
        if (_watchers.Count == 0)
            return;
        byte[] message = ServerSentEvent.Encode(happened);
        for (int i = _watchers.Count - 1; i >= 0; i--)
        {
            if (!_watchers[i].Covers(happened.Service) || _watchers[i].Offer(message))
                continue;
            _watchers.RemoveAt(i);
            CutOff++;
        }
    }

    /// <summary>Adds a watcher; false when there are too many already.</summary>
    public bool TryWatch(LeaseWatcher watcher)
    {
        if (_watchers.Count >= _mostWatchers)
            return false;
        _watchers.Add(watcher);
        return true;
    }

    public void Unwatch(LeaseWatcher watcher) => _watchers.Remove(watcher);

    /// <summary>The events after one.</summary>
    /// <returns>Null when the id is not one of ours, or the ring does not reach back so far.</returns>
    public IReadOnlyList<LeaseEvent>? After(string? id)
    {
        if (id is null || !id.StartsWith(_boot, StringComparison.Ordinal) || id.Length <= _boot.Length || id[_boot.Length] != '-'
            || !long.TryParse(id.AsSpan(_boot.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > _last || number < _last - _ring.Length)
        {
            return null;
        }
        var events = new List<LeaseEvent>();
        for (long n = number; n < _last; n++)
            events.Add(_ring[n % _ring.Length].ToEvent(Id(n + 1)));
        return events;
    }

    private string Id(long number) => string.Create(CultureInfo.InvariantCulture, $"{_boot}-{number}");
}
