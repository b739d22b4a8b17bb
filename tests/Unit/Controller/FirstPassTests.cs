using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Speaker;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What happens in the moment in which a Service is looked at.</summary>
public sealed class FirstPassTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_controller_becomes_ready_although_a_Service_goes_while_the_first_configuration_is_taken_up()
    {
        await using var api = await KubeApiServer.StartAsync();
        var time = TimeProvider.System;
        var options = new ControllerOptions(new KubernetesProgramSettings("", null, null, "", "", LogLevel.None), "default", "test", false, null);
        var services = new GoingInformer();
        await using var brokers = new LeaseBrokers(api.Client, options, time, new Random(1), NullLogger<LeaseBrokers>.Instance);
        var decider = new AddressDecider(brokers, static _ => null, new FakeEvents(), time);
        await using var provider = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var metrics = new ControllerMetrics(
            provider.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>(), decider, new ConfigFileWatcher("", time, NullLogger<ConfigFileWatcher>.Instance));
        using var reconciler = new ServiceReconciler(
            options, services, new FakeInformer<Namespace>(), decider, brokers, new ServiceStatusWriter(api.Client, time), metrics, time, new Random(1), NullLogger<ServiceReconciler>.Instance);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var running = reconciler.RunAsync(stop.Token);

        await reconciler.ConfigureAsync(ConfigFileReader.Read("address-pools: [{name: lab, protocol: layer2, addresses: [10.0.0.0/24]}]").Config!);

        Assert.True(services.HasGone);
        await ControllerLab.Until(() => Task.FromResult(reconciler.HasPassed), static () => "It waits for a Service that is no more.");
        await stop.CancelAsync();
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
            await Task.WhenAll(lab.CreateAsync($"s{i}"), lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", $"s{i - 1}", Token));
            await lab.HasAsync($"s{i}", Address);
        }
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
}
