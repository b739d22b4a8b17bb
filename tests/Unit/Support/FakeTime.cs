namespace DynamicLb.Tests.Unit.Support;

/// <summary>
/// A clock that moves only when told. Timers fire inside <see cref="Advance"/>, in order of their due times, on the caller's thread.
/// The timestamp frequency is odd on purpose, so that code which assumes 10 MHz fails.
/// </summary>
internal sealed class FakeTime : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly SortedSet<FakeTimer> _timers = new(FakeTimer.ByDueTime);
    private DateTimeOffset _utcNow;
    private TimeSpan _elapsed;
    private long _sequence;

    public FakeTime(DateTimeOffset? start = null) =>
        _utcNow = start ?? new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Monotonic time since the clock was made.</summary>
    public TimeSpan Elapsed
    {
        get { lock (_lock) return _elapsed; }
    }

    /// <summary>Timers that are waiting; lets a test wait until code under test has armed its timer.</summary>
    public int PendingTimers
    {
        get { lock (_lock) return _timers.Count; }
    }

    public override long TimestampFrequency => 3_000_017;

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock)
            return _utcNow;
    }

    public override long GetTimestamp()
    {
        lock (_lock)
            return (long)(_elapsed.Ticks * (Int128)TimestampFrequency / TimeSpan.TicksPerSecond);
    }

    /// <summary>Moves only the wall clock, as an administrator or NTP does; timers do not notice.</summary>
    public void JumpWallClock(TimeSpan by)
    {
        lock (_lock)
            _utcNow += by;
    }

    /// <summary>Moves both clocks forward and fires what falls due on the way.</summary>
    public void Advance(TimeSpan by)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(by, TimeSpan.Zero);
        TimeSpan target;
        lock (_lock)
            target = _elapsed + by;

        while (true)
        {
            FakeTimer? due = null;
            lock (_lock)
            {
                if (_timers.Count > 0 && _timers.Min!.Due <= target)
                {
                    due = _timers.Min;
                    MoveTo_NeedsLock(due.Due > _elapsed ? due.Due : _elapsed);
                    _timers.Remove(due);
                    if (due.Period > TimeSpan.Zero)
                        Arm_NeedsLock(due, due.Due + due.Period);
                }
                else
                {
                    MoveTo_NeedsLock(target);
                }
            }
            if (due is null)
                return;
            due.Fire();
        }
    }

    /// <summary>Moves both clocks without firing a timer, as when the process stood still. What fell due fires at the next <see cref="Advance"/>.</summary>
    public void Freeze(TimeSpan by)
    {
        lock (_lock)
            MoveTo_NeedsLock(_elapsed + by);
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new FakeTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private void MoveTo_NeedsLock(TimeSpan elapsed)
    {
        _utcNow += elapsed - _elapsed;
        _elapsed = elapsed;
    }

    private void Arm_NeedsLock(FakeTimer timer, TimeSpan due)
    {
        timer.Due = due;
        timer.Sequence = ++_sequence;
        _timers.Add(timer);
    }

    private sealed class FakeTimer(FakeTime owner, TimerCallback callback, object? state) : ITimer
    {
        public static readonly IComparer<FakeTimer> ByDueTime =
            Comparer<FakeTimer>.Create(static (a, b) => a.Due != b.Due ? a.Due.CompareTo(b.Due) : a.Sequence.CompareTo(b.Sequence));

        private bool _disposed;

        public TimeSpan Due { get; set; }

        public TimeSpan Period { get; private set; }

        public long Sequence { get; set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner._lock)
            {
                if (_disposed)
                    return false;
                owner._timers.Remove(this);
                Period = period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period;
                if (dueTime != Timeout.InfiniteTimeSpan)
                    owner.Arm_NeedsLock(this, owner._elapsed + dueTime);
                return true;
            }
        }

        public void Fire() => callback(state);

        public void Dispose()
        {
            lock (owner._lock)
            {
                _disposed = true;
                owner._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
