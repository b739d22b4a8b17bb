using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What must not be lost when something is wrong.</summary>
public class ControllerFaultTests
{
    [Theory]
    [InlineData(Annotations.LoadBalancerIPs, "not-an-address")]
    [InlineData(Annotations.LoadBalancerIPs, "192.0.2.9")]
    [InlineData(Annotations.LoadBalancerIPs, "10.0.0.2")]
    [InlineData(Annotations.LoadBalancerIPs, "fd00::1")]
    [InlineData(Annotations.AddressPool, "unknown")]
    public async Task A_request_that_cannot_be_met_takes_no_working_address_away(string annotation, string value)
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.1");
        await lab.CreateAsync("neighbour");
        await lab.HasAsync("neighbour", "10.0.0.2");
        await lab.CreateAsync("leased", (Annotations.AddressPool, "dhcp"));
        await lab.HasAsync("leased", "10.20.0.11");

        await AnnotateAsync(lab, "web", annotation, value);
        await AnnotateAsync(lab, "leased", annotation, value);
        await SettleAsync();

        await lab.HasAsync("web", "10.0.0.1");
        await lab.HasAsync("leased", "10.20.0.11");
        Assert.Contains("default/leased", dhcp.Leases.Keys);
    }

    [Fact]
    public async Task A_malformed_request_keeps_a_lease_over_a_restart_too()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("leased", (Annotations.AddressPool, "dhcp"));
        await lab.HasAsync("leased", "10.20.0.11");
        await AnnotateAsync(lab, "leased", Annotations.LoadBalancerIPs, "nonsense");
        await lab.StopAsync();

        var again = await ControllerLab.StartAsync(Config(dhcp), lab.Api);
        await SettleAsync();
        await again.StopAsync();

        Assert.Contains("default/leased", dhcp.Leases.Keys);
    }

    [Fact]
    public async Task F12_after_a_restart_the_held_address_is_the_one_asked_for()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("leased", (Annotations.AddressPool, "dhcp"));
        await lab.HasAsync("leased", "10.20.0.11");
        await lab.StopAsync();
        dhcp.Leases.Clear();

        var again = await ControllerLab.StartAsync(Config(dhcp), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.ContainsKey("default/leased")), () => "no new lease");
        await again.StopAsync();

        Assert.Equal("10.20.0.11", dhcp.Leases["default/leased"].Ip);
    }

    [Fact]
    public async Task F10_a_refused_release_is_repeated_until_it_is_done()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("leased", (Annotations.AddressPool, "dhcp"));
        await lab.HasAsync("leased", "10.20.0.11");
        dhcp.RefusesReleases = true;

        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "leased", CancellationToken.None);
        await SettleAsync();
        Assert.NotEmpty(dhcp.Leases);
        dhcp.RefusesReleases = false;

        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.IsEmpty), () => "the lease is still there");
    }

    [Fact]
    public async Task A_lease_that_somebody_else_asked_for_is_not_given_back()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Add("default/gone", "10.20.0.77");
        dhcp.Add("somebody/else", "10.20.0.78", uid: null);
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));

        await ControllerLab.Until(() => Task.FromResult(!dhcp.Leases.ContainsKey("default/gone")), () => "the orphan is still there");
        await SettleAsync();

        Assert.Contains("somebody/else", dhcp.Leases.Keys);
    }

    [Fact]
    public async Task A_lost_lease_is_asked_for_again()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("leased", (Annotations.AddressPool, "dhcp"));
        var service = await lab.HasAsync("leased", "10.20.0.11");

        // The address service still knows the Service, but has no address for it at the moment.
        dhcp.Asked.Clear();
        dhcp.Add("default/leased", "", service.Metadata.Uid);
        await ControllerLab.Until(() => Task.FromResult(!dhcp.Asked.IsEmpty), () => "not asked again");
        dhcp.Add("default/leased", "10.20.0.40", service.Metadata.Uid);

        await lab.HasAsync("leased", "10.20.0.40");
    }

    [Fact]
    public async Task A_Service_that_waits_for_a_lease_keeps_its_pool_address_until_then()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Refusal = "no OFFER";
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.0.0.1");

        await AnnotateAsync(lab, "web", Annotations.AddressPool, "dhcp");
        await lab.ToldAsync("AddressPending", "no OFFER");
        await lab.HasAsync("web", "10.0.0.1");
        dhcp.Refusal = null;

        await lab.HasAsync("web", "10.20.0.11");
    }

    private static string Config(FakeAddressService dhcp) => $"""
        address-pools: [{"{"}name: static, protocol: layer2, addresses: [10.0.0.1-10.0.0.4]{"}"}]
        address-services:
        - name: dhcp
          protocol: layer2
          auto-assign: false
          url: {dhcp.Url}
          cidrs: [10.20.0.0/24]
        """;

    private static Task AnnotateAsync(ControllerLab lab, string name, string key, string value) =>
        lab.PatchAsync(name, "{\"metadata\":{\"annotations\":{\"" + key + "\":\"" + value + "\"}}}");

    // What must not happen needs time not to happen in: several rounds of polling, and the grace for orphans.
    private static Task SettleAsync() => Task.Delay(TimeSpan.FromMilliseconds(700), TimeProvider.System);
}
