using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>Many Services at once, against a real API server: as ratios to what the API server takes for the same writes and lists alone.</summary>
internal static class ControllerBenchmark
{
    // As many as the controller writes side by side.
    private const int Concurrency = 8;
    private const int Turns = 3;
    private const long MostMemory = 120L << 20;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    public static Benchmark Benchmark { get; } = new("controller", "1,000 and 10,000 Services at once; restart with them", NeedsRoot: false, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        bool isPublished = Programs.CommandOf("Controller").IsPublished && Programs.CommandOf("BareList").IsPublished;
        report.Tell("the programs", isPublished ? "as they ship: published, compiled ahead of time" : "not published: all of their code is compiled while they start");
        await MeasureAsync(report, 1000, cancellationToken);
        if (!report.IsShort)
            await MeasureAsync(report, 10_000, cancellationToken);
    }

    private static async Task MeasureAsync(Report report, int count, CancellationToken cancellationToken)
    {
        await using var rig = await Rig.StartAsync(count, cancellationToken);
        string size = count.ToString("N0", CultureInfo.InvariantCulture);

        // The writes alone, by the same client.
        var started = rig.Time();
        await rig.ForEachAsync(i => rig.Client.PatchAsync(
            ResourceTypes.Services, "default", Rig.NameOf(i), PatchType.Merge,
            Encoding.UTF8.GetBytes($$$$"""{"metadata":{"annotations":{"metallb.io/ip-allocated-from-pool":"lab"}},"status":{"loadBalancer":{"ingress":[{"ip":"10.50.{{{{i >> 8}}}}.{{{{i & 255}}}}"}]}}}"""),
            "status", cancellationToken));
        await rig.WaitAsync(count, cancellationToken);
        var bare = rig.Since(started);
        await rig.ForEachAsync(i => rig.Client.PatchAsync(
            ResourceTypes.Services, "default", Rig.NameOf(i), PatchType.Merge,
            Encoding.UTF8.GetBytes("""{"metadata":{"annotations":{"metallb.io/ip-allocated-from-pool":null}},"status":{"loadBalancer":{"ingress":null}}}"""), "status", cancellationToken));
        await rig.WaitAsync(0, cancellationToken);

        var empty = await rig.StartControllerAsync(cancellationToken);
        await rig.StopControllerAsync(cancellationToken);
        await rig.StartControllerAsync(cancellationToken);
        started = rig.Time();
        await rig.CreateAsync("/apis/metallb.io/v1beta1/namespaces/default/ipaddresspools", """
            {"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"lab"},"spec":{"addresses":["10.50.0.0/16"]}}
            """, cancellationToken);
        await rig.WaitAsync(count, cancellationToken);
        var pending = rig.Since(started);
        double ratio = pending / bare;
        report.Time($"{size} pending Services", $"{Report.Number(ratio)} times the bare patches ({Report.Milliseconds(pending)}, {Report.Milliseconds(bare)})", "1.5", ratio <= 1.5);
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System, cancellationToken);
        Memory("that gave the addresses");

        await rig.StopControllerAsync(cancellationToken);
        var versions = await rig.VersionsAsync(cancellationToken);
        var list = TimeSpan.MaxValue;
        for (int i = 0; i < 3; i++)
        {
            started = rig.Time();
            await rig.Client.ListAsync(ResourceTypes.Services, null, cancellationToken);
            list = rig.Since(started) < list ? rig.Since(started) : list;
        }
        // A process that lists as the controller does starts, as the controller does. In turn, and the best of each: what else the machine does comes and goes.
        TimeSpan ready = TimeSpan.MaxValue, bareProcess = TimeSpan.MaxValue;
        for (int i = 0; i < Turns; i++)
        {
            if (i > 0)
                await rig.StopControllerAsync(cancellationToken);
            var took = await rig.ListByProcessAsync(cancellationToken);
            bareProcess = took < bareProcess ? took : bareProcess;
            took = await rig.StartControllerAsync(cancellationToken);
            ready = took < ready ? took : ready;
        }
        report.Tell($"controller ready without Services of its own to give, {size}", Report.Milliseconds(empty));
        double restart = ready / bareProcess;
        report.Time(
            $"restart with {size} Services until ready", $"{Report.Number(restart)} times a process that lists them ({Report.Milliseconds(ready)}, {Report.Milliseconds(bareProcess)}; the list alone {Report.Milliseconds(list)})", "2", restart <= 2);
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System, cancellationToken);
        var after = await rig.VersionsAsync(cancellationToken);
        int written = versions.Count(version => !after.TryGetValue(version.Key, out string? now) || now != version.Value);
        report.Require($"Services written by the restart, of {size}", $"{written}", "0", written == 0);
        Memory("that restarted");

        void Memory(string which)
        {
            long resident = ProcessUsage.Of(rig.ControllerId).Resident;
            report.Time($"memory with {size} Services of a controller {which}", $"{resident >> 20} MiB", "less than 120 MiB", resident < MostMemory);
        }
    }

    /// <summary>An API server with Services that wait for an address, and a controller.</summary>
    private sealed class Rig(RealControlPlane plane, KubernetesClient client, int count) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly HashSet<NamespacedName> _assigned = [];
        private Task _following = Task.CompletedTask;
        private ChildProcess? _controller;
        private int _have;

        public KubernetesClient Client => client;

        public int ControllerId => _controller!.Id;

        public static async Task<Rig> StartAsync(int count, CancellationToken cancellationToken)
        {
            // Each Service of the type takes a node port, too.
            var plane = await RealControlPlane.StartAsync(new RealControlPlaneOptions { ApiServerArguments = ["--service-node-port-range", "2000-65000"] }, cancellationToken);
            var rig = new Rig(plane, new KubernetesClient(KubernetesClientConfiguration.Load(plane.AdminKubeconfig), TimeProvider.System), count);
            foreach (string file in Directory.GetFiles(Path.Combine(Repository.Root, "manifests", "crds")))
                await rig.CreateAsync("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", await File.ReadAllTextAsync(file, cancellationToken), cancellationToken);
            await rig.ForEachAsync(i => rig.Client.CreateAsync(
                ResourceTypes.Services,
                new Service
                {
                    Metadata = new ObjectMeta { Name = NameOf(i), Namespace = "default", Labels = new Dictionary<string, string> { ["app"] = NameOf(i) } },
                    Spec = new ServiceSpec
                    {
                        Type = "LoadBalancer",
                        Ports = [new ServicePort { Name = "http", Port = 80 }],
                        Selector = new Dictionary<string, string> { ["app"] = NameOf(i) },
                    },
                },
                cancellationToken));
            rig.Follow();
            return rig;
        }

        public static string NameOf(int i) => string.Create(CultureInfo.InvariantCulture, $"web-{i}");

        public long Time() => TimeProvider.System.GetTimestamp();

        public TimeSpan Since(long started) => TimeProvider.System.GetElapsedTime(started);

        public Task ForEachAsync(Func<int, Task> work) => Parallel.ForEachAsync(
            Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = Concurrency }, async (i, _) => await work(i));

        public async Task CreateAsync(string path, string body, CancellationToken cancellationToken)
        {
            using var response = await PostAsync();
            // A server that has just started may take longer than we wait, and have done it all the same.
            if (response.StatusCode == HttpStatusCode.Conflict)
                return;
            if (!response.IsSuccessStatusCode)
                throw new InvalidOperationException($"{path}: {await response.Content.ReadAsStringAsync(cancellationToken)}");

            async Task<HttpResponseMessage> PostAsync()
            {
                for (int attempt = 1; ; attempt++)
                {
                    using var content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue(body.TrimStart().StartsWith('{') ? "application/json" : "application/yaml"));
                    try
                    {
                        return await plane.Http.PostAsync(path, content, cancellationToken);
                    }
                    catch (OperationCanceledException) when (attempt < 5 && !cancellationToken.IsCancellationRequested)
                    {
                        // Once more.
                    }
                }
            }
        }

        public Task WaitAsync(int assigned, CancellationToken cancellationToken) => Wait.UntilAsync(
            () => Task.FromResult(Volatile.Read(ref _have) == assigned), Limit, $"{assigned} Services with an address, {_have} have one; the controller said: {_controller?.LogTail()}", cancellationToken);

        public async Task<Dictionary<string, string>> VersionsAsync(CancellationToken cancellationToken) =>
            (await client.ListAsync(ResourceTypes.Services, null, cancellationToken)).Items.ToDictionary(static service => service.Metadata.Name!, static service => service.Metadata.ResourceVersion!);

        /// <summary>Returns when it is ready: how long that took.</summary>
        public async Task<TimeSpan> StartControllerAsync(CancellationToken cancellationToken)
        {
            int port = Random.Shared.Next(20_000, 30_000);
            long started = Time();
            var (program, arguments, _) = Programs.CommandOf("Controller");
            _controller = ChildProcess.Start(
                program,
                [.. arguments, "--config", "resources", "--kubeconfig", plane.AdminKubeconfig, "--namespace", "default", "--log-level", "warn", "--listen", $"http://127.0.0.1:{port}"],
                Path.Combine(plane.Folder, "controller.log"));
            using var http = new HttpClient();
            while (true)
            {
                try
                {
                    using var response = await http.GetAsync($"http://127.0.0.1:{port}/readyz", cancellationToken);
                    if (response.IsSuccessStatusCode)
                        return Since(started);
                }
                catch (HttpRequestException)
                {
                    // Not listening yet.
                }
                if (_controller.HasExited || Since(started) > Limit)
                    throw new InvalidOperationException($"The controller is not ready: {_controller.LogTail()}");
                await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, cancellationToken);
            }
        }

        public async Task StopControllerAsync(CancellationToken cancellationToken)
        {
            _controller!.Signal("TERM");
            await _controller.WaitForExitAsync(cancellationToken);
            await _controller.DisposeAsync();
        }

        public async Task<TimeSpan> ListByProcessAsync(CancellationToken cancellationToken)
        {
            long started = Time();
            var (program, arguments, _) = Programs.CommandOf("BareList");
            await ChildProcess.OutputOfAsync(program, [.. arguments, plane.AdminKubeconfig], cancellationToken);
            return Since(started);
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_controller is not null)
                await _controller.DisposeAsync();
            client.Dispose();
            await plane.DisposeAsync();
            _stop.Dispose();
        }

        private void Follow()
        {
            var services = new Informer<Service>(client, ResourceTypes.Services, "default", TimeProvider.System, Random.Shared, NullLogger.Instance);
            services.Subscribe((old, service) =>
            {
                bool has = service?.Status.LoadBalancer.Ingress is { Count: > 0 };
                if (has ? _assigned.Add(NamespacedName.Of(service!)) : _assigned.Remove(NamespacedName.Of((service ?? old)!)))
                    Volatile.Write(ref _have, _assigned.Count);
            });
            _following = services.RunAsync(_stop.Token);
        }
    }
}
