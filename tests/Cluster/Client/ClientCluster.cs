using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab.Kubernetes;

namespace DynamicLb.Tests.Cluster.Client;

/// <summary>A real API server for the tests of our client, with the client made from its kubeconfig.</summary>
public sealed class ClientCluster : IAsyncLifetime
{
    private RealControlPlane? _plane;
    private KubernetesClient? _client;

    internal RealControlPlane Plane => _plane!;

    internal KubernetesClient Client => _client!;

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: TestContext.Current.CancellationToken);
        _client = new KubernetesClient(KubernetesClientConfiguration.Load(_plane.AdminKubeconfig), TimeProvider.System);
    }

    /// <summary>Creates a namespace for one test; its name.</summary>
    internal async Task<string> NamespaceAsync(string name)
    {
        await Client.CreateAsync(
            ResourceTypes.Namespaces, new Namespace { Metadata = new ObjectMeta { Name = name } }, TestContext.Current.CancellationToken);
        return name;
    }

    public async ValueTask DisposeAsync()
    {
        _client?.Dispose();
        if (_plane is not null)
            await _plane.DisposeAsync();
    }
}
