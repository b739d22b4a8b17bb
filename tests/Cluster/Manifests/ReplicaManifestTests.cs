using DynamicLb.AddressService.Store;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Lab;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>manifests/crds and manifests/address-service-replicas.yaml on a real API server, and the lease store with the rights in them.</summary>
public sealed class ReplicaManifestTests(ManifestCluster cluster) : IClassFixture<ManifestCluster>, IAsyncLifetime
{
    private const string Own = ManifestCluster.Namespace;
    private static readonly string _definition = Path.Combine(Repository.Root, "manifests", "crds", "addressleases.yaml");
    private static readonly string _replicas = Path.Combine(Repository.Root, "manifests", "address-service-replicas.yaml");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await cluster.Kubectl.RunAsync(["apply", "--validate=true", "-f", _definition], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(cluster.Plane, Token);
        await cluster.Kubectl.RunAsync(["apply", "--validate=true", "-f", _replicas], cancellationToken: Token);
        await TakenUp.RightsAsync(cluster.Plane, Token);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task The_definition_is_structural_and_applying_all_again_changes_nothing()
    {
        var again = await cluster.Kubectl.RunAsync(["apply", "--validate=true", "-f", _definition, "-f", _replicas], cancellationToken: Token);
        Assert.All(again.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.EndsWith(" unchanged", line, StringComparison.Ordinal));
        var nonStructural = await cluster.Kubectl.RunAsync(
            ["get", "crd", "addressleases.dynamiclb.io", "-o", "jsonpath={.status.conditions[?(@.type==\"NonStructuralSchema\")].status}"], cancellationToken: Token);
        Assert.Equal("", nonStructural.Trim());
        var volumes = await cluster.Kubectl.RunAsync(
            ["-n", Own, "get", "deployment", "address-service", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.volumes[*].name}"], cancellationToken: Token);
        Assert.Equal("2 settings token", volumes.Trim());
    }

    [Fact]
    public async Task The_service_account_can_lead_and_keep_leases_and_kubectl_shows_who_owns_what()
    {
        using var client = await ClientAsync();
        using var store = await OpenAsync(client, "first");
        _ = store.Load();
        var record = Record("demo/web");
        Assert.Equal([null], await store.CommitAsync([new StoreWrite(StoreWriteKind.Save, record with { State = LeaseRecordState.Requesting, Address = null }, null)], Token));
        Assert.Equal([null, null], await store.CommitAsync(
            [new StoreWrite(StoreWriteKind.Save, record, null), new StoreWrite(StoreWriteKind.Macs, null, ["02:00:00:00:00:01"])], Token));
        Assert.Equal([null], await store.CommitAsync([new StoreWrite(StoreWriteKind.Macs, null, ["02:00:00:00:00:02"])], Token));

        var table = (await cluster.Kubectl.RunAsync(["-n", Own, "get", "addressleases", "-l", "dynamiclb.io/service-name=web"], cancellationToken: Token))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToArray();
        Assert.Equal(["NAME", "IP", "MAC", "SERVICE", "SERVER", "STATE", "EXPIRES"], table[0]);
        Assert.Equal(
            [$"demo.web.{record.Id.ToString("N")[..8]}", "10.77.0.100", "02:4c:42:00:00:01", "demo/web", "10.77.0.1", "Bound", "2026-01-01T00:10:00+00:00"], table[1]);

        using var next = await OpenAsync(client, "second");
        var contents = next.Load();
        Assert.Equal(record, contents.Leases.Single(r => r.Service == "demo/web"));
        Assert.Equal(["02:00:00:00:00:02"], contents.Macs);

        Assert.Equal([null], await next.CommitAsync([new StoreWrite(StoreWriteKind.Delete, record, null)], Token));
    }

    [Fact]
    public async Task Case33_the_real_server_refuses_an_old_leaders_write()
    {
        using var client = await ClientAsync();
        var fence = new Fence();
        using var old = await OpenAsync(client, "old", fence);
        var record = Record("demo/fenced");
        Assert.Equal([null], await old.CommitAsync([new StoreWrite(StoreWriteKind.Save, record, null)], Token));
        using var next = await OpenAsync(client, "next");
        Assert.Equal([null], await next.CommitAsync([new StoreWrite(StoreWriteKind.Save, record, null)], Token));

        var faults = await old.CommitAsync([new StoreWrite(StoreWriteKind.Save, record with { State = LeaseRecordState.Releasing }, null)], Token);

        Assert.NotNull(faults[0]);
        Assert.NotNull(fence.Cause);
        var state = await cluster.Kubectl.RunAsync(
            ["-n", Own, "get", "addressleases", "-l", "dynamiclb.io/service-name=fenced", "-o", "jsonpath={.items[0].spec.state}"], cancellationToken: Token);
        Assert.Equal("Bound", state.Trim());
    }

    [Fact]
    public async Task The_service_account_can_win_the_election()
    {
        using var client = await ClientAsync();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var elector = new LeaderElector(
            client, new LeaderElectionOptions(Own, "address-service", "test"), TimeProvider.System, new Random(1), NullLogger.Instance);
        var led = new TaskCompletionSource<LeaderClaim>(TaskCreationOptions.RunContinuationsAsynchronously);
        var leading = elector.RunAsync(
            async token =>
            {
                led.TrySetResult(elector.Claimed);
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            },
            stop.Token);
        Assert.Equal(LeaderClaim.Confirmed, await led.Task.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System, Token));
        await stop.CancelAsync();
        await leading;
    }

    [Theory]
    [InlineData("dynamiclb.yaml")]
    [InlineData("address-service-replicas.yaml")]
    public async Task The_patch_for_a_relay_changes_the_capabilities_and_nothing_else_and_the_manifest_takes_it_back(string manifest)
    {
        string[] file = ["-f", Path.Combine(Repository.Root, "manifests", manifest)];
        string[] patch = ["-n", Own, "patch", "deployment", "address-service", "--patch-file", Path.Combine(Repository.Root, "manifests", "address-service-relay-patch.yaml")];
        await cluster.Kubectl.RunAsync(["apply", "--validate=true", .. file], cancellationToken: Token);
        string before = await TemplateAsync();
        Assert.Contains("\"add\":[\"NET_RAW\"]", before, StringComparison.Ordinal);

        Assert.EndsWith(" patched", (await cluster.Kubectl.RunAsync(patch, cancellationToken: Token)).Trim(), StringComparison.Ordinal);
        Assert.Equal(before.Replace("\"add\":[\"NET_RAW\"]", "\"add\":[\"NET_BIND_SERVICE\"]", StringComparison.Ordinal), await TemplateAsync());
        Assert.EndsWith(" patched (no change)", (await cluster.Kubectl.RunAsync(patch, cancellationToken: Token)).Trim(), StringComparison.Ordinal);

        await cluster.Kubectl.RunAsync(["apply", "--validate=true", .. file], cancellationToken: Token);
        Assert.Equal(before, await TemplateAsync());

        Task<string> TemplateAsync() => cluster.Kubectl.RunAsync(
            ["-n", Own, "get", "deployment", "address-service", "-o", "jsonpath={.spec.template.spec}"], cancellationToken: Token);
    }

    [Theory]
    [InlineData("get", "secrets/dynamiclb-token")]
    [InlineData("list", "secrets")]
    [InlineData("create", "secrets")]
    [InlineData("get", "configmaps/config")]
    [InlineData("update", "configmaps/address-service")]
    [InlineData("update", "leases.coordination.k8s.io/controller")]
    [InlineData("list", "services")]
    [InlineData("create", "pods")]
    public async Task The_service_account_can_do_nothing_else(string verb, string resource)
    {
        var (_, output, _) = await cluster.Kubectl.TryAsync(
            ["auth", "can-i", verb, resource, $"--as=system:serviceaccount:{Own}:address-service", "-n", Own], cancellationToken: Token);
        Assert.Equal("no", output.Trim());
    }

    private static Task<KubernetesLeaseStore> OpenAsync(IKubernetesClient client, string leader, Fence? fence = null) =>
        KubernetesLeaseStore.OpenAsync(client, Own, leader, 0, needsMacKey: false, fence ?? new Fence(), TimeProvider.System, null, Token);

    private async Task<KubernetesClient> ClientAsync()
    {
        var token = await cluster.Plane.CreateServiceAccountTokenAsync(Own, "address-service", cancellationToken: Token);
        return new KubernetesClient(KubernetesClientConfiguration.Load(cluster.Plane.WriteKubeconfig("address-service", token)), TimeProvider.System);
    }

    private static LeaseRecord Record(string service) => new()
    {
        Service = service,
        Id = Guid.NewGuid(),
        Mac = "02:4c:42:00:00:01",
        ClientId = "01024c42000001",
        State = LeaseRecordState.Bound,
        Address = "10.77.0.100",
        PrefixLength = 24,
        ServerId = "10.77.0.1",
        LeaseSeconds = 4294967295,
        SentAtBoot = 12.5,
        SentAt = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        ExpiresAt = new DateTimeOffset(2026, 1, 1, 0, 10, 0, TimeSpan.Zero),
    };

    private sealed class Fence : IStoreFence
    {
        public string? Refusal => null;

        public string? Cause { get; private set; }

        public void Fenced(string cause) => Cause = cause;
    }
}
