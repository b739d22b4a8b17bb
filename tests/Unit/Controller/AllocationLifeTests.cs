using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What becomes of addresses while Services and pools change (MetalLB, sections on families, sharing and life cycle).</summary>
public sealed class AllocationLifeTests
{
    private const string V4 = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]";
    private const string Dual = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24, 'fd00::/120']}]";

    private static ServiceSpec TwoFamilies(string? policy, string first = "IPv4") => new()
    {
        ClusterIPs = ["10.96.0.200", "fd96::200"],
        ClusterIP = "10.96.0.200",
        IpFamilyPolicy = policy,
        IpFamilies = first == "IPv4" ? ["IPv4", "IPv6"] : ["IPv6", "IPv4"],
        Ports = [new ServicePort { Port = 80 }],
    };

    [Theory]
    [InlineData(Dual, "RequireDualStack", "IPv4", "10.0.0.0 fd00::")]
    [InlineData(Dual, "PreferDualStack", "IPv4", "10.0.0.0 fd00::")]
    [InlineData(V4, "PreferDualStack", "IPv6", "10.0.0.0")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}, {name: b, protocol: layer2, addresses: ['fd00::/120']}]", "PreferDualStack", "IPv6", "fd00::")]
    [InlineData("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}, {name: b, protocol: layer2, addresses: ['fd00::/120']}]", "PreferDualStack", "IPv4", "10.0.0.0")]
    public async Task A_Service_of_both_families_gets_what_its_policy_allows(string config, string policy, string first, string expected)
    {
        await using var lab = await ControllerLab.StartAsync(config);
        await lab.CreateAsync("web", TwoFamilies(policy, first));

        await lab.HasAsync("web", expected.Split(' '));
    }

    [Theory]
    [InlineData(V4, "RequireDualStack", "AllocationFailed", "no available IPs in any pool for IPv4 and IPv6")]
    [InlineData(Dual, "SingleStack", "AllocationFailed", "ipFamilyPolicy SingleStack")]
    public async Task A_Service_of_both_families_that_cannot_have_them_has_nothing(string config, string policy, string reason, string text)
    {
        await using var lab = await ControllerLab.StartAsync(config);
        await lab.CreateAsync("web", TwoFamilies(policy));

        await lab.ToldAsync(reason, text);
        await lab.HasAsync("web");
    }

    [Fact]
    public async Task A_Service_that_requires_both_families_needs_cluster_addresses_of_both()
    {
        await using var lab = await ControllerLab.StartAsync(Dual);
        await lab.CreateAsync("web", new ServiceSpec { IpFamilyPolicy = "RequireDualStack", Ports = [new ServicePort { Port = 80 }] });

        await lab.ToldAsync("not enough clusterips", "both families");
        await lab.HasAsync("web");
    }

    [Fact]
    public async Task A_Service_that_prefers_both_families_but_is_of_one_keeps_one_address()
    {
        await using var lab = await ControllerLab.StartAsync(Dual);
        await lab.CreateAsync("web", new ServiceSpec { IpFamilyPolicy = "PreferDualStack", Ports = [new ServicePort { Port = 80 }] });

        await lab.HasAsync("web", "10.0.0.0");
        await lab.ConfigureAsync(Dual);
        await lab.CreateAsync("next");
        await lab.HasAsync("next", "10.0.0.1");
        await lab.HasAsync("web", "10.0.0.0");
    }

    [Fact]
    public async Task A_pool_that_gains_a_family_gives_the_second_address_beside_the_first()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web", TwoFamilies("PreferDualStack"));
        await lab.HasAsync("web", "10.0.0.0");
        await lab.ToldAsync("AdditionalAssignFailed", "for IPv6", "Normal");

        await lab.ConfigureAsync(Dual);

        await lab.HasAsync("web", "10.0.0.0", "fd00::");
        await lab.ToldAsync("IPAllocated", "Assigned additional IP \"fd00::\"");
        // And when it loses the family again, both go, and a fresh choice is made.
        await lab.ConfigureAsync(V4);
        await lab.HasAsync("web", "10.0.0.0");
        await lab.ToldAsync("ClearAssignment", "no pool contains fd00::");
    }

    [Fact]
    public async Task What_a_policy_no_longer_allows_is_taken_back_and_given_again()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web", TwoFamilies("PreferDualStack"));
        await lab.HasAsync("web", "10.0.0.0");
        await lab.PatchAsync("web", """{"spec":{"ipFamilyPolicy":"RequireDualStack"}}""");
        await lab.HasAsync("web");
        await lab.PatchAsync("web", """{"spec":{"ipFamilyPolicy":"PreferDualStack"}}""");
        await lab.HasAsync("web", "10.0.0.0");
    }

    [Fact]
    public async Task Services_with_one_key_share_an_address_and_those_with_a_common_port_do_not()
    {
        await using var lab = await ControllerLab.StartAsync("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.1/32]}]");
        await lab.CreateAsync("http", Ports(80), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("http", "10.0.0.1");
        await lab.CreateAsync("https", Ports(443), (Annotations.LegacyAllowSharedIP, "k"));
        await lab.HasAsync("https", "10.0.0.1");
        await lab.CreateAsync("clash", Ports(80, 81), (Annotations.AllowSharedIP, "k"), (Annotations.LoadBalancerIPs, "10.0.0.1"));
        await lab.ToldAsync("AllocationFailed", "port TCP/80 is already in use on \"10.0.0.1\" by \"default/http\"");
        await lab.CreateAsync("stranger", Ports(82), (Annotations.AllowSharedIP, "other"), (Annotations.LoadBalancerIPs, "10.0.0.1"));
        await lab.ToldAsync("AllocationFailed", "also in use by default/http, default/https");

        // Who waits is looked at again when a port becomes free.
        await lab.PatchAsync("http", """{"spec":{"ports":[{"port":8080}]}}""");

        await lab.HasAsync("clash", "10.0.0.1");
    }

    [Fact]
    public async Task Local_traffic_shares_only_with_the_same_Pods()
    {
        await using var lab = await ControllerLab.StartAsync("address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]");
        await lab.CreateAsync("a", Local("x", 80), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("a", "10.0.0.0");
        await lab.CreateAsync("b", Local("x", 81), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("b", "10.0.0.0");
        await lab.CreateAsync("c", Local("y", 82), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("c", "10.0.0.1");
        await lab.CreateAsync("d", Ports(83), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("d", "10.0.0.2");
    }

    [Fact]
    public async Task A_pool_that_is_pinned_elsewhere_gives_its_Services_up()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.ConfigureAsync("""
            address-pools:
            - {name: a, protocol: layer2, addresses: [10.0.0.0/24], service-allocation: {namespaces: [elsewhere]}}
            - {name: b, protocol: layer2, addresses: [10.1.0.0/24], service-allocation: {service-selectors: [{match-labels: {tier: web}}]}}
            - {name: c, protocol: layer2, addresses: [10.2.0.0/24]}
            """);

        await lab.HasAsync("web", "10.2.0.0");
        await lab.ToldAsync("ClearAssignment", "serviceAllocation does not match");
        await lab.CreateAsync("asks", (Annotations.AddressPool, "a"));
        await lab.ToldAsync("AllocationFailed", "pool \"a\" is not for \"default/asks\"");
        await lab.PatchAsync("asks", """{"metadata":{"annotations":{"metallb.io/address-pool":null},"labels":{"tier":"web"}}}""");
        await lab.HasAsync("asks", "10.1.0.0");
    }

    [Fact]
    public async Task Switching_automatic_assignment_off_and_renaming_a_pool_keep_what_was_given()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.ConfigureAsync("address-pools: [{name: b, protocol: layer2, auto-assign: false, addresses: [10.0.0.0/25]}]");

        await ControllerLab.Until(
            async () => (await lab.GetAsync("web")).Metadata.Annotation(Annotations.AllocatedFromPool) == "b", () => "the annotation does not follow the name of the pool");
        await lab.HasAsync("web", "10.0.0.0");
    }

    [Fact]
    public async Task Without_any_pool_all_addresses_go_and_nobody_is_told()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.ConfigureAsync("");

        await lab.HasAsync("web");
        Assert.DoesNotContain(await lab.EventsAsync(), static told => told.Type == "Warning");
    }

    [Theory]
    [InlineData("""[{"ip":"192.168.7.7"}]""")]
    [InlineData("""[{"ip":"10.0.0.1"},{"ip":"10.0.0.2"},{"ip":"10.0.0.3"}]""")]
    [InlineData("""[{"ip":"nonsense"}]""")]
    public async Task A_status_that_somebody_edits_is_put_right(string ingress)
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.0");

        await lab.WriteIngressAsync("web", ingress);

        await lab.HasAsync("web", "10.0.0.0");
        Assert.Single((await lab.GetAsync("web")).Status.LoadBalancer.Ingress!);
    }

    [Fact]
    public async Task The_older_annotations_are_told_to_be_deprecated()
    {
        await using var lab = await ControllerLab.StartAsync(V4);
        await lab.CreateAsync("web", (Annotations.LegacyAddressPool, "a"));

        await lab.HasAsync("web", "10.0.0.0");
        await lab.ToldAsync("deprecatedAnnotation", Annotations.LegacyAddressPool);
    }

    [Theory]
    [InlineData("10.0.0.1,10.0.0.2", "two addresses of one family")]
    [InlineData("10.0.0.1,fd00::1,10.0.0.2", "more than two addresses")]
    [InlineData("10.0.0", "invalid address \"10.0.0\"")]
    [InlineData("fd00::1", "is not the Service's")]
    [InlineData("web", "invalid address \"web\"")]
    public async Task What_cannot_be_understood_is_told(string asked, string text)
    {
        await using var lab = await ControllerLab.StartAsync(Dual);
        await lab.CreateAsync("web", (Annotations.LoadBalancerIPs, asked));

        await lab.ToldAsync("AllocationFailed", text);
    }

    private static ServiceSpec Ports(params int[] ports) => new() { Ports = [.. ports.Select(static port => new ServicePort { Port = port, Protocol = "TCP" })] };

    private static ServiceSpec Local(string app, int port) => Ports(port) with { ExternalTrafficPolicy = "Local", Selector = new Dictionary<string, string> { ["app"] = app } };
}
