using System.Diagnostics.Metrics;
using System.Net;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Lab;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Status;
using DynamicLb.Tests.Cluster.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>ServiceBGPStatus objects on a real API server, of the definition that is deployed.</summary>
public sealed class ServiceBgpStatusTests(ClientCluster cluster) : IClassFixture<ClientCluster>
{
    private static readonly NamespacedName Web = new("default", "web");
    private static readonly NamespacedName Api = new("default", "api");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Objects_tell_the_peers_of_each_service_follow_them_and_go_with_the_announcement_also_over_a_restart()
    {
        var kubectl = new Kubectl(cluster.Plane.AdminKubeconfig);
        string definition = Path.Combine(Repository.Root, "manifests", "crds", "servicebgpstatuses.yaml");
        await kubectl.RunAsync(["apply", "--validate=false", "-f", definition], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(cluster.Plane, Token);
        string space = await cluster.NamespaceAsync("bgp-status");
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();

        await using (var first = new Speaker(cluster, services, space, "node1"))
        await using (var other = new Speaker(cluster, services, space, "node2"))
        {
            first.Announce(["red", "green"], (Web, []), (Api, ["green"]));
            other.Announce(["red"], (Web, []));
            await WaitForAsync(space, "node1/default/api: green", "node1/default/web: green,red", "node2/default/web: red");

            // One peer less, and one Service less: the others' objects are not touched.
            first.Announce(["green"], (Web, []));
            await WaitForAsync(space, "node1/default/web: green", "node2/default/web: red");
        }

        // A speaker that comes back finds what it left, and puts it right.
        await using var again = new Speaker(cluster, services, space, "node1");
        again.Announce(["green"], (Api, []));
        await WaitForAsync(space, "node1/default/api: green", "node2/default/web: red");
        var item = (await cluster.Client.ListAsync(ConfigResourceTypes.ServiceBGPStatuses, space, Token)).Items.Single(static item => item.Status?.ServiceName == "api");
        Assert.Equal("node1", item.Metadata.Labels?["metallb.io/node"]);
        Assert.Equal(("api", "default"), (item.Metadata.Labels?["metallb.io/service-name"], item.Metadata.Labels?["metallb.io/service-namespace"]));

        again.Announce(["green"]);
        await WaitForAsync(space, "node2/default/web: red");
    }

    private async Task WaitForAsync(string space, params string[] wanted)
    {
        string seen = "";
        try
        {
            await Wait.UntilAsync(
                async () =>
                {
                    var list = await cluster.Client.ListAsync(ConfigResourceTypes.ServiceBGPStatuses, space, Token);
                    seen = string.Join('\n', list.Items.Where(static item => item.Status is not null)
                        .Select(static item => $"{item.Status!.Node}/{item.Status.ServiceNamespace}/{item.Status.ServiceName}: {string.Join(',', item.Status.Peers ?? [])}").Order(StringComparer.Ordinal));
                    return seen == string.Join('\n', wanted) && list.Items.Count == wanted.Length;
                },
                TimeSpan.FromSeconds(60), "the objects", Token);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}: {seen}", e);
        }
    }

    /// <summary>What of a speaker tells of BGP.</summary>
    private sealed class Speaker : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        private readonly BgpReports _reports;
        private readonly Task _running;

        public Speaker(ClientCluster cluster, ServiceProvider services, string space, string node)
        {
            var options = new SpeakerOptions(null!, node, new Regex("^$", RegexOptions.None, Regex.InfiniteMatchTimeout), false, TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100));
            var factory = services.GetRequiredService<IMeterFactory>();
            var metrics = new SpeakerMetrics(factory, options, new ConfigFileWatcher("none", TimeProvider.System, NullLogger<ConfigFileWatcher>.Instance));
            var peers = new BgpPeers(options, [], TimeProvider.System, Random.Shared, NullLogger<BgpPeers>.Instance);
            var events = new EventRecorder(cluster.Client, "speaker", node, TimeProvider.System, NullLogger<EventRecorder>.Instance);
            _reports = new BgpReports(options, events, metrics, factory, peers, NullLogger<BgpReports>.Instance);
            var writer = new ServiceBgpStatusWriter(cluster.Client, space, options, _reports, metrics, TimeProvider.System, NullLogger<ServiceBgpStatusWriter>.Instance);
            _running = writer.RunAsync(_stop.Token);
        }

        /// <summary>Announces Services, each to some peers, or to all when it names none.</summary>
        public void Announce(IReadOnlyList<string> peers, params (NamespacedName Service, string[] Peers)[] services) => _reports.Announced(
            services.ToDictionary(
                static entry => entry.Service,
                static entry => new BgpDecision(
                    BgpSilence.None, [IPAddress.Parse("10.0.0.1")],
                    [new BgpAdvertisement("ad", new HashSet<string> { "lab" }, [], [], 32, 128, 0, [], entry.Peers)], null)),
            peers);

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running;
            _stop.Dispose();
        }
    }
}
