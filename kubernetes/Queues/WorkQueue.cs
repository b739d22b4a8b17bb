using System.Threading.Channels;

namespace DynamicLb.Kubernetes.Queues;

/// <summary>
/// A queue of keys to work on. A key that is added while it waits is there once; one that is added while it is worked on comes again
/// afterwards; so no change is missed and no key is worked on twice at a time. Thread-safe.
/// </summary>
public sealed class WorkQueue<TKey> : IDisposable
    where TKey : notnull
{
    private readonly Lock _lock = new();
    private readonly HashSet<TKey> _dirty = [];
    private readonly HashSet<TKey> _processing = [];
    private readonly Dictionary<TKey, int> _failures = [];
    private readonly Dictionary<TKey, TimeSpan> _waiting = [];
    private readonly PriorityQueue<TKey, TimeSpan> _delayed = new();
    private readonly Channel<TKey> _ready = Channel.CreateUnbounded<TKey>();
    private readonly TimeSpan _initial;
    private readonly TimeSpan _limit;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ITimer _timer;
    private readonly long _start;

    /// <summary>Creates a queue.</summary>
    /// <param name="time">The clock of the delays.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="initialBackoff">Bound of the first pause of <see cref="AddRateLimited"/>; 50 ms by default.</param>
    /// <param name="maxBackoff">Bound of the longest; one minute by default.</param>
    public WorkQueue(TimeProvider time, Random random, TimeSpan? initialBackoff = null, TimeSpan? maxBackoff = null)
    {
        _time = time;
        _random = random;
        _initial = initialBackoff ?? TimeSpan.FromMilliseconds(50);
        _limit = maxBackoff ?? TimeSpan.FromMinutes(1);
        _start = time.GetTimestamp();
        _timer = time.CreateTimer(_ => ReleaseDue(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Keys that wait to be taken now, without those that are delayed.</summary>
    public int Count
    {
        get { lock (_lock) return _dirty.Count; }
    }

    // Monotonic: a step of the wall clock moves no delay.
    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Adds a key for work at once.</summary>
    public void Add(TKey key)
    {
        lock (_lock)
            Add_NeedsLock(key);
    }

    /// <summary>Adds a key after a delay; of several delays the earliest counts.</summary>
    public void AddAfter(TKey key, TimeSpan delay)
    {
        lock (_lock)
        {
            if (delay <= TimeSpan.Zero)
            {
                Add_NeedsLock(key);
                return;
            }
            var due = Now + delay;
            if (_waiting.TryGetValue(key, out var earlier) && earlier <= due)
                return;
            _waiting[key] = due;
            _delayed.Enqueue(key, due);
            Arm_NeedsLock();
        }
    }

    /// <summary>Adds a key after its back-off, which grows with each call until <see cref="Forget"/>.</summary>
    public void AddRateLimited(TKey key)
    {
        int failures;
        lock (_lock)
        {
            failures = _failures.GetValueOrDefault(key);
            _failures[key] = failures + 1;
        }
        AddAfter(key, Backoff.After(failures, _initial, _limit, _random));
    }

    /// <summary>Ends the back-off of a key, after work on it succeeded.</summary>
    public void Forget(TKey key)
    {
        lock (_lock)
            _failures.Remove(key);
    }

    /// <summary>Waits for a key and takes it; <see cref="Done"/> must follow.</summary>
    public async ValueTask<TKey> GetAsync(CancellationToken cancellationToken)
    {
        var key = await _ready.Reader.ReadAsync(cancellationToken);
        lock (_lock)
        {
            _dirty.Remove(key);
            _processing.Add(key);
        }
        return key;
    }

    /// <summary>Says that work on a key has ended, well or not.</summary>
    public void Done(TKey key)
    {
        lock (_lock)
        {
            _processing.Remove(key);
            if (_dirty.Contains(key))
                _ready.Writer.TryWrite(key);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Add_NeedsLock(TKey key)
    {
        _waiting.Remove(key);
        if (_dirty.Add(key) && !_processing.Contains(key))
            _ready.Writer.TryWrite(key);
    }

    private void ReleaseDue()
    {
        lock (_lock)
        {
            var now = Now;
            while (_delayed.TryPeek(out var key, out var due) && due <= now)
            {
                _delayed.Dequeue();
                // An entry that was overtaken by an earlier one, or by Add, is stale.
                if (_waiting.TryGetValue(key, out var current) && current == due)
                    Add_NeedsLock(key);
            }
            Arm_NeedsLock();
        }
    }

    private void Arm_NeedsLock()
    {
        if (!_delayed.TryPeek(out _, out var due))
            return;
        var wait = due - Now;
        // Timers wait 49 days at most, an infinite lease expires in 136 years: look again tomorrow.
        if (wait > TimeSpan.FromDays(1))
            wait = TimeSpan.FromDays(1);
        _timer.Change(wait > TimeSpan.Zero ? wait + TimeSpan.FromMilliseconds(1) : TimeSpan.Zero, Timeout.InfiniteTimeSpan);
    }
}
