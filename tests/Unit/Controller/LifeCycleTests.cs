using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What becomes of an address in its life: a test for each row of MetalLB's behaviour that no other class here shows; where ours differs, docs/decisions/metallb-differences.md.</summary>
public sealed class LifeCycleTests
{
    private const string Small = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30]}]";

    [Fact]
    public async Task Controller_restart_of_two_holders_of_one_address_the_second_is_given_another()
    {
        await using var lab = await ControllerLab.StartAsync(Small);
        await lab.CreateAsync("one");
        await lab.HasAsync("one", "10.0.0.0");
        await lab.CreateAsync("two");
        await lab.HasAsync("two", "10.0.0.1");
        await lab.StopAsync();
        await lab.WriteIngressAsync("two", """[{"ip":"10.0.0.0"}]""");

        await using var second = await ControllerLab.StartAsync(Small, lab.Api);

        await ControllerLab.Until(
            async () => (await AddressOfAsync(second, "one"), await AddressOfAsync(second, "two")) is ("10.0.0.0", "10.0.0.1") or ("10.0.0.1", "10.0.0.0"), () => "both still have one address");
        await second.ToldAsync("ClearAssignment", "is not acceptable any more", "Normal");
        await second.StopAsync();
    }

    [Fact]
    public async Task Controller_restart_those_with_more_addresses_keep_theirs()
    {
        const string Dual = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30, 'fd00::/126']}]";
        await using var lab = await ControllerLab.StartAsync(Dual);
        await lab.CreateAsync("dual", new ServiceSpec { ClusterIPs = ["10.96.0.9", "fd96::9"], ClusterIP = "10.96.0.9", IpFamilyPolicy = "RequireDualStack", Ports = [new ServicePort { Port = 80 }] });
        await lab.HasAsync("dual", "10.0.0.0", "fd00::");
        await lab.CreateAsync("a-single");
        await lab.HasAsync("a-single", "10.0.0.1");
        await lab.StopAsync();
        await lab.WriteIngressAsync("a-single", """[{"ip":"10.0.0.0"}]""");

        await using var second = await ControllerLab.StartAsync(Dual, lab.Api);

        await second.HasAsync("a-single", "10.0.0.1");
        await second.HasAsync("dual", "10.0.0.0", "fd00::");
        await second.StopAsync();
    }

    [Theory]
    [InlineData("Pool shrunk", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.2/31]}]", "10.0.0.2")]
    [InlineData("Pool deleted", "address-pools: [{name: b, protocol: layer2, addresses: [10.9.0.0/30]}]", "10.9.0.0")]
    [InlineData("Buggy flag on", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30], avoid-buggy-ips: true}]", "10.0.0.1")]
    [InlineData("Pool pinned elsewhere", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30], service-allocation: {namespaces: [x]}}, {name: b, protocol: layer2, addresses: [10.9.0.0/30]}]", "10.9.0.0")]
    [InlineData("Pool pinned to labels", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30], service-allocation: {service-selectors: [{match-labels: {a: b}}]}}, {name: b, protocol: layer2, addresses: [10.9.0.0/30]}]", "10.9.0.0")]
    public async Task Address_no_longer_acceptable(string row, string config, string expected)
    {
        await using var lab = await ControllerLab.StartAsync(Small);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.ConfigureAsync(config);

        await lab.HasAsync("web", expected);
        await lab.ToldAsync("ClearAssignment", "a new one will be attempted");
        Assert.NotEmpty(row);
    }

    [Theory]
    [InlineData("Pool split", "address-pools: [{name: b, protocol: layer2, addresses: [10.0.0.0/31]}, {name: c, protocol: layer2, addresses: [10.0.0.2/31]}]", "b")]
    [InlineData("Pool grown", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/16]}]", "a")]
    [InlineData("A pool with more families appears", "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30]}, {name: b, protocol: layer2, addresses: [10.1.0.0/30, 'fd00::/126']}]", "a")]
    public async Task Address_still_acceptable(string row, string config, string pool)
    {
        await using var lab = await ControllerLab.StartAsync(Small);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.ConfigureAsync(config);

        await ControllerLab.Until(async () => (await lab.GetAsync("web")).Metadata.Annotation(Annotations.AllocatedFromPool) == pool, () => $"{row}: the annotation does not say {pool}");
        await lab.HasAsync("web", "10.0.0.0");
    }

    [Theory]
    [InlineData("delete")]
    [InlineData("type")]
    public async Task Allocation_failed_is_tried_again_when_something_frees(string how)
    {
        await using var lab = await ControllerLab.StartAsync("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1/32]}]");
        await lab.CreateAsync("one");
        await lab.HasAsync("one", "10.0.0.1");
        await lab.CreateAsync("two");
        await lab.ToldAsync("AllocationFailed", "no available IPs");

        if (how == "delete")
            await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "one", CancellationToken.None);
        else
            await lab.PatchAsync("one", """{"spec":{"type":"ClusterIP"}}""");

        await lab.HasAsync("two", "10.0.0.1");
    }

    [Fact]
    public async Task Same_address_asked_for_by_a_second_Service_that_does_not_share()
    {
        await using var lab = await ControllerLab.StartAsync(Small);
        await lab.CreateAsync("one", (Annotations.LoadBalancerIPs, "10.0.0.2"));
        await lab.HasAsync("one", "10.0.0.2");
        await lab.CreateAsync("two", (Annotations.LoadBalancerIPs, "10.0.0.2"));

        await lab.ToldAsync("AllocationFailed", "also in use by default/one");
        await lab.HasAsync("two");
    }

    [Fact]
    public async Task Address_pool_annotation_that_names_another_pool_moves_the_Service()
    {
        await using var lab = await ControllerLab.StartAsync("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/30]}, {name: b, protocol: layer2, addresses: [10.1.0.0/30], auto-assign: false}]");
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.PatchAsync("web", """{"metadata":{"annotations":{"metallb.io/address-pool":"b"}}}""");

        Assert.Equal("b", (await lab.HasAsync("web", "10.1.0.0")).Metadata.Annotation(Annotations.AllocatedFromPool));
    }

    [Fact]
    public async Task The_mode_of_an_address_is_kept_and_makes_no_write()
    {
        await using var lab = await ControllerLab.StartAsync(Small);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");
        await lab.WriteIngressAsync("web", """[{"ip":"10.0.0.0","ipMode":"VIP"}]""");
        string version = (await lab.GetAsync("web")).Metadata.ResourceVersion!;

        // Everything is looked at again, and something else is written.
        await lab.ConfigureAsync(Small.Replace("/30", "/29", StringComparison.Ordinal));
        await lab.CreateAsync("next");
        await lab.HasAsync("next", "10.0.0.1");
        var service = await lab.GetAsync("web");
        Assert.Equal((version, "VIP"), (service.Metadata.ResourceVersion, service.Status.LoadBalancer.Ingress![0].IpMode));

        // And the mode stays when the annotation is written.
        await lab.ConfigureAsync("address-pools: [{name: renamed, protocol: layer2, addresses: [10.0.0.0/30]}]");
        await ControllerLab.Until(async () => (await lab.GetAsync("web")).Metadata.Annotation(Annotations.AllocatedFromPool) == "renamed", () => "not renamed");
        Assert.Equal("VIP", (await lab.GetAsync("web")).Status.LoadBalancer.Ingress![0].IpMode);
    }

    private static async Task<string?> AddressOfAsync(ControllerLab lab, string name) => (await lab.GetAsync(name)).Status.LoadBalancer.Ingress?[0].Ip;
}
