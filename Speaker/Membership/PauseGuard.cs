namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Notices that the whole process stood still (SIGSTOP, a frozen machine) for so long that others have taken over. Until the membership has been heard again nothing may be
/// answered, not even what has been waiting in a socket meanwhile. Thread-safe.
/// </summary>
/// <param name="time">The clock; its monotonic part counts.</param>
/// <param name="limit">The shortest pause in which others may have taken over.</param>
internal sealed class PauseGuard(TimeProvider time, TimeSpan limit)
{
    private long _tick = time.GetTimestamp();
    private volatile bool _paused;
    private volatile int _pauses;

    /// <summary>Another guard, which holds for us as well; asked every time.</summary>
    public Func<PauseGuard?> Beside { get; set; } = static () => null;

    /// <summary>How many pauses were noticed: whoever reads from a queue throws away what it held when this number changes.</summary>
    public int Pauses => _pauses + (Beside()?.Pauses ?? 0);

    /// <summary>Whether we stood still, and have not been heard since.</summary>
    public bool IsPaused => _paused || time.GetElapsedTime(Volatile.Read(ref _tick)) >= limit || Beside()?.IsPaused == true;

    /// <summary>To be called several times within the limit. Whether a pause was just noticed, be it within another: what came before it counts no more.</summary>
    public bool Tick()
    {
        bool noticed = time.GetElapsedTime(Volatile.Read(ref _tick)) >= limit;
        if (noticed)
        {
            _paused = true;
            Interlocked.Increment(ref _pauses);
        }
        Volatile.Write(ref _tick, time.GetTimestamp());
        return noticed;
    }

    /// <summary>Nothing may be answered now, for another cause than a pause.</summary>
    public void Pause()
    {
        _paused = true;
        Interlocked.Increment(ref _pauses);
    }

    /// <summary>The others know again that we are here. Whether that ended something; one caller at a time.</summary>
    public bool Resume()
    {
        bool was = _paused;
        _paused = false;
        return was;
    }
}
