using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Dhcp6;

/// <summary>The address service leases IPv6 addresses from real servers.</summary>
public sealed class Ipv6LeasingTests
{
    public static TheoryData<string> Kinds => new(Dhcp6Server.Kinds);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task Case51_an_address_is_leased_renewed_kept_over_a_kill_and_released(string kind)
    {
        // The only address there is: whoever gets it next shows that it was given back.
        await using var lab = await RealDhcp6ServerTests.StartAsync(kind, 1, kind == "dnsmasq" ? 600 : 60);
        using var service = await StartAsync(lab);
        var lease = await service.AcquireAsync("demo/web", Cancelled, AddressFamilies.IPv6);
        Assert.Equal(("fd77::1:0", "ipv6", true), (lease.Ip, lease.Family, lease.Verified));
        Assert.StartsWith("0004", lease.Duid, StringComparison.Ordinal);
        if (kind != "dnsmasq")
            await LeaseAsync(service, now => now.ValidUntil > lease.ValidUntil, "the renewal");

        await service.KillAsync();
        await service.StartAgainAsync(Cancelled);
        var kept = await LeaseAsync(service, now => now.Verified, "the lease to be confirmed");
        Assert.Equal((lease.Ip, lease.Id, lease.Duid), (kept.Ip, kept.Id, kept.Duid));
        var sent = (await service.StatusAsync(Cancelled)).Counters;
        Assert.InRange(sent["sent6.rebind"], 1, 3);
        Assert.DoesNotContain("sent6.solicit", sent.Keys, StringComparer.Ordinal);

        Assert.Equal(200, await service.ReleaseAsync(lease.Ip, Cancelled));
        var next = await service.AcquirePatientlyAsync(new AcquireAddressRequest("demo/next", Family: AddressFamilies.IPv6), Cancelled);
        Assert.Equal(lease.Ip, next.Ip);
        Assert.NotEqual(lease.Duid, next.Duid);
    }

    [Fact]
    public async Task Case51_an_address_that_a_host_uses_is_declined_and_never_handed_out()
    {
        await using var lab = await RealDhcp6ServerTests.StartAsync("kea", 2, 600);
        await lab["server"].Namespace.IpAsync("-6 address add fd77::1:0/64 dev eth0 nodad", Cancelled);
        using var service = await StartAsync(lab);
        Assert.Equal("fd77::1:1", (await service.AcquireAsync("demo/web", Cancelled, AddressFamilies.IPv6)).Ip);
        Assert.Equal(1, (await service.StatusAsync(Cancelled)).Counters["sent6.decline"]);
    }

    [Theory]
    [InlineData("isc")]
    [InlineData("kea")]
    public async Task Case51_as_a_relay_agent_it_leases_on_its_own_link_and_on_another_by_the_link_address(string kind)
    {
        const string Links = """
            [{name: own, interface: eth0, namespaces: [own]},
             {name: far, interface: eth0, relay6-link: "fd88::", namespaces: [far]}]
            """;
        // Long enough for a restart on a busy machine.
        await using var lab = await RealDhcp6ServerTests.StartAsync(kind, 4, 60);
        await lab["node"].Namespace.IpAsync("-6 address add fd77::2/64 dev eth0 nodad", Cancelled);
        using var service = await AddressServiceProcess.StartAsync(
            lab, lab["node"], Cancelled, "--families", "ipv6", "--relay6-servers", "fd77::1", "--release-delay", "0", "--interfaces", Links);
        var own = await service.AcquireAsync("own/web", Cancelled, AddressFamilies.IPv6);
        var far = await service.AcquireAsync("far/web", Cancelled, AddressFamilies.IPv6);
        Assert.Equal(("fd77::1:", "fd88::1:"), (own.Ip[..8], far.Ip[..8]));
        await Wait.UntilAsync(
            async () => (await service.StatusAsync(Cancelled)).Allocations is { Count: 2 } leases && leases.All(now => now.Verified && now.ValidUntil > far.ValidUntil),
            TimeSpan.FromSeconds(60), "the renewals", Cancelled);

        await service.KillAsync();
        await service.StartAgainAsync(Cancelled);
        await Wait.UntilAsync(
            async () => (await service.StatusAsync(Cancelled)).Allocations is { Count: 2 } leases && leases.All(now => now is { Verified: true, State: "bound" }),
            TimeSpan.FromSeconds(60), "the leases to be confirmed", Cancelled);
        var status = await service.StatusAsync(Cancelled);
        Assert.Equal([far.Ip, own.Ip], status.Allocations.Select(lease => lease.Ip));
        Assert.DoesNotContain("dropped.unknowntransaction", status.Counters.Keys, StringComparer.Ordinal);
        Assert.DoesNotContain("sent6.solicit", status.Counters.Keys, StringComparer.Ordinal);
        Assert.Equal(200, await service.ReleaseAsync(own.Ip, Cancelled));
        Assert.Equal(200, await service.ReleaseAsync(far.Ip, Cancelled));
    }

    [Fact]
    public async Task Case40_on_a_VLAN_by_its_tag_an_address_is_leased_one_in_use_declined_and_the_servers_solicitations_answered()
    {
        await using var lab = await RealDhcp6ServerTests.StartAsync("kea", 2, 20, static lab => lab.ConnectByVlanAsync("server", "node", 100, Cancelled));
        await lab["server"].Namespace.IpAsync("-6 address add fd77::1:0/64 dev eth0 nodad", Cancelled);
        using var service = await AddressServiceProcess.StartAsync(lab, lab["node"], Cancelled, "--families", "ipv6", "--vlan", "100", "--release-delay", "0");
        var lease = await service.AcquireAsync("demo/web", Cancelled, AddressFamilies.IPv6);
        Assert.Equal("fd77::1:1", lease.Ip);
        Assert.Equal(1, (await service.StatusAsync(Cancelled)).Counters["sent6.decline"]);
        await LeaseAsync(service, now => now.ValidUntil > lease.ValidUntil, "the renewal");
        Assert.Equal(200, await service.ReleaseAsync(lease.Ip, Cancelled));
    }

    private static Task<AddressServiceProcess> StartAsync(LabNetwork lab) =>
        AddressServiceProcess.StartAsync(lab, lab["node"], Cancelled, "--families", "ipv6", "--release-delay", "0");

    private static Task<LeaseAnswer> LeaseAsync(AddressServiceProcess service, Func<LeaseAnswer, bool> condition, string what) => Wait.ForAsync(
        async () => (await service.StatusAsync(Cancelled)).Allocations is [var lease] && condition(lease) ? lease : null, TimeSpan.FromSeconds(60), what, Cancelled);
}
