using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>
/// The real controller against the real kube-apiserver, with many Services. Times are compared to what the API server takes for the same in the same minute; the bounds leave room for a
/// machine that does other things, and of several rounds the first within them counts: a machine that stands still for seconds shows in one. What is meant to be reached, and is, tells <c>./bench.sh controller</c>.
/// </summary>
[Collection(Alone.Name)]
public class ThousandServicesTests
{
    private const int Count = 1000;

    // As many as the controller writes side by side.
    private const int Concurrency = 8;
    private const double MostOfBarePatches = 3;
    private const double MostOfBareList = 6;
    private const int Rounds = 3;
    private const long MostMemory = 120L << 20;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);
    private readonly Lock _lock = new();
    private readonly HashSet<NamespacedName> _assigned = [];
    private long _firstAt;
    private long _lastAt;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_thousand_pending_Services_get_an_address_each_and_a_restart_writes_nothing()
    {
        await using var cluster = await RealControlPlane.StartAsync(cancellationToken: Token);
        string config = Path.Combine(cluster.Folder, "config.yaml");
        await File.WriteAllTextAsync(config, "address-pools: [{name: static, protocol: layer2, addresses: [10.20.0.0/16]}]\n", Token);
        using var client = new KubernetesClient(KubernetesClientConfiguration.Load(cluster.AdminKubeconfig), TimeProvider.System);
        await ForEachAsync(number => client.CreateAsync(ResourceTypes.Services, NewService(number), Token));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var following = Follow(client, stop.Token);

        for (int round = 1; ; round++)
        {
            // The same writes alone, by the same client.
            await ForEachAsync(number => PatchAsync(
                client, number,
                $$$$"""{"metadata":{"annotations":{"metallb.io/ip-allocated-from-pool":"static"}},"status":{"loadBalancer":{"ingress":[{"ip":"10.50.{{{{number >> 8}}}}.{{{{number & 255}}}}"}]}}}"""));
            await AssignedAsync(Count, null);
            var bare = Between();
            await ClearAsync(client);

            await using var controller = Start(cluster, config, out string health);
            await AssignedAsync(Count, controller);
            var given = Between();
            await ReadyAsync(health, controller);
            controller.Signal("TERM");
            await controller.WaitForExitAsync(Token);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"MEASURED {Count} pending Services: {given.TotalSeconds:F1} s, the same patches alone {bare.TotalSeconds:F1} s"));
            if (given <= MostOfBarePatches * bare)
                break;
            Assert.True(round < Rounds, $"{given} is more than {MostOfBarePatches} times the bare patches, {bare}");
            await ClearAsync(client);
        }
        int events = (await client.ListAsync(ResourceTypes.Events, null, Token)).Items.Count;
        var services = (await client.ListAsync(ResourceTypes.Services, "default", Token)).Items;
        var addresses = services.SelectMany(static service => service.Status.LoadBalancer.Ingress ?? []).Select(static entry => entry.Ip!).ToHashSet();
        Assert.Equal(Count, addresses.Count);
        Assert.All(addresses, static address => Assert.StartsWith("10.20.", address, StringComparison.Ordinal));

        var versions = services.ToDictionary(static service => service.Metadata.Name!, static service => service.Metadata.ResourceVersion!);
        for (int round = 1; ; round++)
        {
            long started = Stopwatch.GetTimestamp();
            await ChildProcess.OutputOfAsync("dotnet", [Programs.PathOf("BareList"), cluster.AdminKubeconfig], Token);
            var list = Stopwatch.GetElapsedTime(started);
            started = Stopwatch.GetTimestamp();
            await using var controller = Start(cluster, config, out string health);
            await ReadyAsync(health, controller);
            var ready = Stopwatch.GetElapsedTime(started);
            if (ready > MostOfBareList * list)
            {
                Assert.True(round < Rounds, $"{ready} is more than {MostOfBareList} times a process that lists the Services, {list}");
                controller.Signal("TERM");
                await controller.WaitForExitAsync(Token);
                continue;
            }
            // Whatever it would have written is there before what is asked for now.
            await client.CreateAsync(ResourceTypes.Services, NewService(Count), Token);
            await AssignedAsync(Count + 1, controller);
            long resident = ResidentOf(controller.Id);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"MEASURED restart with {Count} Services: ready after {ready.TotalSeconds:F1} s, a process that lists them {list.TotalSeconds:F1} s; {resident >> 20} MiB"));
            Assert.True(resident < MostMemory, $"{resident >> 20} MiB");
            break;
        }
        var after = (await client.ListAsync(ResourceTypes.Services, "default", Token)).Items.ToDictionary(static service => service.Metadata.Name!, static service => service.Metadata.ResourceVersion!);
        Assert.Equal([], versions.Where(version => after[version.Key] != version.Value).Select(static version => version.Key));
        // One for the Service that is new.
        Assert.InRange((await client.ListAsync(ResourceTypes.Events, null, Token)).Items.Count, events, events + 1);
        await stop.CancelAsync();
        await following;
    }

    private static Task ForEachAsync(Func<int, Task> work) => Parallel.ForEachAsync(
        Enumerable.Range(0, Count), new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = Token }, async (number, _) => await work(number));

    private async Task ClearAsync(KubernetesClient client)
    {
        await ForEachAsync(number => PatchAsync(client, number, """{"metadata":{"annotations":{"metallb.io/ip-allocated-from-pool":null}},"status":{"loadBalancer":{"ingress":null}}}"""));
        await AssignedAsync(0, null);
        lock (_lock)
            _firstAt = 0;
    }

    private static async Task PatchAsync(KubernetesClient client, int number, string patch) => await client.PatchAsync(
        ResourceTypes.Services, "default", $"web-{number}", PatchType.Merge, Encoding.UTF8.GetBytes(patch), "status", Token);

    private static ChildProcess Start(RealControlPlane cluster, string config, out string health)
    {
        string listen = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{LoopbackPorts.Take()}");
        health = $"{listen}/readyz";
        return ChildProcess.Start(
            "dotnet", [Programs.PathOf("Controller"), "--config", config, "--kubeconfig", cluster.AdminKubeconfig, "--namespace", "default", "--listen", listen],
            Path.Combine(cluster.Folder, "controller.log"));
    }

    private static async Task ReadyAsync(string health, ChildProcess controller)
    {
        using var http = new HttpClient();
        await Wait.UntilAsync(
            async () =>
            {
                try
                {
                    using var answer = await http.GetAsync(health, Token);
                    return answer.StatusCode == HttpStatusCode.OK;
                }
                catch (HttpRequestException)
                {
                    return false;
                }
            },
            s_limit, $"the controller to be ready; it said: {controller.LogTail()}", Token);
    }

    private static long ResidentOf(int process) => 1024 * long.Parse(
        File.ReadLines($"/proc/{process}/status").First(static line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture);

    private static Service NewService(int number) => new()
    {
        Metadata = new ObjectMeta { Name = $"web-{number}", Namespace = "default" },
        Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Name = "http", Port = 80 }] },
    };

    /// <summary>Between the first address that was seen and the last.</summary>
    private TimeSpan Between()
    {
        lock (_lock)
            return Stopwatch.GetElapsedTime(_firstAt, _lastAt);
    }

    private Task Follow(KubernetesClient client, CancellationToken cancellationToken)
    {
        var services = new Informer<Service>(client, ResourceTypes.Services, "default", TimeProvider.System, Random.Shared, NullLogger.Instance);
        services.Subscribe((old, service) =>
        {
            lock (_lock)
            {
                if (service?.Status.LoadBalancer.Ingress is not { Count: > 0 })
                {
                    _assigned.Remove(NamespacedName.Of((service ?? old)!));
                    return;
                }
                _lastAt = Stopwatch.GetTimestamp();
                _firstAt = _firstAt == 0 ? _lastAt : _firstAt;
                _assigned.Add(NamespacedName.Of(service));
            }
        });
        return services.RunAsync(cancellationToken);
    }

    private Task AssignedAsync(int count, ChildProcess? controller) => Wait.UntilAsync(
        () =>
        {
            lock (_lock)
                return Task.FromResult(_assigned.Count == count);
        },
        s_limit, $"{count} Services with an address; the controller said: {controller?.LogTail()}", Token);
}
