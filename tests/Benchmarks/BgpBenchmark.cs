using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Bgp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>The speaker beside GoBGP, in turn, as announcers of the same routes from the same host to the same FRR.</summary>
internal static class BgpBenchmark
{
    private const int Peers = 100;
    private const int Rounds = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    public static Benchmark Benchmark { get; } = new("bgp", "routes to a router by BGP, beside GoBGP: 1,000, 10,000, an attribute of all of them, 100 sessions", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await MeasureAsync(report, 1000, 1, cancellationToken);
        if (!report.IsShort)
            await MeasureAsync(report, 10_000, 1, cancellationToken);
        await MeasureAsync(report, report.IsShort ? 100 : 1000, Peers, cancellationToken);
    }

    private static async Task MeasureAsync(Report report, int routes, int peers, CancellationToken cancellationToken)
    {
        await using var rig = await Rig.StartAsync(routes, peers, cancellationToken);
        var (ours, theirs) = (new List<Run>(), new List<Run>());
        for (int round = 0; round < (report.IsShort ? 1 : Rounds); round++)
        {
            ours.Add(await rig.SpeakerAsync(cancellationToken));
            theirs.Add(await rig.GoBgpAsync(cancellationToken));
        }
        string size = peers == 1 ? $"{routes.ToString("N0", CultureInfo.InvariantCulture)} routes" : $"{routes.ToString("N0", CultureInfo.InvariantCulture)} routes to each of {peers} peers";
        Tell("from start until the router has them", static run => run.Announced.TotalSeconds, "s");
        Tell("processor time of that", static run => run.Usage.Processor.TotalSeconds, "s");
        Tell("memory then", static run => run.Usage.Resident / 1048576.0, "MiB");
        Tell("memory at rest", static run => run.Rest / 1048576.0, "MiB");
        report.Tell(
            $"{size}: of the start, the thread that waited longest for a processor",
            $"{Report.Number(Median(ours.Select(static run => run.Usage.Waited.TotalSeconds)))} s, GoBGP's {Report.Number(Median(theirs.Select(static run => run.Usage.Waited.TotalSeconds)))} s");
        Tell("another attribute on all, until the router has it", static run => run.Changed.TotalSeconds, "s");
        Tell("processor time of that", static run => run.ChangeProcessor.TotalSeconds, "s");

        void Tell(string what, Func<Run, double> value, string unit)
        {
            double left = Median(ours.Select(value)), right = Median(theirs.Select(value));
            double ratio = left / right;
            report.Time($"{size}: {what}", $"{Report.Number(ratio)} of GoBGP's ({Report.Number(left)} {unit}, {Report.Number(right)} {unit})", "less than 1", ratio < 1);
        }
    }

    private static double Median(IEnumerable<double> values)
    {
        var ordered = values.Order().ToArray();
        return ordered[ordered.Length / 2];
    }

    /// <summary>What one announcer took.</summary>
    private sealed record Run(TimeSpan Announced, ProcessUsage Usage, long Rest, TimeSpan Changed, TimeSpan ChangeProcessor);

    /// <summary>A router, and a host where the announcers run one after the other.</summary>
    private sealed class Rig(LabNetwork network, int routes, int peers) : IAsyncDisposable
    {
        private const string Api = "http://10.88.0.2:6443";
        private const string Resources = "apis/metallb.io";
        private FrrRouter _frr = null!;
        private HttpClient _http = null!;

        private LabHost Node => network["node1"];

        // Each session needs an address at both ends: the router tells its neighbours apart by theirs.
        private IEnumerable<(string Router, string Node)> Ends => Enumerable.Range(0, peers).Select(static i => ($"10.20.1.{i + 1}", $"10.20.2.{i + 1}"));

        public static async Task<Rig> StartAsync(int routes, int peers, CancellationToken cancellationToken)
        {
            var rig = new Rig(await LabNetwork.CreateAsync(cancellationToken), routes, peers);
            try
            {
                await rig.StartAsync(cancellationToken);
                return rig;
            }
            catch
            {
                await rig.DisposeAsync();
                throw;
            }
        }

        /// <summary>The speaker as it ships, with a Service for each route.</summary>
        public async Task<Run> SpeakerAsync(CancellationToken cancellationToken)
        {
            await SetCommunityAsync(1, cancellationToken);
            var (program, arguments, _) = Programs.CommandOf("Speaker");
            long start = Stopwatch.GetTimestamp();
            await using var speaker = network.Start(
                Node, "speaker", program,
                [
                    .. arguments, "--config", "resources", "--kubeconfig", Path.Combine(network.Folder, "kubeconfig"), "--namespace", "default", "--node-name", "node1",
                    "--log-level", "warn", "--exclude-interfaces", "^.*$",
                ]);
            return await MeasureAsync(speaker, start, () => SetCommunityAsync(2, cancellationToken), cancellationToken);
        }

        /// <summary>GoBGP, whose routes come in as fast as it takes them.</summary>
        public async Task<Run> GoBgpAsync(CancellationToken cancellationToken)
        {
            long start = Stopwatch.GetTimestamp();
            await using var gobgp = (await GoBgpRouter.StartAsync(network, Node, GoBgpConfiguration(), cancellationToken, "warn")).Process;
            using var client = new GoBgpClient(Node);
            await AddAsync(1);
            return await MeasureAsync(gobgp, start, () => AddAsync(2), cancellationToken);

            Task AddAsync(uint community) => client.AddAsync(Enumerable.Range(0, routes).Select(AddressOf), "10.20.0.11", (64513u << 16) | community, cancellationToken);
        }

        public ValueTask DisposeAsync()
        {
            _http?.Dispose();
            return network.DisposeAsync();
        }

        private async Task StartAsync(CancellationToken cancellationToken)
        {
            var router = await network.AddHostAsync("router", 1, cancellationToken);
            await network.AddHostAsync("node1", 11, cancellationToken);
            var kube = await network.AddHostAsync("kube", 2, cancellationToken);
            foreach (var (host, net) in new[] { (router, 1), (Node, 2) })
            {
                for (int i = 1; i <= peers; i++)
                    await host.Namespace.IpAsync($"address add 10.20.{net}.{i}/16 dev eth0", cancellationToken);
            }
            var neighbors = Ends.Select(static ends => $"""
                 neighbor {ends.Node} remote-as 64513
                 neighbor {ends.Node} update-source {ends.Router}
                 neighbor {ends.Node} timers connect 1
                """);
            _frr = await FrrRouter.StartAsync(network, router, $"""
                router bgp 64512
                 bgp router-id 10.20.0.1
                 no bgp ebgp-requires-policy
                {string.Join('\n', neighbors)}
                 address-family ipv4 unicast
                  maximum-paths 1
                """, cancellationToken);
            await StartKubernetesAsync(kube, cancellationToken);
        }

        private async Task StartKubernetesAsync(LabHost kube, CancellationToken cancellationToken)
        {
            network.StartOurs(kube, "kube-api", "KubeApi", "--listen", Api, "--kubeconfig-out", Path.Combine(network.Folder, "kubeconfig"));
            _http = kube.CreateHttpClient(new Uri(Api));
            await Wait.UntilAsync(
                async () =>
                {
                    try
                    {
                        using var answer = await _http.GetAsync("api/v1/nodes", cancellationToken);
                        return answer.IsSuccessStatusCode;
                    }
                    catch (HttpRequestException)
                    {
                        return false;
                    }
                },
                Limit, "the Kubernetes API", cancellationToken);
            await PostAsync("api/v1/nodes", """{"apiVersion":"v1","kind":"Node","metadata":{"name":"node1"}}""");
            await PostAsync($"{Resources}/v1beta1/namespaces/default/ipaddresspools", """
                {"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"lab","namespace":"default"},"spec":{"addresses":["10.64.0.0/16"]}}
                """);
            await PostAsync($"{Resources}/v1beta1/namespaces/default/bgpadvertisements", """
                {"apiVersion":"metallb.io/v1beta1","kind":"BGPAdvertisement","metadata":{"name":"all","namespace":"default"},"spec":{}}
                """);
            foreach (var (ends, i) in Ends.Select(static (ends, i) => (ends, i)))
            {
                await PostAsync($"{Resources}/v1beta2/namespaces/default/bgppeers", $$"""
                    {"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"peer{{i}}","namespace":"default"},
                     "spec":{"myASN":64513,"peerASN":64512,"peerAddress":"{{ends.Router}}","sourceAddress":"{{ends.Node}}","connectTime":"1s"} }
                    """);
            }
            await Parallel.ForEachAsync(Enumerable.Range(0, routes), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = cancellationToken }, async (i, _) =>
            {
                await PostAsync("apis/discovery.k8s.io/v1/namespaces/default/endpointslices", $$"""
                    {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"s{{i}}-1","labels":{"kubernetes.io/service-name":"s{{i}}"} },
                     "addressType":"IPv4","ports":[],"endpoints":[{"addresses":["10.88.0.11"],"conditions":{"ready":true},"nodeName":"node1"}]}
                    """);
                await PostAsync("api/v1/namespaces/default/services", $$"""
                    {"apiVersion":"v1","kind":"Service","metadata":{"name":"s{{i}}","annotations":{"metallb.io/ip-allocated-from-pool":"lab"} },
                     "spec":{"type":"LoadBalancer","ports":[{"port":80}]},"status":{"loadBalancer":{"ingress":[{"ip":"{{AddressOf(i)}}"}] } } }
                    """);
                using var status = new StringContent($$"""{"status":{"loadBalancer":{"ingress":[{"ip":"{{AddressOf(i)}}"}] } } }""", System.Text.Encoding.UTF8, "application/merge-patch+json");
                using var patched = await _http.PatchAsync($"api/v1/namespaces/default/services/s{i}/status", status, cancellationToken);
                patched.EnsureSuccessStatusCode();
            });

            async Task PostAsync(string path, string json)
            {
                using var content = new StringContent(json, System.Text.Encoding.UTF8, "application/json");
                using var answer = await _http.PostAsync(path, content, cancellationToken);
                answer.EnsureSuccessStatusCode();
            }
        }

        private async Task<Run> MeasureAsync(ChildProcess announcer, long start, Func<Task> change, CancellationToken cancellationToken)
        {
            await Wait.UntilAsync(async () => await PrefixesAsync(cancellationToken) == peers * routes, Limit, $"{routes} routes of {peers} sessions", cancellationToken);
            var announced = Stopwatch.GetElapsedTime(start);
            await WaitForCommunityAsync(1, cancellationToken);
            var usage = ProcessUsage.Of(announcer.Id);
            // What is still being done for the start is not counted for the change.
            await SettleAsync(announcer, cancellationToken);
            var before = ProcessUsage.Of(announcer.Id);
            start = Stopwatch.GetTimestamp();
            await change();
            await WaitForCommunityAsync(2, cancellationToken);
            var changed = Stopwatch.GetElapsedTime(start);
            var processor = ProcessUsage.Of(announcer.Id).Processor - before.Processor;
            announcer.Signal("KILL");
            await announcer.WaitForExitAsync(cancellationToken);
            await Wait.UntilAsync(async () => await PrefixesAsync(cancellationToken) == 0, Limit, "the end of the sessions", cancellationToken);
            return new Run(announced, usage, before.Resident, changed, processor);
        }

        private static async Task SettleAsync(ChildProcess process, CancellationToken cancellationToken)
        {
            var quiet = TimeSpan.FromMilliseconds(20);
            for (var last = ProcessUsage.Of(process.Id).Processor; ;)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, cancellationToken);
                var now = ProcessUsage.Of(process.Id).Processor;
                if (now - last <= quiet)
                    return;
                last = now;
            }
        }

        private async Task<int> PrefixesAsync(CancellationToken cancellationToken)
        {
            using var summary = JsonDocument.Parse(await _frr.ShowAsync("show bgp ipv4 unicast summary json", cancellationToken));
            return summary.RootElement.TryGetProperty("peers", out var all) ? all.EnumerateObject().Sum(static peer => peer.Value.GetProperty("pfxRcd").GetInt32()) : 0;
        }

        /// <summary>Waits until all routes of all sessions have the community.</summary>
        private async Task WaitForCommunityAsync(int community, CancellationToken cancellationToken)
        {
            foreach (int i in (int[])[0, routes / 2, routes - 1])
                await Wait.UntilAsync(async () => await CountAsync($"show bgp ipv4 unicast {AddressOf(i)}/32 json", $"64513:{community}", cancellationToken) >= peers, Limit, $"the community {community}", cancellationToken);
            if (peers == 1)
                await Wait.UntilAsync(async () => await CountAsync($"show bgp ipv4 unicast community 64513:{community} json", "\"prefix\":", cancellationToken) >= routes, Limit, $"the community {community} on all", cancellationToken);
        }

        private async Task<int> CountAsync(string command, string text, CancellationToken cancellationToken)
        {
            string output = await _frr.ShowAsync(command, cancellationToken);
            int count = 0;
            // An attribute is shown as a text, and as a list: the text alone is counted.
            for (int at = output.IndexOf(text, StringComparison.Ordinal); at >= 0; at = output.IndexOf(text, at + 1, StringComparison.Ordinal))
                count++;
            return text.StartsWith('"') ? count : count / 2;
        }

        private async Task SetCommunityAsync(int community, CancellationToken cancellationToken)
        {
            using var content = new StringContent($$"""{"spec":{"communities":["64513:{{community}}"]} }""", System.Text.Encoding.UTF8, "application/merge-patch+json");
            using var answer = await _http.PatchAsync($"{Resources}/v1beta1/namespaces/default/bgpadvertisements/all", content, cancellationToken);
            answer.EnsureSuccessStatusCode();
        }

        private string GoBgpConfiguration()
        {
            var neighbors = Ends.Select(static ends => $"""
                [[neighbors]]
                  [neighbors.config]
                    neighbor-address = "{ends.Router}"
                    peer-as = 64512
                  [neighbors.timers.config]
                    connect-retry = 1
                    idle-hold-time-after-reset = 1
                  [neighbors.transport.config]
                    local-address = "{ends.Node}"
                """);
            return $"""
                [global.config]
                  as = 64513
                  router-id = "10.20.0.11"
                {string.Join('\n', neighbors)}
                """;
        }

        private static string AddressOf(int i) => new IPAddress([10, 64, (byte)(i >> 8), (byte)i]).ToString();
    }
}
