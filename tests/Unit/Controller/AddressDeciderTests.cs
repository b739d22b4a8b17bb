using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Controller;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Tests.Unit.Speaker;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Decisions by themselves, where the order of what is known matters.</summary>
public sealed class AddressDeciderTests
{
    [Fact]
    public async Task An_address_that_a_configuration_takes_away_before_its_status_came_back_is_told_of()
    {
        var options = new ControllerOptions(new KubernetesProgramSettings("", null, null, "", "", LogLevel.None), "default", "test", false, null);
        await using var brokers = new LeaseBrokers(null!, options, TimeProvider.System, new Random(1), NullLogger<LeaseBrokers>.Instance);
        var events = new FakeEvents();
        var decider = new AddressDecider(brokers, static _ => null, events, TimeProvider.System);
        var service = new Service
        {
            Metadata = new ObjectMeta { Name = "web", Namespace = "default" },
            Spec = new ServiceSpec { Type = "LoadBalancer", ClusterIP = "10.96.0.1", ClusterIPs = ["10.96.0.1"], IpFamilies = ["IPv4"] },
        };
        decider.Configure(Pools("{name: a, protocol: layer2, addresses: [10.0.0.0/24]}"), []);
        Assert.Equal("10.0.0.0", Assert.Single(decider.Decide(service).Addresses).ToString());

        decider.Configure(Pools("{name: b, protocol: layer2, addresses: [10.1.0.0/24]}"), []);

        Assert.Equal("10.1.0.0", Assert.Single(decider.Decide(service).Addresses).ToString());
        Assert.Equal(["web IPAllocated", "web ClearAssignment", "web IPAllocated"], events.Told);
        Assert.Equal("10.1.0.0", Assert.Single(decider.Decide(service).Addresses).ToString());
        Assert.Equal(3, events.Told.Count);
    }

    private static LoadBalancerConfig Pools(string pool) => ConfigFileReader.Read($"address-pools: [{pool}]").Config!;
}
