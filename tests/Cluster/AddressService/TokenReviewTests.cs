using DynamicLb.AddressService.Security;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Tests.Cluster.Manifests;

namespace DynamicLb.Tests.Cluster.AddressService;

/// <summary>Tokens of service accounts, reviewed by the real API server on behalf of the address service's own account.</summary>
public sealed class TokenReviewTests(ManifestCluster cluster) : IClassFixture<ManifestCluster>
{
    private const string Audience = "address-service";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_API_server_tells_whose_token_it_is_once_the_address_service_may_ask()
    {
        string own = await cluster.Plane.CreateServiceAccountTokenAsync(ManifestCluster.Namespace, "address-service", cancellationToken: Token);
        string forUs = await cluster.Plane.CreateServiceAccountTokenAsync(ManifestCluster.Namespace, "controller", Audience, Token);
        string forKubernetes = await cluster.Plane.CreateServiceAccountTokenAsync(ManifestCluster.Namespace, "controller", cancellationToken: Token);
        using var client = new KubernetesClient(KubernetesClientConfiguration.Load(cluster.Plane.WriteKubeconfig("address-service", own)), TimeProvider.System);

        var refused = await Assert.ThrowsAsync<TokenReviewException>(() => new TokenReviewer(client, Audience, TimeProvider.System).AccountAsync(forUs, Token));
        Assert.Contains("403", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(forUs, refused.ToString(), StringComparison.Ordinal);

        await cluster.Kubectl.RunAsync(
            ["create", "clusterrolebinding", "dynamiclb-address-service-token-review", "--clusterrole=system:auth-delegator", $"--serviceaccount={ManifestCluster.Namespace}:address-service"]);
        var reviewer = new TokenReviewer(client, Audience, TimeProvider.System);
        string? account = null;
        for (int attempt = 0; account is null && attempt < 600; attempt++)
        {
            try
            {
                // RBAC takes up the binding a moment later.
                account = await new TokenReviewer(client, Audience, TimeProvider.System).AccountAsync(forUs, Token);
            }
            catch (TokenReviewException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Token);
            }
        }
        Assert.Equal($"{ManifestCluster.Namespace}/controller", account);
        Assert.Null(await reviewer.AccountAsync(forKubernetes, Token));
        Assert.Null(await reviewer.AccountAsync(forUs[..^6] + "AAAAAA", Token));
    }
}
