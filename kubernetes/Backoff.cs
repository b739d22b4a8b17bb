namespace DynamicLb.Kubernetes;

/// <summary>Exponential back-off with jitter: each pause is between half and the whole of a bound that doubles up to a limit. Not thread-safe.</summary>
/// <param name="initial">The first bound.</param>
/// <param name="limit">The highest bound.</param>
/// <param name="random">Source of the jitter.</param>
public sealed class Backoff(TimeSpan initial, TimeSpan limit, Random random)
{
    private int _failures;

    /// <summary>The pause after one more failure.</summary>
    public TimeSpan Next() => After(_failures++, initial, limit, random);

    /// <summary>Starts over after a success.</summary>
    public void Reset() => _failures = 0;

    /// <summary>The pause after <paramref name="failures"/> earlier failures.</summary>
    public static TimeSpan After(int failures, TimeSpan initial, TimeSpan limit, Random random)
    {
        double bound = Math.Min(limit.TotalMilliseconds, initial.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 30)));
        return TimeSpan.FromMilliseconds(bound * (0.5 + (random.NextDouble() / 2)));
    }
}
