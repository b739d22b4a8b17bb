using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Services;

namespace DynamicLb.Speaker;

/// <summary>
/// Runs the parts and stops them in the right order: first our Lease is given up, so that another node takes over; we go on answering for a moment, and only then fall
/// silent. Planned changes leave no gap.
/// </summary>
internal sealed class SpeakerWorker(
    Informer<Service> services, Informer<Node> nodes, Informer<EndpointSlice> slices, NodeMembership membership, ServiceReconciler reconciler,
    Layer2Announcer announcer, ConfigFileWatcher config, EventRecorder events, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Overlap = TimeSpan.FromMilliseconds(500);

    /// <summary>Null when ready, else what is waited for.</summary>
    public string? NotReady =>
        config.Current is null ? "waiting for a good configuration"
        : !services.HasSynced || !nodes.HasSynced || !slices.HasSynced || !membership.Leases.HasSynced ? "waiting for the API server"
        : null;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var silence = new CancellationTokenSource();
        var following = Task.WhenAll(
            services.RunAsync(silence.Token), nodes.RunAsync(silence.Token), slices.RunAsync(silence.Token), membership.Leases.RunAsync(silence.Token));
        var telling = events.RunAsync(silence.Token);
        var configuring = config.RunAsync(reconciler.ConfigureAsync, silence.Token);
        var announcing = announcer.RunAsync(silence.Token);

        try
        {
            await Task.WhenAll(
                services.WaitForSyncAsync(stoppingToken), nodes.WaitForSyncAsync(stoppingToken), slices.WaitForSyncAsync(stoppingToken),
                membership.Leases.WaitForSyncAsync(stoppingToken));
            var member = membership.RunAsync(stoppingToken);
            var deciding = reconciler.RunAsync(silence.Token);
            await member;
            await Task.Delay(Overlap, time, CancellationToken.None);
            await silence.CancelAsync();
            await deciding;
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            await silence.CancelAsync();
        }
        await Task.WhenAll(following, telling, configuring, announcing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
