using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Addresses from address services. Faults of the earlier implementation carry its number in the list of peers (F1 to F16).</summary>
public class LeasedAddressTests
{
    [Fact]
    public async Task A_Service_gets_a_leased_address_with_its_end()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");

        var service = await lab.HasAsync("web", "10.20.0.11");

        Assert.Equal("dhcp", service.Metadata.Annotation(Annotations.AllocatedFromPool));
        Assert.Equal("2030-01-01T00:00:00Z", service.Metadata.Annotation(Annotations.ValidUntil));
    }

    [Theory]
    [InlineData("announced-mac: Lease", null, "10.20.0.11=02:4c:42:00:00:01")]
    [InlineData("announced-mac: Node", null, null)]
    // Told apart by client identifiers: the MAC is that of the address service's node.
    [InlineData("announced-mac: Lease", true, null)]
    public async Task The_MAC_of_a_lease_is_told_where_addresses_are_announced_with_it(string setting, bool? shared, string? annotation)
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.SharesMac = shared;
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, setting));
        await lab.CreateAsync("web");

        Assert.Equal(annotation, (await lab.HasAsync("web", "10.20.0.11")).Metadata.Annotation(Annotations.LeaseMacs));
    }

    [Fact]
    public async Task The_end_of_a_lease_is_kept_fresh_and_a_changed_address_taken_up()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        dhcp.ValidUntil = new DateTimeOffset(2031, 1, 1, 0, 0, 0, TimeSpan.Zero);
        dhcp.Add("default/web", "10.20.0.99");

        Assert.Equal("2031-01-01T00:00:00Z", (await lab.HasAsync("web", "10.20.0.99")).Metadata.Annotation(Annotations.ValidUntil));
    }

    [Fact]
    public async Task A_deleted_Service_gives_its_lease_back()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        await lab.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "web", CancellationToken.None);

        await Empty(dhcp);
    }

    [Fact]
    public async Task F7_a_dead_address_service_delays_no_other_Service_and_is_reported()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Gate = new TaskCompletionSource().Task;
        await using var lab = await ControllerLab.StartAsync(
            Config(dhcp) + "\naddress-pools: [{name: static, protocol: layer2, addresses: [10.0.0.0/24], auto-assign: false}]");
        for (int i = 0; i < 50; i++)
            await lab.CreateAsync($"leased{i}");
        await lab.CreateAsync("static", (Annotations.AddressPool, "static"));

        await lab.HasAsync("static", "10.0.0.0");
        await lab.ToldAsync("AddressPending", "waiting for an address from \"dhcp\"");
    }

    [Fact]
    public async Task F9_a_failed_lease_is_tried_again_and_its_cause_told()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Refusal = "no OFFER from any server (3 DISCOVERs)";
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.ToldAsync("AddressPending", "no OFFER from any server");

        dhcp.Refusal = null;

        await lab.HasAsync("web", "10.20.0.11");
    }

    [Fact]
    public async Task F10_leases_of_Services_deleted_while_we_were_down_are_given_back()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Add("default/gone", "10.20.0.77");

        await using var lab = await ControllerLab.StartAsync(Config(dhcp));

        await Empty(dhcp);
    }

    [Fact]
    public async Task F11_an_address_asked_for_in_an_address_services_range_is_leased_not_assumed()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"));
        await lab.CreateAsync("web", (Annotations.LoadBalancerIPs, "10.20.0.50"));

        await lab.HasAsync("web", "10.20.0.50");

        Assert.Equal("10.20.0.50", dhcp.Leases["default/web"].Ip);
    }

    [Fact]
    public async Task A_Service_with_an_address_that_asks_for_another_gets_it_from_DHCP_and_gives_the_first_back()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        await AskAsync(lab, "web", "10.20.0.50");

        var service = await lab.HasAsync("web", "10.20.0.50");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 1), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");
        var lease = Assert.Single(dhcp.Leases.Values);
        Assert.Equal("10.20.0.50", lease.Ip);
        Assert.Equal($"{lease.Service}@{lease.Uid}", service.Metadata.Annotation(Annotations.Lease));

        // After a restart it is the same lease.
        await lab.StopAsync();
        int asked = dhcp.Acquired;
        await using var second = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"), lab.Api);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired > asked), () => "the lease was not confirmed");
        await second.HasAsync("web", "10.20.0.50");
        Assert.Equal([lease.Service], dhcp.Leases.Values.Select(static held => held.Service));
        await second.StopAsync();
    }

    [Fact]
    public async Task A_Service_that_asks_for_an_address_that_DHCP_gives_nobody_keeps_the_one_that_works()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        dhcp.Choose = static _ => "10.20.0.77";

        await AskAsync(lab, "web", "10.20.0.50");

        await lab.ToldAsync("AddressDiffers", "asked for 10.20.0.50, but DHCP gave 10.20.0.77 through \"dhcp\": 10.20.0.11 is kept");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 1), () => "the other lease was not given back");
        Assert.Equal("10.20.0.11", dhcp.Leases["default/web"].Ip);
        await lab.HasAsync("web", "10.20.0.11");
    }

    [Fact]
    public async Task A_Service_keeps_its_address_while_the_one_it_asks_for_is_not_to_be_had_and_may_think_better_of_it()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        dhcp.Refusal = "no OFFER from any server";

        await AskAsync(lab, "web", "10.20.0.50");
        await lab.ToldAsync("AddressPending", "waiting for 10.20.0.50 from \"dhcp\", 10.20.0.11 is kept until then: no OFFER from any server");
        await lab.HasAsync("web", "10.20.0.11");

        dhcp.Refusal = null;
        await lab.HasAsync("web", "10.20.0.50");
        await AskAsync(lab, "web", "10.20.0.51");
        await lab.HasAsync("web", "10.20.0.51");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 1), () => $"leases of {string.Join(' ', dhcp.Leases.Keys)}");
    }

    [Fact]
    public async Task What_is_sought_for_a_Service_is_sought_no_more_when_it_asks_for_something_that_nobody_understands()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [10.20.0.0/24]"));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        dhcp.Refusal = "no OFFER from any server";
        await AskAsync(lab, "web", "10.20.0.50");
        await lab.ToldAsync("AddressPending", "waiting for 10.20.0.50");

        await AskAsync(lab, "web", "nonsense");

        await lab.ToldAsync("LoadBalancerFailed", "invalid address \"nonsense\" asked for");
        string sought = dhcp.Asked.First(static request => request.Ip == "10.20.0.50").Service!;
        await ControllerLab.Until(() => Task.FromResult(dhcp.GivenBack.Contains(sought)), () => $"{sought} was not given back");
        await lab.HasAsync("web", "10.20.0.11");
    }

    [Fact]
    public async Task A_Service_with_an_address_of_a_pool_keeps_it_until_DHCP_has_given_the_one_it_asks_for()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Choose = static _ => "10.20.0.77";
        await using var lab = await ControllerLab.StartAsync(
            Config(dhcp, "cidrs: [10.20.0.0/24]") + "\naddress-pools: [{name: static, protocol: layer2, addresses: [10.0.0.0/24]}]");
        await lab.CreateAsync("web", (Annotations.AddressPool, "static"));
        await lab.HasAsync("web", "10.0.0.0");

        await lab.PatchAsync(
            "web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.AddressPool}}}}":null,"{{{{Annotations.LoadBalancerIPs}}}}":"10.20.0.50"}}}""");
        await lab.ToldAsync("AddressDiffers", "10.0.0.0 is kept");
        await lab.HasAsync("web", "10.0.0.0");
        dhcp.Choose = null;
        await AskAsync(lab, "web", "10.20.0.51");

        await lab.HasAsync("web", "10.20.0.51");
    }

    [Fact]
    public async Task No_more_calls_are_made_at_once_than_the_configuration_says()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        var gate = new TaskCompletionSource();
        dhcp.Gate = gate.Task;
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "concurrency: 3"));
        for (int i = 0; i < 20; i++)
            await lab.CreateAsync($"web{i}");
        await ControllerLab.Until(() => Task.FromResult(dhcp.MostAtOnce == 3), () => $"{dhcp.MostAtOnce} calls at once");

        gate.SetResult();

        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 20), () => $"{dhcp.Leases.Count} leases");
        Assert.Equal(3, dhcp.MostAtOnce);
    }

    [Fact]
    public async Task F1_an_address_outside_the_cidrs_is_refused_without_draining_the_service()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "cidrs: [192.168.0.0/24]"));
        await lab.CreateAsync("web");

        await lab.ToldAsync("AddressPending", "outside the configured cidrs");

        await lab.HasAsync("web");
        Assert.Single(dhcp.Leases);
    }

    [Fact]
    public async Task F12_after_a_restart_the_address_in_the_status_is_confirmed()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        await lab.StopAsync();
        int before = dhcp.Acquired;

        await using var second = await ControllerLab.StartAsync(Config(dhcp), lab.Api);

        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired > before), () => "the lease was not confirmed");
        await second.HasAsync("web", "10.20.0.11");
        await second.StopAsync();
    }

    [Fact]
    public async Task A_known_address_stays_while_the_address_service_is_away()
    {
        var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        await lab.StopAsync();
        await dhcp.DisposeAsync();

        await using var second = await ControllerLab.StartAsync(Config(dhcp), lab.Api);

        await second.ToldAsync("AddressUnconfirmed", "10.20.0.11");
        await second.HasAsync("web", "10.20.0.11");
        await second.StopAsync();
    }

    [Fact]
    public async Task F15_the_token_comes_from_a_Secret()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        dhcp.Token = "s3cret";
        await using var lab = await ControllerLab.StartAsync(Config(dhcp, "token-secret: {name: token}"));
        await lab.Api.Client.CreateAsync(
            ResourceTypes.Secrets,
            new Secret
            {
                Metadata = new ObjectMeta { Name = "token", Namespace = "default" },
                Data = new Dictionary<string, string> { ["token"] = Convert.ToBase64String("s3cret"u8) },
            },
            CancellationToken.None);
        await lab.CreateAsync("web");

        await lab.HasAsync("web", "10.20.0.11");
    }

    [Fact]
    public async Task F3_removing_an_address_service_from_the_configuration_harms_nobody_else()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        await lab.ConfigureAsync("address-pools: [{name: static, protocol: layer2, addresses: [10.0.0.0/24]}]");

        await lab.HasAsync("web", "10.0.0.0");
    }

    [Fact]
    public async Task A_Service_that_moves_to_a_pool_gives_its_lease_back()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(
            Config(dhcp) + "\naddress-pools: [{name: static, protocol: layer2, addresses: [10.0.0.0/24], auto-assign: false}]");
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");

        await lab.PatchAsync("web", $$$$"""{"metadata":{"annotations":{"{{{{Annotations.AddressPool}}}}":"static"}}}""");

        Assert.Null((await lab.HasAsync("web", "10.0.0.0")).Metadata.Annotation(Annotations.ValidUntil));
        await Empty(dhcp);
    }

    private static Task AskAsync(ControllerLab lab, string service, string address) =>
        lab.PatchAsync(service, $$$$"""{"metadata":{"annotations":{"{{{{Annotations.LoadBalancerIPs}}}}":"{{{{address}}}}"}}}""");

    private static Task Empty(FakeAddressService dhcp) =>
        ControllerLab.Until(() => Task.FromResult(dhcp.Leases.IsEmpty), () => $"{dhcp.Leases.Count} leases are still there");

    private static string Config(FakeAddressService dhcp, string more = "auto-assign: true") => $$"""
        address-services:
        - name: dhcp
          url: {{dhcp.Url}}
          protocol: layer2
          {{more}}
        """;
}
