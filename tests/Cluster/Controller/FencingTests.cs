using System.Collections.Concurrent;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Lab.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Controller;

/// <summary>Two controllers, of which the leading one is stopped in the midst of its work and wakes up when the other has long taken over.</summary>
public sealed class FencingTests : IAsyncLifetime
{
    private const int Addresses = 64;
    private const int Waiting = 100;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<string, NamespacedName> _holders = [];
    private readonly Dictionary<NamespacedName, string> _has = [];
    private readonly ConcurrentQueue<string> _clashes = new();
    private readonly List<ChildProcess> _controllers = [];
    private RealControlPlane _plane = null!;
    private KubernetesClient _client = null!;
    private Informer<Service> _services = null!;
    private Task _following = Task.CompletedTask;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _plane = await RealControlPlane.StartAsync(cancellationToken: Token);
        _client = new KubernetesClient(KubernetesClientConfiguration.Load(_plane.AdminKubeconfig), TimeProvider.System);
        _services = new Informer<Service>(_client, ResourceTypes.Services, "default", TimeProvider.System, new Random(1), NullLogger.Instance);
        _services.Subscribe(Note);
        _following = _services.RunAsync(_stop.Token);
        await File.WriteAllTextAsync(ConfigFile, $"address-pools: [{{name: lab, protocol: layer2, addresses: [10.60.0.1-10.60.0.{Addresses}]}}]\n", Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (var controller in _controllers)
            await controller.DisposeAsync();
        _client.Dispose();
        await _plane.DisposeAsync();
        _stop.Dispose();
    }

    private string ConfigFile => Path.Combine(_plane.Folder, "config");

    [Fact]
    public async Task A_leader_that_was_paused_in_the_midst_of_its_work_gives_no_address_a_second_time()
    {
        Start(0);
        await Wait.UntilAsync(() => Task.FromResult(Leads(0)), s_limit, "the first controller to lead", Token);
        Start(1);
        int next = 0;
        for (int round = 0; round < 2; round++)
        {
            // Each round another one leads, and is stopped when some have their addresses and others are on their way.
            var (old, other) = (round % 2, 1 - (round % 2));
            int before = _has.Count;
            var creating = Parallel.ForEachAsync(Enumerable.Range(next, Waiting), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Token }, async (i, token) => await CreateAsync($"s{i}", token));
            next += Waiting;
            await Wait.UntilAsync(() => Task.FromResult(Count() > before + 5), s_limit, "the first addresses", Token);
            _controllers[old].Signal("STOP");
            await creating;
            // What waits gets the addresses of those that go, by the one that takes over.
            await Wait.UntilAsync(() => Task.FromResult(Leads(other)), s_limit, "the other controller to lead", Token);
            await Wait.UntilAsync(() => Task.FromResult(Count() == Addresses), s_limit, $"all {Addresses} addresses to be given; {Count()} are; it said: {_controllers[other].LogTail()}", Token);
            string[] gone;
            lock (_has)
                gone = [.. _has.Keys.Take(20).Select(static name => name.Name)];
            foreach (string name in gone)
                await _client.DeleteAsync(ResourceTypes.Services, "default", name, Token);
            await Wait.UntilAsync(() => Task.FromResult(Count() == Addresses && !gone.Any(Has)), s_limit, "the addresses to be given again", Token);

            _controllers[old].Signal("CONT");
            await Wait.UntilAsync(() => Task.FromResult(Stopped(old)), s_limit, "the paused controller to notice", Token);
            await CreateAsync($"after{round}", Token);
            Assert.Empty(_clashes);
            // Room for the next round.
            lock (_has)
                gone = [.. _has.Keys.Take(40).Select(static name => name.Name)];
            foreach (var service in (await _client.ListAsync(ResourceTypes.Services, "default", Token)).Items.Where(service => service.Spec.Type == "LoadBalancer"
                && (service.Status.LoadBalancer.Ingress is null || gone.Contains(service.Metadata.Name))))
                await _client.DeleteAsync(ResourceTypes.Services, "default", service.Metadata.Name!, Token);
            await Wait.UntilAsync(() => Task.FromResult(Count() <= Addresses - 40), s_limit, "the deleted Services to be gone", Token);
        }
        Assert.Empty(_clashes);
        var services = await AssignedAsync();
        Assert.Equal(services.Count, services.Select(static service => service.Status.LoadBalancer.Ingress![0].Ip).Distinct().Count());
        // One that had its address already when it was fenced is looked at afterwards.
        await Wait.UntilAsync(
            async () => (await AssignedAsync()).TrueForAll(static service => service.Metadata.Annotation(Annotations.Fence) is null), s_limit, "the fences to be taken away", Token);

        async Task<List<Service>> AssignedAsync() => [.. (await _client.ListAsync(ResourceTypes.Services, "default", Token)).Items.Where(static service => service.Status.LoadBalancer.Ingress is { Count: > 0 })];
    }

    private Task<Service> CreateAsync(string name, CancellationToken cancellationToken) => _client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "default" },
            Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Name = "http", Port = 80 }] },
        },
        cancellationToken);

    private void Start(int number) => _controllers.Add(ChildProcess.Start(
        "dotnet",
        [Programs.PathOf("Controller"), "--config", ConfigFile, "--kubeconfig", _plane.AdminKubeconfig, "--namespace", "default", "--listen", "http://127.0.0.1:0"],
        Path.Combine(_plane.Folder, $"controller{number}.log")));

    // The second text contains the first.
    private bool Leads(int number) => Said(number, " leads") > 2 * Said(number, "no longer leads");

    private bool Stopped(int number) => Said(number, " leads") == 2 * Said(number, "no longer leads");

    private int Said(int number, string text) =>
        _controllers[number].LogTail(int.MaxValue).Split('\n').Count(line => line.Contains(text, StringComparison.Ordinal));

    private int Count()
    {
        lock (_has)
            return _has.Count;
    }

    private bool Has(string name)
    {
        lock (_has)
            return _has.ContainsKey(new NamespacedName("default", name));
    }

    /// <summary>Every change in its order: whoever has an address that another still has is told on.</summary>
    private void Note(Service? old, Service? service)
    {
        var name = NamespacedName.Of((service ?? old)!);
        string? address = service?.Status.LoadBalancer.Ingress is [{ Ip: { } ip }, ..] ? ip : null;
        lock (_has)
        {
            if (_has.Remove(name, out string? before) && _holders.TryGetValue(before, out var holder) && holder == name)
                _holders.Remove(before);
            if (address is null)
                return;
            if (_holders.TryGetValue(address, out var other))
                _clashes.Enqueue($"{name} and {other} have {address}");
            _has[name] = address;
            _holders[address] = name;
        }
    }
}
