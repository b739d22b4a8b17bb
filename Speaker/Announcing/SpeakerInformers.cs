using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Announcing;

/// <summary>What the speaker follows at the API server.</summary>
internal sealed class SpeakerInformers(SpeakerOptions options, IKubernetesClient client, TimeProvider time, Random random, ILoggerFactory loggers)
    : BackgroundService
{
    public Informer<Service> Services { get; } =
        new(client, ResourceTypes.Services, null, time, random, loggers.CreateLogger<Informer<Service>>());

    public Informer<EndpointSlice> EndpointSlices { get; } =
        EndpointSliceInformer.Create(client, time, random, loggers.CreateLogger<Informer<EndpointSlice>>());

    public Informer<Node> Nodes { get; } =
        new(client, ResourceTypes.Nodes, null, time, random, loggers.CreateLogger<Informer<Node>>());

    public Informer<Lease> Leases { get; } =
        new(client, ResourceTypes.Leases, options.Namespace, time, random, loggers.CreateLogger<Informer<Lease>>());

    /// <summary>Whether everything has been listed once.</summary>
    public bool HasSynced => Services.HasSynced && EndpointSlices.HasSynced && Nodes.HasSynced && Leases.HasSynced;

    /// <summary>Completes when everything has been listed once.</summary>
    public Task WaitForSyncAsync(CancellationToken cancellationToken) => Task.WhenAll(
        Services.WaitForSyncAsync(cancellationToken), EndpointSlices.WaitForSyncAsync(cancellationToken),
        Nodes.WaitForSyncAsync(cancellationToken), Leases.WaitForSyncAsync(cancellationToken));

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(
        Services.RunAsync(stoppingToken), EndpointSlices.RunAsync(stoppingToken), Nodes.RunAsync(stoppingToken), Leases.RunAsync(stoppingToken));
}
