using DynamicLb.Contracts;
using DynamicLb.Controller.Services;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Leases through the whole controller: what becomes of them when they change, families, sharing, requests, several address services.</summary>
public sealed class LeaseLifeTests
{
    private static readonly DateTimeOffset s_soon = new(2029, 1, 1, 0, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task Adopt_takes_the_address_away_when_the_lease_is_lost_and_takes_the_next_one()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        dhcp.Lose("default/web", "NAK from 10.20.0.1");
        Assert.Null((await lab.HasAsync("web")).Metadata.Annotation(Annotations.ValidUntil));
        await lab.ToldAsync("LeaseLost", "NAK from 10.20.0.1");
        dhcp.Refusal = null;
        dhcp.Add("default/web", "10.20.0.77");

        await lab.HasAsync("web", "10.20.0.77");
        await lab.ToldAsync("IPAllocated", "10.20.0.77");
    }

    [Fact]
    public async Task Hold_keeps_the_address_until_its_lease_would_have_ended()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "on-lease-change: Hold"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        dhcp.ValidUntil = s_soon;
        dhcp.Add("default/web", "10.20.0.77");
        await lab.ToldAsync("LeaseHeld", "10.20.0.11 is held until");
        await lab.HasAsync("web", "10.20.0.11");

        // The end that is held to is the one that was written; it comes now.
        await lab.PatchAsync("web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.ValidUntil}}}}":"{{{{KubernetesTime.Format(TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(2))}}}}"}}}""");
        await lab.HasAsync("web", "10.20.0.77");
        await lab.ToldAsync("LeaseChanged", "changed to 10.20.0.77");
        Assert.Equal("2029-01-01T00:00:00Z", (await lab.GetAsync("web")).Metadata.Annotation(Annotations.ValidUntil));
    }

    [Fact]
    public async Task Fail_gives_no_other_address_until_somebody_says_so_also_after_a_restart()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "on-lease-change: Fail"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        dhcp.Add("default/web", "10.20.0.77");
        var service = await lab.HasAsync("web");
        Assert.Equal("dhcp/10.20.0.11", service.Metadata.Annotation(Annotations.FailedLease));
        var condition = Assert.Single(service.Status.Conditions!);
        Assert.Equal((ServiceStatusWriter.LeaseCondition, "False", "LeaseFailed"), (condition.Type, condition.Status, condition.Reason));
        Assert.Contains("changed to 10.20.0.77", condition.Message);
        await lab.ToldAsync("LeaseFailed", "until the annotation dynamiclb.io/failed-lease is removed");

        await lab.StopAsync();
        int before = dhcp.Acquired;
        await using var second = await ControllerLab.StartAsync(Config(dhcp, "on-lease-change: Fail"), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired > before), () => "it does not ask any more");
        await second.HasAsync("web");
        await second.PatchAsync("web", """{"metadata":{"annotations":{"dynamiclb.io/failed-lease":null}}}""");
        Assert.Null((await second.HasAsync("web", "10.20.0.77")).Metadata.Annotation(Annotations.FailedLease));
        await second.StopAsync();
    }

    [Fact]
    public async Task The_MAC_of_a_lease_stays_while_nobody_can_confirm_it_and_goes_with_the_setting()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "announced-mac: Lease"));
        await lab.CreateAsync("web");
        string? macs = (await lab.HasAsync("web", "10.20.0.11")).Metadata.Annotation(Annotations.LeaseMacs);
        Assert.Equal("10.20.0.11=02:4c:42:00:00:01", macs);

        await lab.StopAsync();
        dhcp.Refusal = "no server answers";
        dhcp.Leases.Clear();
        await using var second = await ControllerLab.StartAsync(Config(dhcp, "announced-mac: Lease"), lab.Api);
        await second.ToldAsync("AddressUnconfirmed", "no server answers");
        Assert.Equal(macs, (await second.HasAsync("web", "10.20.0.11")).Metadata.Annotation(Annotations.LeaseMacs));

        await second.StopAsync();
        await using var third = await ControllerLab.StartAsync(Config(dhcp), lab.Api);
        await ControllerLab.Until(
            async () => (await third.GetAsync("web")).Metadata.Annotation(Annotations.LeaseMacs) is null, static () => "the MAC stays");
        await third.StopAsync();
    }

    [Fact]
    public async Task Fail_ends_when_the_old_address_is_leased_again()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "on-lease-change: Fail"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        dhcp.Lose("default/web", "NAK");
        await lab.HasAsync("web");

        dhcp.Refusal = null;
        dhcp.Add("default/web", "10.20.0.11");

        var service = await lab.HasAsync("web", "10.20.0.11");
        Assert.Equal("True", Assert.Single(service.Status.Conditions!).Status);
        await lab.ToldAsync("LeaseRecovered", "10.20.0.11");
    }

    [Fact]
    public async Task A_lease_that_ends_while_its_address_service_is_away_takes_the_address_with_it()
    {
        var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        // It was not renewed any more: the controller knows of an end that is near when the address service goes.
        dhcp.ValidUntil = TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(3);
        dhcp.Add("default/web", "10.20.0.11", dhcp.Leases["default/web"].Uid);
        string end = KubernetesTime.Format(dhcp.ValidUntil.Value);
        await ControllerLab.Until(
            async () => (await lab.GetAsync("web")) is var web && (web.Metadata.Annotation(Annotations.ValidUntil) == end || web.Status.LoadBalancer.Ingress is null or []),
            () => "the end is not written");
        await dhcp.DisposeAsync();

        await lab.HasAsync("web");
        await lab.ToldAsync("LeaseExpired", "10.20.0.11");
    }

    [Theory]
    [InlineData("RequireDualStack")]
    [InlineData("PreferDualStack")]
    public async Task A_Service_of_both_families_has_a_lease_of_each(string policy)
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]"));
        await lab.CreateAsync("web", TwoFamilies(policy));

        await ControllerLab.Until(
            async () => (await lab.GetAsync("web")).Status.LoadBalancer.Ingress is [{ Ip: var first }, { Ip: var second }] && first!.StartsWith("10.20.0.", StringComparison.Ordinal)
                && second!.StartsWith("fd20::", StringComparison.Ordinal),
            () => "not two addresses, the IPv4 one first");
        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "web", CancellationToken.None);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.IsEmpty), () => $"{dhcp.Leases.Count} leases are still there");
    }

    [Fact]
    public async Task A_Service_of_IPv6_alone_has_an_IPv6_lease_on_the_interface_that_is_configured()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv6]\n  interface: dmz"));
        await lab.CreateAsync("web", new ServiceSpec { ClusterIP = "fd96::200", ClusterIPs = ["fd96::200"], Ports = [new ServicePort { Port = 80 }] });

        await lab.HasAsync("web", "fd20::11");

        Assert.All(dhcp.Asked, static asked => Assert.Equal(("ipv6", "dmz"), (asked.Family, asked.Interface)));
    }

    [Theory]
    [InlineData("PreferDualStack", "10.20.0.11")]
    [InlineData("RequireDualStack", null)]
    public async Task When_one_family_is_not_to_be_had_the_policy_of_the_Service_decides(string policy, string? expected)
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.RefusalOfIPv6 = "no ADVERTISE from any server";
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]"));
        await lab.CreateAsync("web", TwoFamilies(policy));

        await lab.ToldAsync(expected is null ? "AddressPending" : "AdditionalAssignFailed", "no ADVERTISE from any server");
        await lab.HasAsync("web", expected is null ? [] : [expected]);

        dhcp.RefusalOfIPv6 = null;
        await ControllerLab.Until(async () => (await lab.GetAsync("web")).Status.LoadBalancer.Ingress is [{ Ip: "10.20.0.11" }, _], () => "the second address does not come");
    }

    [Theory]
    [InlineData("10.20.0.11", "fd20::50", 6)]
    [InlineData("10.20.0.50", "fd20::12", 4)]
    public async Task A_Service_that_asks_for_one_of_its_addresses_and_another_keeps_both_until_DHCP_has_given_that(string v4, string v6, int family)
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]\n  cidrs: [10.20.0.0/24, 'fd20::/64']\n  concurrency: 1"));
        await lab.CreateAsync("web", TwoFamilies("RequireDualStack"));
        var held = (await lab.HasAsync("web", "10.20.0.11", "fd20::12")).Metadata;
        dhcp.Refusal = "no OFFER from any server";

        await AskAsync($"{v4},{v6}");
        await lab.ToldAsync("AddressPending", "is kept until then: no OFFER from any server");
        Assert.Equal(held.Annotation(Annotations.Lease), (await lab.HasAsync("web", "10.20.0.11", "fd20::12")).Metadata.Annotation(Annotations.Lease));
        dhcp.Refusal = null;

        await ControllerLab.Until(async () => (await AddressesAsync()).SetEquals([v4, v6]), () => "the address that is asked for does not come");
        // What it has and what it got, and nothing else; each by its own name, also after a restart.
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 2), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");
        Assert.Equal([v4, v6], dhcp.Leases.Values.Select(static lease => lease.Ip).Order(StringComparer.Ordinal));
        string[] names = [.. dhcp.Leases.Keys.Order(StringComparer.Ordinal)];
        Assert.Contains($",{family}=default/web-", (await lab.GetAsync("web")).Metadata.Annotation(Annotations.Lease), StringComparison.Ordinal);
        await lab.StopAsync();
        int asked = dhcp.Acquired;
        await using var second = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]\n  cidrs: [10.20.0.0/24, 'fd20::/64']\n  concurrency: 1"), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired >= asked + 2), () => "the leases were not confirmed");
        Assert.True((await AddressesAsync()).SetEquals([v4, v6]));
        Assert.Equal(names, dhcp.Leases.Keys.Order(StringComparer.Ordinal));

        // The other one after it, and then both go with the Service.
        await AskAsync("10.20.0.60,fd20::60");
        await ControllerLab.Until(async () => (await AddressesAsync()).SetEquals(["10.20.0.60", "fd20::60"]), () => "the addresses that are asked for do not come");
        await AskAsync("10.20.0.60,fd20::61");
        await ControllerLab.Until(async () => (await AddressesAsync()).SetEquals(["10.20.0.60", "fd20::61"]), () => "the second of them does not come");
        await AskAsync("10.20.0.61,fd20::61");
        await ControllerLab.Until(async () => (await AddressesAsync()).SetEquals(["10.20.0.61", "fd20::61"]), () => "the first of them does not come");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 2), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");
        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "web", CancellationToken.None);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.IsEmpty), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");

        Task AskAsync(string addresses) => lab.PatchAsync("web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.LoadBalancerIPs}}}}":"{{{{addresses}}}}"}}}""");
        async Task<HashSet<string?>> AddressesAsync() => [.. ((await lab.GetAsync("web")).Status.LoadBalancer.Ingress ?? []).Select(static entry => entry.Ip)];
    }

    [Fact]
    public async Task A_Service_keeps_both_its_addresses_when_DHCP_gives_another_than_the_one_it_asks_for_in_place_of_one()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]\n  cidrs: [10.20.0.0/24, 'fd20::/64']\n  concurrency: 1"));
        await lab.CreateAsync("web", TwoFamilies("RequireDualStack"));
        await lab.HasAsync("web", "10.20.0.11", "fd20::12");
        dhcp.Choose = static _ => "fd20::77";

        await lab.PatchAsync("web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.LoadBalancerIPs}}}}":"10.20.0.11,fd20::50"}}}""");

        await lab.ToldAsync("AddressDiffers", "asked for fd20::50, but DHCP gave fd20::77 through \"dhcp\": fd20::12 is kept");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 2), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");
        await lab.HasAsync("web", "10.20.0.11", "fd20::12");
    }

    [Fact]
    public async Task Services_with_one_key_share_a_lease_which_ends_with_the_last_of_them()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("http", Ports(80), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("http", "10.20.0.11");
        await lab.CreateAsync("https", Ports(443), (Annotations.AllowSharedIP, "k"));
        var shared = await lab.HasAsync("https", "10.20.0.11");
        Assert.StartsWith("default/http@", shared.Metadata.Annotation(Annotations.Lease));
        await lab.CreateAsync("clash", Ports(80), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("clash", "10.20.0.12");
        Assert.Equal(2, dhcp.Leases.Count);

        // A change of the lease concerns all of them.
        dhcp.Add("default/http", "10.20.0.99", dhcp.Leases["default/http"].Uid);
        await lab.HasAsync("http", "10.20.0.99");
        await lab.HasAsync("https", "10.20.0.99");

        // The one that asked first goes, and comes again under its name with another address; so it is after a restart, too.
        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "http", CancellationToken.None);
        await lab.CreateAsync("http", Ports(80));
        await lab.HasAsync("http", "10.20.0.13");
        await lab.HasAsync("https", "10.20.0.99");
        await lab.StopAsync();
        int asked = dhcp.Acquired;
        await using var second = await ControllerLab.StartAsync(Config(dhcp), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired >= asked + 2), () => "the leases were not confirmed");
        await second.HasAsync("http", "10.20.0.13");
        await second.HasAsync("https", "10.20.0.99");

        await second.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "https", CancellationToken.None);
        await ControllerLab.Until(() => Task.FromResult(!dhcp.Leases.ContainsKey("default/http")), () => $"there are {string.Join(", ", dhcp.Leases.Keys)}");
        Assert.Equal(2, dhcp.Leases.Count);
        await second.StopAsync();
    }

    [Fact]
    public async Task A_Service_whose_key_changes_leaves_the_lease_it_shared()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("http", Ports(80), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("http", "10.20.0.11");
        await lab.CreateAsync("https", Ports(443), (Annotations.AllowSharedIP, "k"));
        await lab.HasAsync("https", "10.20.0.11");

        await lab.PatchAsync("https", """{"metadata":{"annotations":{"metallb.io/allow-shared-ip":"other"}}}""");

        Assert.Null((await lab.HasAsync("https", "10.20.0.12")).Metadata.Annotation(Annotations.Lease));
        await lab.HasAsync("http", "10.20.0.11");
    }

    [Fact]
    public async Task A_leased_address_that_is_a_pools_or_anothers_is_not_taken()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Choose = static asked => asked.Service == "default/pool" ? "10.0.0.7" : "10.20.0.50";
        await using var lab = await ControllerLab.StartAsync(Config(dhcp) + "\naddress-pools: [{name: static, protocol: layer2, addresses: [10.0.0.0/24], auto-assign: false}]");
        await lab.CreateAsync("one");
        await lab.HasAsync("one", "10.20.0.50");
        await lab.CreateAsync("two");
        await lab.ToldAsync("AddressPending", "leased 10.20.0.50, which is that of \"default/one\" already");
        await lab.HasAsync("two");
        await lab.CreateAsync("pool");
        await lab.ToldAsync("AddressPending", "leased 10.0.0.7, which is of pool \"static\"");
        await lab.HasAsync("pool");
    }

    [Fact]
    public async Task When_an_address_service_cannot_the_next_one_is_asked()
    {
        await using var first = await FakeAddressService.StartAsync();
        await using var second = await FakeAddressService.StartAsync();
        first.Refusal = "no OFFER";
        second.Choose = static _ => "10.30.0.1";
        await using var lab = await ControllerLab.StartAsync($$"""
            address-services:
            - {name: a, protocol: layer2, url: '{{first.Url}}'}
            - {name: b, protocol: layer2, url: '{{second.Url}}'}
            """);
        await lab.CreateAsync("web");

        Assert.Equal("b", (await lab.HasAsync("web", "10.30.0.1")).Metadata.Annotation(Annotations.AllocatedFromPool));
        // One that names its pool waits for it.
        await lab.CreateAsync("asks", (Annotations.AddressPool, "a"));
        await lab.ToldAsync("AddressPending", "waiting for an address from \"a\": no OFFER");
        await lab.HasAsync("asks");
    }

    [Fact]
    public async Task Nothing_is_written_while_leases_are_merely_confirmed()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]"));
        await lab.CreateAsync("web", TwoFamilies("RequireDualStack"));
        await ControllerLab.Until(async () => (await lab.GetAsync("web")).Status.LoadBalancer.Ingress is { Count: 2 }, () => "no addresses");
        string version = (await lab.GetAsync("web")).Metadata.ResourceVersion!;
        await lab.StopAsync();

        int asked = dhcp.Acquired;
        await using var second = await ControllerLab.StartAsync(Config(dhcp, "families: [ipv4, ipv6]"), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired >= asked + 2), () => "the leases were not confirmed");
        await second.CreateAsync("next");
        await ControllerLab.Until(async () => (await second.GetAsync("next")).Status.LoadBalancer.Ingress is { Count: 1 }, () => "no address");

        Assert.Equal(version, (await second.GetAsync("web")).Metadata.ResourceVersion);
        await second.StopAsync();
    }

    private static ServiceSpec TwoFamilies(string policy) => new()
    {
        ClusterIPs = ["10.96.0.200", "fd96::200"],
        ClusterIP = "10.96.0.200",
        IpFamilyPolicy = policy,
        IpFamilies = ["IPv4", "IPv6"],
        Ports = [new ServicePort { Port = 80 }],
    };

    private static ServiceSpec Ports(params int[] ports) => new() { Ports = [.. ports.Select(static port => new ServicePort { Port = port, Protocol = "TCP" })] };

    private static string Config(FakeAddressService dhcp, string more = "auto-assign: true") => $$"""
        address-services:
        - name: dhcp
          url: {{dhcp.Url}}
          protocol: layer2
          {{more}}
        """;
}
