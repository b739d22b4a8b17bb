using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Services;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker;

/// <summary>
/// Runs the parts and stops them in the right order: first our Lease is given up, so that another node takes over; we go on answering until it claims the address, or for a
/// moment, and only then fall silent. Planned changes leave no gap.
/// </summary>
internal sealed class SpeakerWorker(
    Informer<Service> services, Informer<Node> nodes, Informer<EndpointSlice> slices, NodeMembership membership, HeartbeatExchange heartbeats, ServiceReconciler reconciler,
    AnnouncementTable table, Layer2Announcer announcer, IConfigSource config, ConfigurationStateWriter state, BgpParts bgp,
    Layer2StatusWriter statuses, ConflictConditions conflicts, EventRecorder events, TimeProvider time) : BackgroundService
{
    /// <summary>How long no decision has to change before memory is given back.</summary>
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan Overlap = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan OverlapLook = TimeSpan.FromMilliseconds(20);

    /// <summary>Null when ready, else what is waited for.</summary>
    public string? NotReady =>
        config.Current is null ? $"waiting for {config.WaitingFor}"
        : !services.HasSynced || !nodes.HasSynced || !slices.HasSynced || !membership.Leases.HasSynced ? "waiting for the API server"
        : !reconciler.HasDecided ? "looking at all Services for the first time"
        : !membership.HasJoined ? "waiting for our Lease, and those that were there before it, to be renewed"
        : null;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var silence = new CancellationTokenSource();
        using var fault = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task[] parts =
        [
            services.RunAsync(silence.Token), nodes.RunAsync(silence.Token), slices.RunAsync(silence.Token), membership.Leases.RunAsync(silence.Token),
            events.RunAsync(silence.Token), config.FollowAsync(silence.Token), config.RunAsync(ConfigureAsync, silence.Token),
            state.RunAsync(silence.Token), bgp.RunAsync(silence.Token), statuses.RunAsync(silence.Token), conflicts.RunAsync(silence.Token),
            announcer.RunAsync(silence.Token), heartbeats.RunAsync(stoppingToken, silence.Token),
            MemoryTrimmer.RunAsync(() => reconciler.Changes, Rest, time, silence.Token),
        ];
        var working = WorkAsync(silence.Token, fault.Token);
        try
        {
            // A part that fails must end the process, which is then started anew; half a speaker would hold its Lease and answer nothing.
            await await Task.WhenAny([working, .. parts]);
            await fault.CancelAsync();
            await working;
        }
        finally
        {
            await fault.CancelAsync();
            await working.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await silence.CancelAsync();
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ConfigureAsync(LoadBalancerConfig taken)
    {
        await reconciler.ConfigureAsync(taken);
        bgp.Reconciler.Configure(taken);
    }

    private async Task WorkAsync(CancellationToken silence, CancellationToken stoppingToken)
    {
        try
        {
            await Task.WhenAll(
                services.WaitForSyncAsync(stoppingToken), nodes.WaitForSyncAsync(stoppingToken), slices.WaitForSyncAsync(stoppingToken),
                membership.Leases.WaitForSyncAsync(stoppingToken));
        }
        catch (OperationCanceledException)
        {
            return;
        }
        using var decide = CancellationTokenSource.CreateLinkedTokenSource(silence);
        var deciding = DecideAsync(decide.Token);
        var member = JoinAsync(stoppingToken);
        var announcingByBgp = bgp.Reconciler.RunAsync(stoppingToken);
        var first = await Task.WhenAny(deciding, member, announcingByBgp);
        if (first == deciding || (first == announcingByBgp && !stoppingToken.IsCancellationRequested))
        {
            await first;
            return;
        }
        await member;
        await announcingByBgp;
        long leaving = time.GetTimestamp();
        while (table.Snapshot.Count > 0 && time.GetElapsedTime(leaving) < Overlap)
            await Task.Delay(OverlapLook, time, CancellationToken.None);
        await decide.CancelAsync();
        await deciding;
    }

    private async Task DecideAsync(CancellationToken cancellationToken)
    {
        try
        {
            // Who announces now tells what is in use, and, where owners are sticky, who stays.
            await statuses.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        await reconciler.RunAsync(cancellationToken);
    }

    /// <summary>Whoever is a member is elected, and the others let go: none may be before it knows what to announce.</summary>
    private async Task JoinAsync(CancellationToken stoppingToken)
    {
        try
        {
            await reconciler.WaitForDecisionAsync(stoppingToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        await membership.RunAsync(stoppingToken);
    }
}
