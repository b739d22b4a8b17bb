using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>A real API server to which manifests/dynamiclb.yaml has been applied.</summary>
public sealed class ManifestCluster : IAsyncLifetime
{
    internal const string Namespace = "dynamiclb-system";

    private RealControlPlane? _plane;

    internal string ManifestFile { get; } = Path.Combine(Repository.Root, "manifests", "dynamiclb.yaml");

    internal RealControlPlane Plane => _plane!;

    internal Kubectl Kubectl { get; private set; } = null!;

    /// <summary>What kubectl said to the first apply, a line for each object.</summary>
    internal IReadOnlyList<string> Applied { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: TestContext.Current.CancellationToken);
        Kubectl = new Kubectl(_plane.AdminKubeconfig);
        // kubectl asks for rights by the names that the server knows.
        await Kubectl.RunAsync(["apply", "--validate=false", "-f", Path.Combine(Repository.Root, "manifests", "crds", "servicel2statuses.yaml")]);
        await TakenUp.DefinitionsAsync(_plane, TestContext.Current.CancellationToken);
        var output = await Kubectl.RunAsync(["apply", "--validate=true", "-f", ManifestFile]);
        Applied = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await TakenUp.RightsAsync(_plane, TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (_plane is not null)
        {
            await _plane.DisposeAsync();
        }
    }
}
