using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>One MAC for all services, a client identifier each.</summary>
public sealed class IdentityTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("dnsmasq")]
    public async Task Case02_services_under_one_MAC_have_an_address_each_over_a_restart_and_each_is_given_back_alone(string kind)
    {
        await using var lab = await AddressLab.StartAsync(kind, null, "--identity", "client-id", "--release-delay", "0");
        var leases = await Task.WhenAll(Enumerable.Range(0, 5).Select(i => lab.Service.AcquireAsync($"demo/web{i}", Cancelled)));
        Assert.Equal(5, leases.Select(lease => lease.Ip).Distinct(StringComparer.Ordinal).Count());
        string own = await lab.Network["node1"].MacAsync(Cancelled);
        Assert.All(leases, lease => Assert.Equal(own, lease.Mac, ignoreCase: true));

        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        for (int i = 0; i < leases.Length; i++)
            Assert.Equal(leases[i].Ip, (await lab.WaitForLeaseAsync($"demo/web{i}", lease => lease is { State: "bound", Verified: true }, 10, "a verified lease")).Ip);

        Assert.Equal(200, await lab.Service.ReleaseAsync(leases[0].Ip, Cancelled));
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(leases[0].Ip, Cancelled) is null, TimeSpan.FromSeconds(5), "the server to free the address", Cancelled);
        // dnsmasq writes its file anew, and it may be read while it does.
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(leases[1].Ip, Cancelled) is not null, TimeSpan.FromSeconds(5), "the other leases to be there", Cancelled);
    }

    [Theory]
    [InlineData("udhcpd")]
    [InlineData("kea")]
    [InlineData("isc")]
    [InlineData("dnsmasq")]
    public async Task Case24_a_server_that_ignores_client_identifiers_fails_the_second_service_and_the_first_keeps_its_lease(string kind)
    {
        await using var lab = await AddressLab.StartAsync(kind, new DhcpServerOptions { IgnoresClientIds = true }, "--identity", "client-id", "--release-delay", "0");
        var first = await lab.Service.AcquireAsync("demo/web", Cancelled);
        var fault = await Assert.ThrowsAsync<AddressServiceUnavailableException>(() => lab.Service.AcquireAsync("demo/other", Cancelled));
        Assert.StartsWith("502 ", fault.Message, StringComparison.Ordinal);
        Assert.Contains("server ignores client identifiers", fault.Message, StringComparison.Ordinal);
        Assert.Equal(first.Ip, Assert.Single((await lab.Service.StatusAsync(Cancelled)).Allocations).Ip);
        Assert.NotNull(await lab.Server.LeaseOfAsync(first.Ip, Cancelled));
    }
}
