using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller;

/// <summary>Runs the parts. Services are worked on by the leader only; a replica that waits for its turn follows them already, so that it can begin at once.</summary>
internal sealed class ControllerWorker(
    ControllerOptions options, Informer<Service> services, Informer<Namespace> namespaces, IConfigSource config, ServiceReconciler reconciler, LeaseBrokers brokers, TokenSecret token,
    LeaderElector elector, EventRecorder events, ConfigurationStateWriter state, Informer<Node>? nodes = null, SourceStatusWriter? sources = null) : BackgroundService
{
    /// <summary>Null when ready, else what is waited for.</summary>
    public string? NotReady =>
        !services.HasSynced || !namespaces.HasSynced ? "waiting for the API server"
        : config.Current is null && (elector.IsLeader || !options.LeaderElect) ? $"waiting for {config.WaitingFor}"
        : null;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var following = Task.WhenAll(
            services.RunAsync(stoppingToken), namespaces.RunAsync(stoppingToken), nodes?.RunAsync(stoppingToken) ?? Task.CompletedTask, config.FollowAsync(stoppingToken));
        var telling = events.RunAsync(stoppingToken);
        var leading = options.LeaderElect ? elector.RunAsync(LeadAsync, stoppingToken) : LeadAsync(stoppingToken);
        await Task.WhenAll(following, telling, leading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stoppingToken.ThrowIfCancellationRequested();
    }

    private async Task LeadAsync(CancellationToken cancellationToken)
    {
        await services.WaitForSyncAsync(cancellationToken);
        await namespaces.WaitForSyncAsync(cancellationToken);
        // A leader of before may have written since; what we hold is taken up anew.
        if (config.Current is { } current)
            await reconciler.ConfigureAsync(current);
        await Task.WhenAll(
            token.EnsureAsync(cancellationToken),
            config.RunAsync(reconciler.ConfigureAsync, cancellationToken),
            reconciler.RunAsync(cancellationToken),
            brokers.PollAsync(cancellationToken),
            state.RunAsync(cancellationToken),
            sources?.RunAsync(cancellationToken) ?? Task.CompletedTask);
    }
}
