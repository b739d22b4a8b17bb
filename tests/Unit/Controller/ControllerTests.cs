using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

public class ControllerTests
{
    private const string Static = """
        address-pools:
        - {name: main, protocol: layer2, addresses: [10.0.0.1-10.0.0.2]}
        - {name: other, protocol: layer2, addresses: [10.1.0.1-10.1.0.9], auto-assign: false}
        """;

    [Fact]
    public async Task A_Service_gets_an_address_the_pool_annotation_and_an_Event()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("web");

        var service = await lab.HasAsync("web", "10.0.0.1");

        Assert.Equal("main", service.Metadata.Annotation(Annotations.AllocatedFromPool));
        Assert.Null(service.Metadata.Annotation(Annotations.ValidUntil));
        await lab.ToldAsync("IPAllocated", "10.0.0.1");
    }

    [Fact]
    public async Task The_pool_and_the_address_asked_for_are_given()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("pool", (Annotations.AddressPool, "other"));
        await lab.CreateAsync("legacy", (Annotations.LegacyAddressPool, "other"));
        await lab.CreateAsync("address", (Annotations.LoadBalancerIPs, "10.1.0.7"));

        Assert.StartsWith("10.1.0.", (await Addressed(lab, "pool")).ToString(), StringComparison.Ordinal);
        Assert.StartsWith("10.1.0.", (await Addressed(lab, "legacy")).ToString(), StringComparison.Ordinal);
        await lab.HasAsync("address", "10.1.0.7");
    }

    [Fact]
    public async Task A_waiting_Service_gets_the_address_that_another_gives_up()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("a");
        await lab.HasAsync("a", "10.0.0.1");
        await lab.CreateAsync("b");
        await lab.HasAsync("b", "10.0.0.2");
        await lab.CreateAsync("c");
        await lab.ToldAsync("AllocationFailed", "no available IPs");

        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "a", CancellationToken.None);

        await lab.HasAsync("c", "10.0.0.1");
    }

    [Theory]
    [InlineData("nonsense", "LoadBalancerFailed", "invalid address")]
    [InlineData("10.0.0.5,10.0.0.6", "LoadBalancerFailed", "two addresses of one family")]
    [InlineData("fd00::1", "LoadBalancerFailed", "family")]
    [InlineData("10.77.0.1", "AllocationFailed", "no pool contains")]
    public async Task A_request_that_cannot_be_met_never_costs_a_working_address(string asked, string reason, string text)
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.1");

        await lab.PatchAsync("web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.LoadBalancerIPs}}}}":"{{{{asked}}}}"}}}""");

        await lab.ToldAsync(reason, text);
        await lab.HasAsync("web", "10.0.0.1");
    }

    [Fact]
    public async Task A_Service_that_changes_its_type_loses_address_and_annotation()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.1");

        await lab.PatchAsync("web", """{"spec":{"type":"ClusterIP"}}""");

        Assert.Null((await lab.HasAsync("web")).Metadata.Annotation(Annotations.AllocatedFromPool));
        await lab.CreateAsync("next");
        await lab.HasAsync("next", "10.0.0.1");
    }

    [Fact]
    public async Task A_restart_keeps_every_address_before_anything_new_is_given()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("zz");
        await lab.HasAsync("zz", "10.0.0.1");
        await lab.StopAsync();
        await lab.CreateAsync("aa");

        await using var second = await ControllerLab.StartAsync(Static, lab.Api);

        await second.HasAsync("aa", "10.0.0.2");
        await second.HasAsync("zz", "10.0.0.1");
        await second.StopAsync();
    }

    [Fact]
    public async Task A_Service_of_another_class_is_left_alone()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.Api.Client.CreateAsync(
            ResourceTypes.Services,
            new Service
            {
                Metadata = new ObjectMeta { Name = "theirs", Namespace = "default" },
                Spec = new ServiceSpec { Type = "LoadBalancer", LoadBalancerClass = "example.com/other" },
            },
            CancellationToken.None);
        await lab.CreateAsync("ours");

        await lab.HasAsync("ours", "10.0.0.1");
        await lab.HasAsync("theirs");
    }

    [Fact]
    public async Task Nothing_is_written_when_nothing_changed()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("web");
        string? version = (await lab.HasAsync("web", "10.0.0.1")).Metadata.ResourceVersion;

        await lab.ConfigureAsync(Static);
        await lab.CreateAsync("after");
        await lab.HasAsync("after", "10.0.0.2");

        Assert.Equal(version, (await lab.GetAsync("web")).Metadata.ResourceVersion);
    }

    [Fact]
    public async Task A_removed_pool_moves_its_Services_and_says_so()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.1");

        await lab.ConfigureAsync("address-pools: [{name: new, protocol: layer2, addresses: [10.5.0.0/24]}]");

        Assert.Equal("new", (await lab.HasAsync("web", "10.5.0.0")).Metadata.Annotation(Annotations.AllocatedFromPool));
    }

    [Fact]
    public async Task Refusals_of_the_API_server_are_tried_again()
    {
        await using var lab = await ControllerLab.StartAsync(Static);
        lab.Api.Faults.AnswerWith(System.Net.HttpStatusCode.InternalServerError);
        await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        lab.Api.Faults.Heal();
        await lab.CreateAsync("web");
        lab.Api.Faults.DropWatches();

        await lab.HasAsync("web", "10.0.0.1");
    }

    private static async Task<System.Net.IPAddress> Addressed(ControllerLab lab, string name)
    {
        System.Net.IPAddress? address = null;
        await ControllerLab.Until(
            async () => DynamicLb.Controller.Services.ServiceStatusWriter.AddressesOf(await lab.GetAsync(name)) is [var first] && (address = first) is not null,
            () => $"{name} has no address");
        return address!;
    }
}
