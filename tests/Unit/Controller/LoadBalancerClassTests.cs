using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Which Services are ours, by <c>spec.loadBalancerClass</c> and <c>--lb-class</c>.</summary>
public sealed class LoadBalancerClassTests
{
    private const string Config = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]";

    [Theory]
    [InlineData("", null, true)]
    [InlineData("", "", true)]
    [InlineData("", "other.io/lb", false)]
    [InlineData("dynamiclb.io/lb", null, false)]
    [InlineData("dynamiclb.io/lb", "dynamiclb.io/lb", true)]
    [InlineData("dynamiclb.io/lb", "dynamiclb.io/LB", false)]
    [InlineData("dynamiclb.io/lb", "other.io/lb", false)]
    public async Task A_Service_is_served_when_its_class_is_ours(string ours, string? its, bool isServed)
    {
        await using var lab = await ControllerLab.StartAsync(Config, loadBalancerClass: ours);
        await lab.CreateAsync("web", new ServiceSpec { LoadBalancerClass = its, Ports = [new ServicePort { Port = 80 }] });
        if (isServed)
            await lab.HasAsync("web", "10.0.0.0");
        // One that is ours comes after it: when it has its address, the other was looked at.
        await lab.CreateAsync("next", new ServiceSpec { LoadBalancerClass = ours.Length > 0 ? ours : null, Ports = [new ServicePort { Port = 80 }] });

        await lab.HasAsync("next", isServed ? "10.0.0.1" : "10.0.0.0");
        await lab.HasAsync("web", isServed ? ["10.0.0.0"] : []);
    }

    [Fact]
    public async Task A_Service_that_becomes_another_type_and_so_loses_its_class_gives_its_address_back()
    {
        await using var lab = await ControllerLab.StartAsync(Config, loadBalancerClass: "dynamiclb.io/lb");
        await lab.CreateAsync("web", new ServiceSpec { LoadBalancerClass = "dynamiclb.io/lb", Ports = [new ServicePort { Port = 80 }] });
        await lab.HasAsync("web", "10.0.0.0");

        await lab.PatchAsync("web", """{"spec":{"type":"ClusterIP","loadBalancerClass":null}}""");

        Assert.Null((await lab.HasAsync("web")).Metadata.Annotation(Annotations.AllocatedFromPool));
        await lab.CreateAsync("next", new ServiceSpec { LoadBalancerClass = "dynamiclb.io/lb", Ports = [new ServicePort { Port = 80 }] });
        await lab.HasAsync("next", "10.0.0.0");
    }
}
