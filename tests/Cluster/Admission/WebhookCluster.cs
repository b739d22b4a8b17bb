using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using DynamicLb.Tests.Cluster.Manifests;

namespace DynamicLb.Tests.Cluster.Admission;

/// <summary>
/// A real API server with manifests/crds, manifests/dynamiclb.yaml and manifests/webhooks.yaml, and the real controller with the rights of these, in mode <c>onlywebhook</c>. There is no
/// network of Pods, so the API server is led to the webhooks by a URL instead of the Service.
/// </summary>
public sealed partial class WebhookCluster : IAsyncLifetime
{
    internal const string Own = ManifestCluster.Namespace;
    private RealControlPlane? _plane;

    internal RealControlPlane Plane => _plane!;

    internal Kubectl Kubectl { get; private set; } = null!;

    internal ChildProcess Controller { get; private set; } = null!;

    internal int Port { get; } = LoopbackPorts.Take();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: Token);
        Kubectl = new Kubectl(_plane.AdminKubeconfig);
        string manifests = Path.Combine(Repository.Root, "manifests");
        await Kubectl.RunAsync(["apply", "--validate=false", "-f", Path.Combine(manifests, "crds")], cancellationToken: Token);
        await Kubectl.RunAsync(["apply", "--validate=true", "-f", Path.Combine(manifests, "dynamiclb.yaml")], cancellationToken: Token);
        await Kubectl.RunAsync(["apply", "--validate=true", "-f", Path.Combine(manifests, "webhooks.yaml")], cancellationToken: Token);
        string webhooks = await File.ReadAllTextAsync(Path.Combine(manifests, "webhooks.yaml"), Token);
        await Kubectl.RunAsync(["replace", "--force", "-f", "-"], ServiceReference().Replace(webhooks, match => $"    url: https://127.0.0.1:{Port}{match.Groups["path"].Value}\n"), Token);
        await TakenUp.DefinitionsAsync(_plane, Token);
        await TakenUp.RightsAsync(_plane, Token);
        Controller = Start("controller", await _plane.CreateServiceAccountTokenAsync(Own, "controller", cancellationToken: Token), Port);
        await Wait.UntilAsync(async () => (await CaBundleAsync()).Length > 0, TimeSpan.FromMinutes(2), "the controller to tell its authority", Token);
        // The API server follows that configuration too: until it knows the authority it refuses what a webhook has not judged.
        await Wait.UntilAsync(
            async () => (await Kubectl.TryAsync(["-n", "default", "apply", "--validate=false", "-f", "-"], "apiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: probe}\nspec: {}\n", Token))
                .Error.Contains("resource must be created in", StringComparison.Ordinal),
            TimeSpan.FromMinutes(2), "the webhooks to be asked", Token);
    }

    public async ValueTask DisposeAsync()
    {
        if (Controller is not null)
            await Controller.DisposeAsync();
        if (_plane is not null)
            await _plane.DisposeAsync();
    }

    /// <summary>Starts a further controller that serves webhooks.</summary>
    internal ChildProcess Start(string name, string token, int port, params string[] more) => ChildProcess.Start(
        "dotnet",
        [
            Programs.PathOf("Controller"), "--config", "resources", "--kubeconfig", Plane.WriteKubeconfig(name, token), "--namespace", Own, "--listen", "http://127.0.0.1:0",
            "--webhook-mode", "onlywebhook", "--webhook-listen", string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{port}"), "--cert-names", "127.0.0.1", .. more,
        ],
        Path.Combine(Plane.Folder, name + ".log"));

    /// <summary>The authority in the first webhook.</summary>
    internal async Task<string> CaBundleAsync() =>
        (await Kubectl.RunAsync(["get", "validatingwebhookconfiguration", "metallb-webhook-configuration", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"], cancellationToken: Token)).Trim();

    /// <summary>Applies manifests; fails the test when that fails.</summary>
    internal Task<string> ApplyAsync(string yaml, string ns = Own) => Kubectl.RunAsync(["-n", ns, "apply", "--validate=false", "-f", "-"], yaml, Token);

    /// <summary>Applies manifests that must be refused; what kubectl said.</summary>
    internal async Task<string> RefusedAsync(string yaml, string ns = Own)
    {
        var (code, output, error) = await Kubectl.TryAsync(["-n", ns, "apply", "--validate=false", "-f", "-"], yaml, Token);
        Assert.True(code != 0, $"was not refused: {output}{error}; the controller said: {Controller.LogTail()}");
        return error;
    }

    /// <summary>Removes all objects of the configuration.</summary>
    internal async Task ClearAsync()
    {
        foreach (string plural in new[] { "bgppeers.v1beta2.metallb.io", "bfdprofiles", "bgpadvertisements", "l2advertisements", "communities", "ipaddresspools", "addressservices" })
            await Kubectl.RunAsync(["-n", Own, "delete", plural, "--all"], cancellationToken: Token);
    }

    [GeneratedRegex(@"    service:\n      name: .*\n      namespace: .*\n      path: (?<path>.*)\n", RegexOptions.ExplicitCapture)]
    private static partial Regex ServiceReference();
}
