using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using DynamicLb.Tests.Cluster.Manifests;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>The real controller, configured by resources, with the rights of manifests/dynamiclb.yaml, against the real kube-apiserver.</summary>
public sealed class ResourceConfigurationTests : IAsyncLifetime
{
    private const string Own = ManifestCluster.Namespace;
    private RealControlPlane _plane = null!;
    private Kubectl _kubectl = null!;
    private ChildProcess _controller = null!;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: Token);
        _kubectl = new Kubectl(_plane.AdminKubeconfig);
        await _kubectl.RunAsync(["apply", "--validate=false", "-f", Path.Combine(Repository.Root, "manifests", "crds")], cancellationToken: Token);
        await _kubectl.RunAsync(["apply", "-f", Path.Combine(Repository.Root, "manifests", "dynamiclb.yaml")], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(_plane, Token);
        string token = await _plane.CreateServiceAccountTokenAsync(Own, "controller", cancellationToken: Token);
        _controller = ChildProcess.Start(
            "dotnet",
            [Programs.PathOf("Controller"), "--config", "resources", "--kubeconfig", _plane.WriteKubeconfig("controller", token), "--namespace", Own, "--listen", "http://127.0.0.1:0"],
            Path.Combine(_plane.Folder, "controller.log"));
    }

    public async ValueTask DisposeAsync()
    {
        if (_controller is not null)
            await _controller.DisposeAsync();
        if (_plane is not null)
            await _plane.DisposeAsync();
    }

    [Fact]
    public async Task Pools_are_used_counted_and_judged()
    {
        await ApplyAsync("""
            apiVersion: metallb.io/v1beta1
            kind: IPAddressPool
            metadata: {name: lab}
            spec: {addresses: [10.30.0.0/29], avoidBuggyIPs: true}
            ---
            apiVersion: metallb.io/v1beta1
            kind: L2Advertisement
            metadata: {name: lab}
            """);
        await _kubectl.RunAsync(["create", "service", "loadbalancer", "web", "--tcp=80:8080"], cancellationToken: Token);
        await UntilAsync("10.30.0.1", "service", "web", "default", "{.status.loadBalancer.ingress[0].ip}");
        await UntilAsync("lab", "service", "web", "default", "{.metadata.annotations.metallb\\.io/ip-allocated-from-pool}");
        await UntilAsync("1/6", "ipaddresspool", "lab", Own, "{.status.assignedIPv4}/{.status.availableIPv4}");
        await UntilAsync("Valid True Reconciled", "configurationstate", "controller", Own, "{.status.result} {.status.conditions[0].status} {.status.conditions[0].reason}");

        // One that is at fault leaves the others alone, and is named.
        await ApplyAsync("""
            apiVersion: metallb.io/v1beta1
            kind: IPAddressPool
            metadata: {name: twice}
            spec: {addresses: [10.30.0.4/30]}
            ---
            apiVersion: metallb.io/v1beta1
            kind: Community
            metadata: {name: names}
            spec: {communities: [{name: a, value: '1:70000'}]}
            """);
        // The two are made one after the other, and may be judged so.
        await UntilAsync("Invalid", "configurationstate", "controller", Own, "{.status.result}", "IPAddressPool 'twice'", "Community 'names'");
        string state = await _kubectl.RunAsync(["get", "--raw", $"/apis/metallb.io/v1beta1/namespaces/{Own}/configurationstates/controller"], cancellationToken: Token);
        using var json = JsonDocument.Parse(state);
        string summary = json.RootElement.GetProperty("status").GetProperty("errorSummary").GetString()!;
        Assert.Contains("IPAddressPool 'twice' spec.addresses: 10.30.0.4-10.30.0.7 overlaps with already defined CIDR 10.30.0.0-10.30.0.7 of 'lab'", summary, StringComparison.Ordinal);
        Assert.Contains("Community 'names' spec.communities[0].value: invalid community value: invalid section", summary, StringComparison.Ordinal);
        Assert.Contains(
            json.RootElement.GetProperty("metadata").GetProperty("managedFields").EnumerateArray(),
            static entry => entry.GetProperty("manager").GetString() == "poolReconciler" && entry.GetProperty("operation").GetString() == "Apply");
        await _kubectl.RunAsync(["create", "service", "loadbalancer", "next", "--tcp=80:8080"], cancellationToken: Token);
        await UntilAsync("10.30.0.2", "service", "next", "default", "{.status.loadBalancer.ingress[0].ip}");

        // Mended, moved and taken away.
        await _kubectl.RunAsync(["-n", Own, "delete", "ipaddresspool/twice", "community/names"], cancellationToken: Token);
        await UntilAsync("Valid", "configurationstate", "controller", Own, "{.status.result}");
        await _kubectl.RunAsync(["-n", Own, "patch", "ipaddresspool", "lab", "--type=merge", "-p", """{"spec":{"addresses":["10.31.0.0/29"]}}"""], cancellationToken: Token);
        await UntilAsync("10.31.0", "service", "web", "default", "{.status.loadBalancer.ingress[0].ip}");
        await UntilAsync("10.31.0", "service", "next", "default", "{.status.loadBalancer.ingress[0].ip}");
        await UntilAsync("2/5", "ipaddresspool", "lab", Own, "{.status.assignedIPv4}/{.status.availableIPv4}");
        await _kubectl.RunAsync(["-n", Own, "delete", "ipaddresspool", "lab"], cancellationToken: Token);
        await UntilAsync("", "service", "web", "default", "{.status.loadBalancer.ingress}");
    }

    private Task<string> ApplyAsync(string yaml) => _kubectl.RunAsync(["-n", Own, "apply", "--validate=false", "-f", "-"], yaml, Token);

    /// <summary>Waits until a field begins with a text; until it is empty for an empty text. And until the object's summary of faults has all of some.</summary>
    private async Task UntilAsync(string text, string kind, string name, string ns, string path, params string[] faults)
    {
        string last = "", error = "";
        try
        {
            await UntilAsync();
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}: it is '{last}' {error}; the controller said: {_controller.LogTail()}", e);
        }

        Task UntilAsync() => Wait.UntilAsync(
            async () =>
            {
                (_, last, error) = await _kubectl.TryAsync(["-n", ns, "get", kind, name, "-o", $"jsonpath={path}{(faults.Length > 0 ? " {.status.errorSummary}" : "")}"], cancellationToken: Token);
                return Array.TrueForAll(faults, fault => last.Contains(fault, StringComparison.Ordinal)) && (text.Length == 0 ? last.Trim().Length == 0 : last.StartsWith(text, StringComparison.Ordinal));
            },
            TimeSpan.FromSeconds(60), $"{kind} {name} {path} to be '{text}'", Token);
    }
}
