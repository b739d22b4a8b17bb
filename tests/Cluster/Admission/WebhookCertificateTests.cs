using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;

namespace DynamicLb.Tests.Cluster.Admission;

/// <summary>The life of the webhooks' certificates on the real API server, and what happens while nobody serves them.</summary>
public sealed class WebhookCertificateTests(WebhookCluster cluster) : IClassFixture<WebhookCluster>
{
    private const string Pool = "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: lab}\nspec: {addresses: [10.0.0.0/24]}\n";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Replicas_share_the_Secret_and_what_is_removed_or_edited_is_put_right()
    {
        string authority = await cluster.CaBundleAsync();
        using var client = new KubernetesClient(KubernetesClientConfiguration.Load(cluster.Plane.AdminKubeconfig), TimeProvider.System);
        string before = (await client.GetAsync(ResourceTypes.Secrets, WebhookCluster.Own, "metallb-webhook-cert", Token)).Metadata.ResourceVersion!;
        string token = await cluster.Plane.CreateServiceAccountTokenAsync(WebhookCluster.Own, "controller", cancellationToken: Token);

        // A second one takes what is there. It is the one that mends, since it looks at once.
        await cluster.Kubectl.RunAsync(
            ["patch", "validatingwebhookconfiguration", "metallb-webhook-configuration", "--type=json", "-p", """[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]"""],
            cancellationToken: Token);
        int port = LoopbackPorts.Take();
        await using var second = cluster.Start("second", token, port, "--webhook-failure-policy", "Ignore");
        // The first one may come to look before the second is up; the failure policy is by the second alone.
        await Wait.UntilAsync(
            async () => await cluster.CaBundleAsync() == authority && await PoliciesAsync() is { Count: > 0 } policies && policies.All(static policy => policy == "Ignore"),
            TimeSpan.FromMinutes(2), "the authority and the failure policy to be told", Token);
        Assert.Equal(before, (await client.GetAsync(ResourceTypes.Secrets, WebhookCluster.Own, "metallb-webhook-cert", Token)).Metadata.ResourceVersion);

        // It set the failure policy: with no controller left, changes pass unseen.
        await second.DisposeAsync();
        Assert.Contains("resource must be created in", await cluster.RefusedAsync(Pool, "default"), StringComparison.Ordinal);
        await cluster.Controller.DisposeAsync();
        await Wait.UntilAsync(
            async () => (await cluster.Kubectl.TryAsync(["-n", "default", "apply", "--validate=false", "-f", "-"], Pool, Token)).ExitCode == 0,
            TimeSpan.FromSeconds(60), "a change to pass unseen", Token);
        // Fail is what the manifest says: they are refused, and Services are not.
        await cluster.Kubectl.RunAsync(
            ["patch", "validatingwebhookconfiguration", "metallb-webhook-configuration", "--type=json", "-p", """[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Fail"}]"""],
            cancellationToken: Token);
        await Wait.UntilAsync(
            async () => (await cluster.Kubectl.TryAsync(["-n", WebhookCluster.Own, "apply", "--validate=false", "-f", "-"], Pool, Token)).Error.Contains("failed calling webhook", StringComparison.Ordinal),
            TimeSpan.FromSeconds(60), "changes to be refused", Token);
        await cluster.Kubectl.RunAsync(["create", "service", "loadbalancer", "web", "--tcp=80:8080"], cancellationToken: Token);

        // Everything gone: a new authority, known to the API server again.
        await cluster.Kubectl.RunAsync(["-n", WebhookCluster.Own, "delete", "secret", "metallb-webhook-cert"], cancellationToken: Token);
        await using var third = cluster.Start("third", token, cluster.Port);
        await Wait.UntilAsync(
            async () => (await cluster.Kubectl.TryAsync(["-n", WebhookCluster.Own, "apply", "--validate=false", "-f", "-"], Pool, Token)).ExitCode == 0,
            TimeSpan.FromMinutes(2), "a change to pass again", Token);
        Assert.NotEqual(authority, await cluster.CaBundleAsync());

        async Task<IReadOnlyList<string>> PoliciesAsync() =>
            (await cluster.Kubectl.RunAsync(["get", "validatingwebhookconfiguration", "metallb-webhook-configuration", "-o", "jsonpath={.webhooks[*].failurePolicy}"], cancellationToken: Token))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }
}
