using System.Text;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>A controller against the in-memory API server.</summary>
internal sealed class ControllerLab : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private Task _running = Task.CompletedTask;
    private string _class = "";
    private ServiceReconciler? _reconciler;
    private LeaseBrokers? _brokers;

    private ControllerLab(KubeApiServer api) => Api = api;

    public KubeApiServer Api { get; }

    public static async Task<ControllerLab> StartAsync(string yaml, KubeApiServer? api = null, string loadBalancerClass = "")
    {
        var lab = new ControllerLab(api ?? await KubeApiServer.StartAsync()) { _class = loadBalancerClass };
        await lab.RunAsync(yaml);
        return lab;
    }

    /// <summary>A controller that is configured by resources in the namespace default.</summary>
    public static async Task<ControllerLab> StartWithResourcesAsync(KubeApiServer? api = null)
    {
        var lab = new ControllerLab(api ?? await KubeApiServer.StartAsync());
        await lab.RunAsync(null);
        return lab;
    }

    public Task ConfigureAsync(string yaml) => _reconciler!.ConfigureAsync(ConfigFileReader.Read(yaml).Config!);

    /// <summary>Creates a Service of type LoadBalancer; its cluster address is given by the server.</summary>
    public Task<Service> CreateAsync(string name, params (string Key, string Value)[] annotations) => Api.Client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "default", Annotations = annotations.ToDictionary(static a => a.Key, static a => a.Value) },
            Spec = new ServiceSpec { Type = "LoadBalancer", Ports = [new ServicePort { Port = 80 }] },
        },
        CancellationToken.None);

    /// <summary>Creates a Service as given, of type LoadBalancer.</summary>
    public Task<Service> CreateAsync(string name, ServiceSpec spec, params (string Key, string Value)[] annotations) => Api.Client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "default", Annotations = annotations.ToDictionary(static a => a.Key, static a => a.Value) },
            Spec = spec with { Type = "LoadBalancer" },
        },
        CancellationToken.None);

    public Task<Service> GetAsync(string name) => Api.Client.GetAsync(ResourceTypes.Services, "default", name, CancellationToken.None);

    public Task PatchAsync(string name, string patch) =>
        Api.Client.PatchAsync(ResourceTypes.Services, "default", name, PatchType.Merge, Encoding.UTF8.GetBytes(patch), null, CancellationToken.None);

    /// <summary>Waits until a Service has exactly these addresses.</summary>
    public Task<Service> HasAsync(string name, params string[] addresses) => HasAsync(Api, name, addresses);

    /// <summary>Waits until a Service has exactly these addresses.</summary>
    public static async Task<Service> HasAsync(KubeApiServer api, string name, params string[] addresses)
    {
        Service? last = null;
        await Until(
            async () => ServiceStatusWriter.AddressesOf(last = await api.Client.GetAsync(ResourceTypes.Services, "default", name, CancellationToken.None)).Select(static a => a.ToString()).SequenceEqual(addresses),
            () => $"{name} has [{string.Join(", ", ServiceStatusWriter.AddressesOf(last!))}], not [{string.Join(", ", addresses)}]");
        return last!;
    }

    /// <summary>Writes addresses into a Service's status, as somebody else might.</summary>
    public Task<Service> WriteIngressAsync(string name, string ingress) => Api.Client.PatchAsync(
        ResourceTypes.Services, "default", name, PatchType.Merge, Encoding.UTF8.GetBytes("{\"status\":{\"loadBalancer\":{\"ingress\":" + ingress + "}}}"), "status", CancellationToken.None);

    /// <summary>The Events that were written.</summary>
    public async Task<IReadOnlyList<CoreEvent>> EventsAsync() => (await Api.Client.ListAsync(ResourceTypes.Events, null, CancellationToken.None)).Items;

    /// <summary>Waits until an Event was written.</summary>
    /// <param name="reason">Its reason.</param>
    /// <param name="text">What its message says, among others.</param>
    /// <param name="type">Its type; null for either.</param>
    public Task ToldAsync(string reason, string text, string? type = null) => Until(
        async () => (await EventsAsync()).Any(e => e.Reason == reason && e.Message!.Contains(text, StringComparison.Ordinal) && (type is null || e.Type == type)),
        () => $"no Event {reason} with '{text}'");

    public static async Task Until(Func<Task<bool>> condition, Func<string> complaint)
    {
        // A minute: that long nothing takes, but the machine may have other things to do, and pauses between tries grow.
        for (int i = 0; i < 6000; i++)
        {
            if (await condition())
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        }
        Assert.Fail(complaint());
    }

    /// <summary>Stops the controller, not the API server.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _reconciler?.Dispose();
        if (_brokers is not null)
            await _brokers.DisposeAsync();
        _brokers = null;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Api.DisposeAsync();
        _stop.Dispose();
    }

    private async Task RunAsync(string? yaml)
    {
        var time = TimeProvider.System;
        var options = new ControllerOptions(new KubernetesProgramSettings("", null, null, _class, "", LogLevel.None), "default", "test", false, null)
        {
            PollInterval = TimeSpan.FromMilliseconds(50),
            OrphanGrace = TimeSpan.FromMilliseconds(200),
            RetryFailed = TimeSpan.FromMinutes(10),
        };
        var services = new Informer<Service>(Api.Client, ResourceTypes.Services, null, time, new Random(1), NullLogger.Instance) { Trim = ServiceTrimmer.Trim };
        var events = new EventRecorder(Api.Client, "metallb-controller", null, time, NullLogger<EventRecorder>.Instance);
        var namespaces = new Informer<Namespace>(Api.Client, ResourceTypes.Namespaces, null, time, new Random(2), NullLogger.Instance);
        _brokers = new LeaseBrokers(Api.Client, options, time, new Random(1), NullLogger<LeaseBrokers>.Instance);
        var decider = new AddressDecider(_brokers, name => namespaces.Get(new NamespacedName("", name))?.Metadata.Labels, events, time);
        var watcher = new ConfigFileWatcher("", time, NullLogger<ConfigFileWatcher>.Instance);
        var meters = new ServiceCollection().AddMetrics().BuildServiceProvider().GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>();
        _reconciler = new ServiceReconciler(
            options, services, namespaces, decider, _brokers, new ServiceStatusWriter(Api.Client, time), new ControllerMetrics(meters, decider, watcher), time, new Random(1),
            NullLogger<ServiceReconciler>.Instance);
        var following = Task.WhenAll(services.RunAsync(_stop.Token), namespaces.RunAsync(_stop.Token));
        await services.WaitForSyncAsync(_stop.Token);
        await namespaces.WaitForSyncAsync(_stop.Token);
        if (yaml is not null)
            await ConfigureAsync(yaml);
        else
            following = Task.WhenAll(following, FollowResources(decider));
        _running = Task.WhenAll(following, events.RunAsync(_stop.Token), _reconciler.RunAsync(_stop.Token), _brokers.PollAsync(_stop.Token));
    }

    private Task FollowResources(AddressDecider decider)
    {
        var time = TimeProvider.System;
        var nodes = new Informer<Node>(Api.Client, ResourceTypes.Nodes, null, time, new Random(3), NullLogger.Instance);
        var source = new ResourceConfigSource(Api.Client, "default", ConfigScope.Controller, nodes, time, new Random(4), NullLogger<ResourceConfigSource>.Instance);
        var state = new ConfigurationStateWriter(
            Api.Client, source, ConfigurationStateTarget.OfController("default"), time, NullLogger<ConfigurationStateWriter>.Instance);
        var status = new SourceStatusWriter(Api.Client, source, decider, _brokers!, time, NullLogger<SourceStatusWriter>.Instance);
        return Task.WhenAll(
            nodes.RunAsync(_stop.Token), source.FollowAsync(_stop.Token), source.RunAsync(_reconciler!.ConfigureAsync, _stop.Token), state.RunAsync(_stop.Token),
            status.RunAsync(_stop.Token));
    }
}
