using System.Globalization;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller;

/// <summary>Runs the parts. Services are worked on by the leader only; a replica that waits for its turn follows them already, so that it can begin at once.</summary>
internal sealed partial class ControllerWorker(
    ControllerOptions options, Informer<Service> services, Informer<Namespace> namespaces, IConfigSource config, ServiceReconciler reconciler, LeaseBrokers brokers, TokenSecret token,
    LeaderElector elector, EventRecorder events, ConfigurationStateWriter state, TimeProvider time, Random random, ILogger<ControllerWorker> logger,
    Informer<Node>? nodes = null, SourceStatusWriter? sources = null) : BackgroundService
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(1);

    /// <summary>Null when ready, else what is waited for.</summary>
    public string? NotReady =>
        !services.HasSynced || !namespaces.HasSynced ? "waiting for the API server"
        : !elector.IsLeader && options.LeaderElect ? null
        : config.Current is null ? $"waiting for {config.WaitingFor}"
        : !reconciler.HasPassed ? "looking at all Services for the first time"
        : null;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var following = FollowAsync(stoppingToken);
        var telling = events.RunAsync(stoppingToken);
        var leading = options.LeaderElect ? elector.RunAsync(LeadAsync, stoppingToken) : LeadAsync(stoppingToken);
        await Task.WhenAll(following, telling, leading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stoppingToken.ThrowIfCancellationRequested();
    }

    private async Task FollowAsync(CancellationToken cancellationToken)
    {
        // Whoever leads at once has its first list from after the election, and needs no second one.
        if (options.LeaderElect)
            await elector.FirstAttempt.WaitAsync(cancellationToken);
        await Task.WhenAll(
            services.RunAsync(cancellationToken), namespaces.RunAsync(cancellationToken), nodes?.RunAsync(cancellationToken) ?? Task.CompletedTask, config.FollowAsync(cancellationToken));
    }

    private async Task LeadAsync(CancellationToken cancellationToken)
    {
        // A leader of before may have written since what our copy knows: nothing is given out by an old copy.
        if (options.LeaderElect)
            await services.RefreshAsync(elector.LeadsSince, cancellationToken);
        await services.WaitForSyncAsync(cancellationToken);
        await namespaces.WaitForSyncAsync(cancellationToken);
        await BeginAsync(cancellationToken);
        if (config.Current is { } current)
            await reconciler.ConfigureAsync(current);
        await Task.WhenAll(
            token.EnsureAsync(cancellationToken),
            config.RunAsync(reconciler.ConfigureAsync, cancellationToken),
            reconciler.RunAsync(cancellationToken),
            brokers.PollAsync(cancellationToken),
            MemoryTrimmer.RunAsync(() => reconciler.Reconciled, Rest, time, cancellationToken),
            state.RunAsync(cancellationToken),
            sources?.RunAsync(cancellationToken) ?? Task.CompletedTask);
    }

    private async Task BeginAsync(CancellationToken cancellationToken)
    {
        var backoff = new Backoff(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(10), random);
        while (true)
        {
            try
            {
                await reconciler.BeginAsync(options.LeaderElect && elector.HasTakenOver ? elector.Term.ToString(CultureInfo.InvariantCulture) : null, cancellationToken);
                return;
            }
            catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
            {
                LogNotBegun(logger, e.Message);
                await Task.Delay(backoff.Next(), time, cancellationToken);
            }
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "Leading cannot begin, next try follows: {Cause}")]
    private static partial void LogNotBegun(ILogger logger, string cause);
}
