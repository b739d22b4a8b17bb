using DynamicLb.Controller.Services;

namespace DynamicLb.Controller;

/// <summary>
/// Gives memory back after much work, when it has come to rest: the collector keeps what a burst took for the next one, which may not come for days. A pass over some ten megabytes that
/// live takes some ten milliseconds, in which nobody waits for anything.
/// </summary>
internal sealed class MemoryTrimmer(ServiceReconciler reconciler, TimeProvider time)
{
    private const long Much = 500;
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(1);

    /// <summary>Watches until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        long trimmed = 0, before = 0;
        using var timer = new PeriodicTimer(s_rest, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                long now = reconciler.Reconciled;
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
