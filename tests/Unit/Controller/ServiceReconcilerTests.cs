using System.Collections.Concurrent;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Speaker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>The reconciler where the order of things matters: its copy of the Services is set by hand.</summary>
public sealed class ServiceReconcilerTests : IAsyncLifetime
{
    private const string One = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1/32]}]";
    private const string V4 = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]";
    private const string Dual = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/120']}]";

    private static readonly ControllerOptions s_options =
        new(new KubernetesProgramSettings("", null, null, "", "", LogLevel.None), "default", "test", false, null) { RetryFailed = TimeSpan.FromHours(1) };

    private readonly CancellationTokenSource _stop = new();
    private readonly ServiceProvider _provider = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly FakeInformer<Service> _services = new();
    private readonly Events _events = new();
    private KubeApiServer _api = null!;
    private LeaseBrokers _brokers = null!;
    private AddressDecider _decider = null!;
    private ServiceReconciler _reconciler = null!;
    private Task _running = Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        var time = TimeProvider.System;
        _api = await KubeApiServer.StartAsync();
        _brokers = new LeaseBrokers(_api.Client, s_options, time, new Random(1), NullLogger<LeaseBrokers>.Instance);
        _decider = new AddressDecider(_brokers, static _ => null, _events, time);
        _reconciler = Reconciler(_services);
        _running = _reconciler.RunAsync(_stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _reconciler.Dispose();
        await _brokers.DisposeAsync();
        await _api.DisposeAsync();
        await _provider.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task What_was_written_is_not_decided_on_by_the_copy_of_before()
    {
        _services.Set(await CreateAsync("web", "PreferDualStack"));
        await ConfigureAsync(V4);
        _services.Set(await HasAsync("web", "10.0.0.0"));
        await ConfigureAsync(Dual);
        var both = await HasAsync("web", "10.0.0.0", "fd00::");

        // The watch is slow: our copy has one address still.
        long before = _reconciler.Reconciled;
        await ConfigureAsync(V4);
        await ControllerLab.Until(() => Task.FromResult(_reconciler.Reconciled > before), () => "it is not looked at");
        _services.Set(both);

        await HasAsync("web", "10.0.0.0");
        Assert.Equal(
            ["AdditionalAssignFailed", "IPAllocated", "ClearAssignment", "AdditionalAssignFailed"], _events.Told.Select(static told => told.Reason));
    }

    [Fact]
    public async Task What_becomes_free_while_a_Service_is_refused_is_not_missed()
    {
        _services.Set(await CreateAsync("second", "SingleStack"));
        _decider.Configure(ConfigFileReader.Read(One).Config!, []);
        var first = await CreateAsync("first", "SingleStack");
        Assert.Single(_decider.Decide(first).Addresses);
        _events.Telling = reason =>
        {
            if (reason == "AllocationFailed")
                _decider.Forget(NamespacedName.Of(first));
        };

        await ConfigureAsync(One);

        await HasAsync("second", "10.0.0.1");
    }

    [Fact]
    public async Task A_lease_is_not_ownerless_before_every_Service_was_looked_at()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Add("default/web", "10.20.0.50");
        bool knowsAll = false;
        var options = s_options with { PollInterval = TimeSpan.FromMilliseconds(20), OrphanGrace = TimeSpan.Zero };
        await using var brokers = new LeaseBrokers(_api.Client, options, TimeProvider.System, new Random(1), NullLogger<LeaseBrokers>.Instance) { KnowsAllServices = () => Volatile.Read(ref knowsAll) };
        await brokers.ConfigureAsync(ConfigFileReader.Read($"address-services: [{{name: dhcp, protocol: layer2, url: '{dhcp.Url}'}}]").Config!);
        var polling = brokers.PollAsync(_stop.Token);

        // With the third look, what followed from the second is done.
        await ControllerLab.Until(() => Task.FromResult(dhcp.Looks >= 3), () => "it is not looked at");
        await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, TestContext.Current.CancellationToken);
        Assert.Empty(dhcp.GivenBack);
        Volatile.Write(ref knowsAll, true);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.IsEmpty), () => "the lease is still there");

        await _stop.CancelAsync();
        await polling;
    }

    [Fact]
    public async Task What_an_address_service_said_before_it_gave_a_lease_does_not_take_that_away()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await _brokers.ConfigureAsync(ConfigFileReader.Read($"address-services: [{{name: dhcp, protocol: layer2, url: '{dhcp.Url}'}}]").Config!);
        var broker = _brokers.Find("dhcp")!;
        var web = new LeaseId(new NamespacedName("default", "web"), System.Net.Sockets.AddressFamily.InterNetwork);
        long asOf = broker.Answers;
        broker.Want(web, "uid", null);
        await ControllerLab.Until(() => Task.FromResult(broker.Want(web, "uid", null).Phase == LeasePhase.Leased), () => "no lease");
        dhcp.Refusal = "NAK";
        var searching = new DynamicLb.Contracts.AddressServices.StatusAnswer(
            "success", [dhcp.Leases["default/web"] with { Ip = "", State = "selecting" }], [], new Dictionary<string, long>());

        Assert.Empty(broker.Observe(searching, asOf));
        Assert.Equal(LeasePhase.Leased, broker.Want(web, "uid", null).Phase);
        Assert.Empty(broker.Observe(searching, broker.Answers));
        Assert.Equal(LeasePhase.Lost, broker.Want(web, "uid", null).Phase);
    }

    [Fact]
    public async Task The_controller_becomes_ready_although_a_Service_goes_while_the_first_configuration_is_taken_up()
    {
        var services = new GoingInformer();
        using var reconciler = Reconciler(services);
        var running = reconciler.RunAsync(_stop.Token);

        await reconciler.ConfigureAsync(ConfigFileReader.Read(V4).Config!);

        Assert.True(services.HasGone);
        await ControllerLab.Until(() => Task.FromResult(reconciler.HasPassed), static () => "It waits for a Service that is no more.");
        await _stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task An_address_that_becomes_free_while_another_Service_is_decided_on_goes_to_that_one()
    {
        const string Address = "10.0.0.1";
        await using var lab = await ControllerLab.StartAsync($"address-pools: [{{name: lab, protocol: layer2, addresses: [{Address}/32]}}]");
        await lab.CreateAsync("s0");
        await lab.HasAsync("s0", Address);
        for (int i = 1; i <= 20; i++)
        {
            // Both at once: whether the one is decided on before the other has gone is chance.
            await Task.WhenAll(lab.CreateAsync($"s{i}"), lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", $"s{i - 1}", CancellationToken.None));
            await lab.HasAsync($"s{i}", Address);
        }
    }

    private Task ConfigureAsync(string yaml) => _reconciler.ConfigureAsync(ConfigFileReader.Read(yaml).Config!);

    private Task<Service> CreateAsync(string name, string policy) => _api.Client.CreateAsync(
        ResourceTypes.Services,
        new Service
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "default" },
            Spec = new ServiceSpec
            {
                Type = "LoadBalancer",
                ClusterIP = "10.96.0.200",
                ClusterIPs = policy == "SingleStack" ? ["10.96.0.200"] : ["10.96.0.200", "fd96::200"],
                IpFamilyPolicy = policy,
                IpFamilies = policy == "SingleStack" ? ["IPv4"] : ["IPv4", "IPv6"],
                Ports = [new ServicePort { Port = 80 }],
            },
        },
        CancellationToken.None);

    private Task<Service> HasAsync(string name, params string[] addresses) => ControllerLab.HasAsync(_api, name, addresses);

    private ServiceReconciler Reconciler(IInformer<Service> services)
    {
        var time = TimeProvider.System;
        var metrics = new ControllerMetrics(
            _provider.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>(), _decider, new ConfigFileWatcher("", time, NullLogger<ConfigFileWatcher>.Instance));
        return new ServiceReconciler(
            s_options, services, new FakeInformer<Namespace>(), _decider, _brokers, new ServiceStatusWriter(_api.Client, time), metrics, time, new Random(1), NullLogger<ServiceReconciler>.Instance);
    }

    /// <summary>A copy from which a Service goes after it was read for the second time: when it was noted, and before it was looked at. Nobody is told, as of what happens before a subscriber listens.</summary>
    private sealed class GoingInformer : IInformer<Service>
    {
        private readonly Service _service = new() { Metadata = new ObjectMeta { Name = "web", Namespace = "default" }, Spec = new ServiceSpec { Type = "LoadBalancer" } };
        private int _reads;

        public bool HasSynced => true;

        public bool HasGone => _reads > 2;

        public IReadOnlyCollection<Service> Items => ++_reads <= 2 ? [_service] : [];

        public Service? Get(NamespacedName name) => HasGone ? null : _service;

        public void Subscribe(Action<Service?, Service?> changed)
        {
        }

        public Task WaitForSyncAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class Events : IEventRecorder
    {
        public ConcurrentQueue<(string Reason, string Message)> Told { get; } = new();

        public Action<string> Telling { get; set; } = static _ => { };

        public void Normal(KubernetesObject about, string reason, string message) => Warning(about, reason, message);

        public void Warning(KubernetesObject about, string reason, string message)
        {
            Told.Enqueue((reason, message));
            Telling(reason);
        }
    }
}
