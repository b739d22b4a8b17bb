namespace DynamicLb.Contracts.Hosting;

/// <summary>
/// Gives memory back after much work, when it has come to rest: the collector keeps what a burst took for the next one, which may not come for days, and what tables left behind
/// while they grew. A pass over some ten megabytes that live takes some tens of milliseconds, in which nobody waits for anything.
/// </summary>
public static class MemoryTrimmer
{
    private const long Much = 500;

    /// <summary>Watches until cancelled.</summary>
    /// <param name="work">How much has been done since the start; only ever more. Read from this loop: must be thread-safe.</param>
    /// <param name="rest">How long nothing has to be done before memory is given back, more than zero.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends it, without an exception.</param>
    public static async Task RunAsync(Func<long> work, TimeSpan rest, TimeProvider time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(work);
        long trimmed = 0, before = 0;
        using var timer = new PeriodicTimer(rest, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                long now = work();
                if (now == before && now - trimmed >= Much)
                {
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                    trimmed = now;
                }
                before = now;
            }
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }
}
