using System.Diagnostics.Metrics;
using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>Does with the service accounts' own tokens what the programs do, against the real API server with RBAC.</summary>
public sealed class ServiceAccountTests(ManifestCluster cluster) : IClassFixture<ManifestCluster>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_controller_can_follow_Services_write_their_status_tell_Events_and_lead()
    {
        await CreateServiceAsync("web");
        using var client = await ClientAsync("controller");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);

        var services = new Informer<Service>(client, ResourceTypes.Services, null, TimeProvider.System, new Random(1), NullLogger.Instance);
        var following = services.RunAsync(stop.Token);
        await services.WaitForSyncAsync(Token);
        var web = services.Get(new NamespacedName("demo", "web"));
        Assert.NotNull(web);

        await client.PatchAsync(
            ResourceTypes.Services, "demo", "web", PatchType.Merge,
            """{"metadata":{"annotations":{"metallb.io/ip-allocated-from-pool":"dhcp"}},"status":{"loadBalancer":{"ingress":[{"ip":"10.20.0.57"}]}}}"""u8.ToArray(),
            "status", Token);
        Assert.Equal("10.20.0.57", (await cluster.Kubectl.RunAsync(["-n", "demo", "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"])).Trim());

        await TellEventAsync(client, "controller-test", web);

        var elector = new LeaderElector(
            client, new LeaderElectionOptions(ManifestCluster.Namespace, "controller", "test"), TimeProvider.System, new Random(1), NullLogger.Instance);
        var led = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var leading = elector.RunAsync(
            async token =>
            {
                led.TrySetResult();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            },
            stop.Token);
        await led.Task.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System, Token);

        await stop.CancelAsync();
        await Task.WhenAll(following, leading).ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    [Fact]
    public async Task The_controller_can_make_the_token_Secret_and_read_no_other()
    {
        using var client = await ClientAsync("controller");
        var secret = new Secret
        {
            Metadata = new ObjectMeta { Namespace = ManifestCluster.Namespace, Name = "dynamiclb-token" },
            Type = "Opaque",
            Data = new Dictionary<string, string>(StringComparer.Ordinal) { ["token"] = "c2VjcmV0" },
        };
        await client.CreateAsync(ResourceTypes.Secrets, secret, Token);
        await cluster.Kubectl.RunAsync(["-n", ManifestCluster.Namespace, "create", "secret", "generic", "other", "--from-literal=a=b"]);

        var read = await client.GetAsync(ResourceTypes.Secrets, ManifestCluster.Namespace, "dynamiclb-token", Token);
        Assert.Equal("c2VjcmV0", read.Data!["token"]);
        var refused = await Assert.ThrowsAsync<KubernetesApiException>(
            () => client.GetAsync(ResourceTypes.Secrets, ManifestCluster.Namespace, "other", Token));
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
    }

    [Fact]
    public async Task The_speaker_can_follow_Services_EndpointSlices_Nodes_and_Leases_and_renew_its_own()
    {
        await CreateServiceAsync("follow");
        using var client = await ClientAsync("speaker");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var services = new Informer<Service>(client, ResourceTypes.Services, null, TimeProvider.System, new Random(1), NullLogger.Instance);
        var slices = EndpointSliceInformer.Create(client, TimeProvider.System, new Random(2), NullLogger.Instance, static slice => slice);
        var nodes = new Informer<Node>(client, ResourceTypes.Nodes, null, TimeProvider.System, new Random(3), NullLogger.Instance);
        var leases = new Informer<Lease>(client, ResourceTypes.Leases, ManifestCluster.Namespace, TimeProvider.System, new Random(4), NullLogger.Instance);
        Task[] following = [services.RunAsync(stop.Token), slices.RunAsync(stop.Token), nodes.RunAsync(stop.Token), leases.RunAsync(stop.Token)];
        await services.WaitForSyncAsync(Token);
        await slices.WaitForSyncAsync(Token);
        await nodes.WaitForSyncAsync(Token);
        await leases.WaitForSyncAsync(Token);

        var seen = new TaskCompletionSource<Lease>(TaskCreationOptions.RunContinuationsAsynchronously);
        leases.Subscribe((_, lease) =>
        {
            if (lease is { Metadata.Name: "speaker-a", Spec.HolderIdentity: "renewed" })
            {
                seen.TrySetResult(lease);
            }
        });
        await client.CreateAsync(
            ResourceTypes.Leases,
            new Lease
            {
                Metadata = new ObjectMeta { Namespace = ManifestCluster.Namespace, Name = "speaker-a" },
                Spec = new LeaseSpec { HolderIdentity = "a", LeaseDurationSeconds = 10 },
            },
            Token);
        await client.PatchAsync(
            ResourceTypes.Leases, ManifestCluster.Namespace, "speaker-a", PatchType.Merge, """{"spec":{"holderIdentity":"renewed"}}"""u8.ToArray(), null, Token);
        await seen.Task.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System, Token);

        await TellEventAsync(client, "speaker-test", services.Get(new NamespacedName("demo", "follow"))!);

        var refused = await Assert.ThrowsAsync<KubernetesApiException>(() => client.PatchAsync(
            ResourceTypes.Services, "demo", "follow", PatchType.Merge, """{"status":{"loadBalancer":{}}}"""u8.ToArray(), "status", Token));
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);

        await stop.CancelAsync();
        await Task.WhenAll(following).ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    [Fact]
    public async Task The_speaker_can_say_who_announces_take_up_what_it_left_and_take_it_away()
    {
        const string Format = "jsonpath={range .items[*]}{.status.node} {.status.serviceName} {.status.interfaces[*].name} {.metadata.ownerReferences[*].uid}{end}";
        var web = new NamespacedName("demo", "web");
        var announced = new Decision(SilenceReason.None, [HostAddress.Parse("10.20.0.57")], null, "node1") { Interfaces = new HashSet<string> { "eth0" } };
        using var client = await ClientAsync("speaker");
        using var meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        foreach (string life in (string[])["first", "second"])
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
            var options = new SpeakerOptions(null!, "node1", new Regex("^$", RegexOptions.None, Regex.InfiniteMatchTimeout), false, TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100));
            var metrics = new SpeakerMetrics(
                meters.GetRequiredService<IMeterFactory>(), options, new ConfigFileWatcher("none", TimeProvider.System, NullLogger<ConfigFileWatcher>.Instance));
            var writer = new Layer2StatusWriter(
                client, new Informer<ServiceL2Status>(client, ServiceL2Status.Type, ManifestCluster.Namespace, TimeProvider.System, new Random(1), NullLogger.Instance),
                static (_, _) => false, new Layer2StatusTarget(ManifestCluster.Namespace, "node1", static () => new OwnerReference("v1", "Node", "node1", "0815")), metrics, TimeProvider.System,
                new Random(1), NullLogger<Layer2StatusWriter>.Instance);
            writer.Decided(web, announced);
            var writing = writer.RunAsync(stop.Token);
            await WaitForAsync("node1 web eth0 0815");
            if (life == "second")
            {
                writer.Decided(web, Decision.Silent(SilenceReason.NotOwner, "node2"));
                await WaitForAsync("");
            }
            await stop.CancelAsync();
            await writing;
        }

        Task WaitForAsync(string wanted) => Wait.UntilAsync(
            async () => await cluster.Kubectl.RunAsync(["-n", ManifestCluster.Namespace, "get", "servicel2statuses", "-o", Format]) == wanted, TimeSpan.FromSeconds(60),
            $"'{wanted}'", Token);
    }

    private async Task<KubernetesClient> ClientAsync(string account)
    {
        var token = await cluster.Plane.CreateServiceAccountTokenAsync(ManifestCluster.Namespace, account, cancellationToken: Token);
        return new KubernetesClient(KubernetesClientConfiguration.Load(cluster.Plane.WriteKubeconfig(account, token)), TimeProvider.System);
    }

    private async Task CreateServiceAsync(string name)
    {
        await cluster.Kubectl.TryAsync(["create", "namespace", "demo"], cancellationToken: Token);
        await cluster.Kubectl.RunAsync(["-n", "demo", "create", "service", "loadbalancer", name, "--tcp=80:8080"], cancellationToken: Token);
    }

    private async Task TellEventAsync(KubernetesClient client, string component, Service about)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var recorder = new EventRecorder(client, component, null, TimeProvider.System, NullLogger<EventRecorder>.Instance);
        var writing = recorder.RunAsync(stop.Token);
        // Twice: the second is counted up in place, which is a patch.
        recorder.Normal(about, "Tested", "told by " + component);
        recorder.Normal(about, "Tested", "told by " + component);
        for (var attempt = 0; ; attempt++)
        {
            using var events = JsonDocument.Parse(await cluster.Kubectl.RunAsync(["-n", "demo", "get", "events", "-o", "json"], cancellationToken: Token));
            var counts = events.RootElement.GetProperty("items").EnumerateArray()
                .Where(e => string.Equals(e.GetProperty("source").GetProperty("component").GetString(), component, StringComparison.Ordinal))
                .Select(e => e.GetProperty("count").GetInt32())
                .ToArray();
            if (counts is [2])
            {
                break;
            }

            Assert.True(attempt < 600, $"Events told: [{string.Join(", ", counts)}]");
            await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, Token);
        }

        await stop.CancelAsync();
        await writing.ContinueWith(static _ => { }, TaskScheduler.Default);
    }
}
