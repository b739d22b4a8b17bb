namespace DynamicLb.Speaker.Bfd;

/// <summary>Ends the process when BFD ends by a fault: sessions that nobody serves would take down every route.</summary>
internal sealed class BfdWorker(BfdSessions sessions, BfdMetrics metrics) : BackgroundService
{
    /// <summary>Only held: they are asked by whoever collects metrics.</summary>
    public BfdMetrics Metrics { get; } = metrics;

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => sessions.RunAsync(stoppingToken);
}
