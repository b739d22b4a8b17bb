namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Gives memory back when many leases came or went and it has become quiet: the collector keeps what that took for the next time, which may not come for
/// weeks, and what tables left behind while they grew. With ten thousand leases it takes some tens of milliseconds, in which nobody waits for a new one.
/// </summary>
internal sealed class LeaseMemory(LeaseLoop loop, TimeProvider time) : BackgroundService
{
    private const long Much = 500;
    private static readonly TimeSpan s_quiet = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        long trimmed = 0, before = 0;
        using var timer = new PeriodicTimer(s_quiet, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                long now = loop.Turnover;
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
