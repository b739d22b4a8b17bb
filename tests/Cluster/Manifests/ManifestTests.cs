using System.Text.Json;
using DynamicLb.Lab;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>manifests/dynamiclb.yaml on a real API server with RBAC: accepted as it stands, and the rights in it are enough and not more.</summary>
public sealed class ManifestTests(ManifestCluster cluster) : IClassFixture<ManifestCluster>
{
    private const string Own = ManifestCluster.Namespace;

    [Fact]
    public async Task The_manifest_is_accepted_with_validation_and_applying_it_again_changes_nothing()
    {
        var again = await cluster.Kubectl.RunAsync(["apply", "--validate=true", "-f", cluster.ManifestFile], cancellationToken: Token);

        var lines = again.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.All(cluster.Applied, line => Assert.EndsWith(" created", line, StringComparison.Ordinal));
        Assert.Equal(cluster.Applied.Count, lines.Length);
        Assert.All(lines, line => Assert.EndsWith(" unchanged", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_network_policy_is_accepted_and_names_the_controller_and_the_ports_that_it_listens_on()
    {
        string file = Path.Combine(Repository.Root, "manifests", "network-policy.yaml");
        var applied = await cluster.Kubectl.RunAsync(["apply", "--validate=true", "-f", file, "-o", "json"], cancellationToken: Token);
        var deployment = await cluster.Kubectl.RunAsync(["-n", Own, "get", "deployment", "controller", "-o", "json"], cancellationToken: Token);

        using var policy = JsonDocument.Parse(applied);
        using var controller = JsonDocument.Parse(deployment);
        var spec = policy.RootElement.GetProperty("spec");
        var template = controller.RootElement.GetProperty("spec").GetProperty("template");
        var labels = template.GetProperty("metadata").GetProperty("labels");
        Assert.All(
            spec.GetProperty("podSelector").GetProperty("matchLabels").EnumerateObject(),
            label => Assert.Equal(label.Value.GetString(), labels.GetProperty(label.Name).GetString()));
        var open = spec.GetProperty("ingress").EnumerateArray().SelectMany(static rule => rule.GetProperty("ports").EnumerateArray()).Select(static port => port.GetProperty("port").GetInt32());
        var listens = template.GetProperty("spec").GetProperty("containers")[0].GetProperty("ports").EnumerateArray().Select(static port => port.GetProperty("containerPort").GetInt32());
        Assert.Empty(listens.Except(open));
    }

    [Theory]
    // The controller: Services everywhere, its election and the token's Secret at home.
    [InlineData("controller", "list", "services", "demo")]
    [InlineData("controller", "watch", "services", "demo")]
    [InlineData("controller", "list", "namespaces", "")]
    [InlineData("controller", "watch", "namespaces", "")]
    [InlineData("controller", "watch", "nodes", "")]
    [InlineData("controller", "patch", "services/status", "demo")]
    [InlineData("controller", "create", "events", "demo")]
    [InlineData("controller", "patch", "events", "demo")]
    [InlineData("controller", "get", "leases.coordination.k8s.io", Own)]
    [InlineData("controller", "create", "leases.coordination.k8s.io", Own)]
    [InlineData("controller", "update", "leases.coordination.k8s.io", Own)]
    [InlineData("controller", "create", "secrets", Own)]
    [InlineData("controller", "get", "secrets/dynamiclb-token", Own)]
    [InlineData("controller", "get", "secrets/dynamiclb-heartbeat", Own)]
    // The speaker: what to announce, who lives.
    [InlineData("speaker", "list", "services", "demo")]
    [InlineData("speaker", "watch", "services", "demo")]
    [InlineData("speaker", "list", "endpointslices.discovery.k8s.io", "demo")]
    [InlineData("speaker", "watch", "endpointslices.discovery.k8s.io", "demo")]
    [InlineData("speaker", "list", "nodes", "")]
    [InlineData("speaker", "watch", "nodes", "")]
    [InlineData("speaker", "create", "events", "demo")]
    [InlineData("speaker", "patch", "events", "demo")]
    [InlineData("speaker", "list", "leases.coordination.k8s.io", Own)]
    [InlineData("speaker", "watch", "leases.coordination.k8s.io", Own)]
    [InlineData("speaker", "create", "leases.coordination.k8s.io", Own)]
    [InlineData("speaker", "patch", "leases.coordination.k8s.io", Own)]
    [InlineData("speaker", "watch", "secrets", Own)]
    [InlineData("speaker", "create", "servicel2statuses.metallb.io", Own)]
    [InlineData("speaker", "delete", "servicel2statuses.metallb.io", Own)]
    public async Task Allowed(string account, string verb, string resource, string ns)
    {
        Assert.True(await CanAsync(account, verb, resource, ns), $"{account} must be able to {verb} {resource} in '{ns}'");
    }

    [Theory]
    [InlineData("controller", "get", "secrets/other", Own)]
    [InlineData("controller", "list", "secrets", Own)]
    [InlineData("controller", "get", "secrets/dynamiclb-token", "kube-system")]
    [InlineData("controller", "create", "secrets", "kube-system")]
    [InlineData("controller", "patch", "services", "demo")]
    [InlineData("controller", "delete", "services", "demo")]
    [InlineData("controller", "create", "services", "demo")]
    [InlineData("controller", "update", "leases.coordination.k8s.io", "kube-system")]
    [InlineData("controller", "create", "pods", Own)]
    [InlineData("controller", "patch", "nodes", "")]
    [InlineData("speaker", "patch", "services", "demo")]
    [InlineData("speaker", "patch", "services/status", "demo")]
    [InlineData("speaker", "patch", "nodes", "")]
    [InlineData("speaker", "get", "secrets/dynamiclb-token", Own)]
    [InlineData("speaker", "list", "secrets", "kube-system")]
    [InlineData("speaker", "patch", "leases.coordination.k8s.io", "kube-node-lease")]
    [InlineData("speaker", "create", "pods", Own)]
    [InlineData("address-service", "get", "secrets/dynamiclb-token", Own)]
    [InlineData("address-service", "list", "services", "demo")]
    public async Task Not_allowed(string account, string verb, string resource, string ns)
    {
        Assert.False(await CanAsync(account, verb, resource, ns), $"{account} must not be able to {verb} {resource} in '{ns}'");
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private async Task<bool> CanAsync(string account, string verb, string resource, string ns)
    {
        List<string> arguments = ["auth", "can-i", verb];
        if (resource.Contains('/', StringComparison.Ordinal) && resource.EndsWith("/status", StringComparison.Ordinal))
        {
            arguments.AddRange([resource[..resource.IndexOf('/', StringComparison.Ordinal)], "--subresource=status"]);
        }
        else
        {
            arguments.Add(resource);
        }

        arguments.Add($"--as=system:serviceaccount:{Own}:{account}");
        if (ns.Length > 0)
        {
            arguments.AddRange(["-n", ns]);
        }

        var (_, output, error) = await cluster.Kubectl.TryAsync([.. arguments], cancellationToken: Token);
        return output.Trim() switch
        {
            "yes" => true,
            "no" => false,
            _ => throw new InvalidOperationException($"kubectl auth can-i said: {output}{error}"),
        };
    }
}
