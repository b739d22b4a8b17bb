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
    ControllerOptions options, Informer<Service> services, Informer<Namespace> namespaces, IConfigSource config, ServiceReconciler reconciler, LeaseBrokers brokers, TokenSecret secret,
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

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Together.RunAsync(
        stoppingToken, FollowAsync, events.RunAsync, token => options.LeaderElect ? elector.RunAsync(LeadAsync, token) : LeadAsync(token));

    private async Task FollowAsync(CancellationToken cancellationToken)
    {
        // Whoever leads at once has its first list from after the election, and needs no second one.
        if (options.LeaderElect)
            await elector.FirstAttempt.WaitAsync(cancellationToken);
        await Together.RunAsync(
            cancellationToken, services.RunAsync, namespaces.RunAsync, token => nodes?.RunAsync(token) ?? Task.CompletedTask, config.FollowAsync);
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
        await Together.RunAsync(
            cancellationToken,
            secret.EnsureAsync,
            token => config.RunAsync(reconciler.ConfigureAsync, token),
            reconciler.RunAsync,
            brokers.PollAsync,
            token => MemoryTrimmer.RunAsync(() => reconciler.Reconciled, Rest, time, token),
            state.RunAsync,
            token => sources?.RunAsync(token) ?? Task.CompletedTask);
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
