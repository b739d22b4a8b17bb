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
        var leases = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 5).Select(static i => $"demo/web{i}"), Cancelled);
        Assert.Equal(5, leases.Select(lease => lease.Ip).Distinct(StringComparer.Ordinal).Count());
        string own = await lab.Network["node1"].MacAsync(Cancelled);
        Assert.All(leases, lease => Assert.Equal(own, lease.Mac, ignoreCase: true));

        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        for (int i = 0; i < leases.Length; i++)
            Assert.Equal(leases[i].Ip, (await lab.WaitForLeaseAsync($"demo/web{i}", lease => lease is { State: "bound", Verified: true }, 60, "a verified lease")).Ip);

        Assert.Equal(200, await lab.Service.ReleaseAsync(leases[0].Ip, Cancelled));
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(leases[0].Ip, Cancelled) is null, TimeSpan.FromSeconds(60), "the server to free the address", Cancelled);
        // dnsmasq writes its file anew, and it may be read while it does.
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(leases[1].Ip, Cancelled) is not null, TimeSpan.FromSeconds(60), "the other leases to be there", Cancelled);
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
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(first.Ip, Cancelled) is not null, TimeSpan.FromSeconds(60), "the first lease to be there", Cancelled);
    }
}

/// <summary>Renewal and rebinding where client identifiers alone tell leases apart; one class for each server, so that they run beside each other.</summary>
public abstract class SharedMacRenewalTests(string kind)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Services_under_one_MAC_are_renewed_each_and_rebound_when_the_server_was_silent_until_T2()
    {
        // T1 after 20 s and T2 after 35 s, by default and, but for dnsmasq, by the servers.
        await using var lab = await AddressLab.StartAsync(
            kind, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(40) }, "--identity", "client-id", "--release-delay", "0");
        var first = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 3).Select(static i => $"demo/web{i}"), Cancelled);
        // From the beginning, while they are as old as each other: T2 is five seconds before the end, and one renewal that is repeated would part them by as much.
        lab.Server.Signal("STOP");
        await Wait.UntilAsync(
            async () => (await lab.Service.StatusAsync(Cancelled)).Allocations.All(l => l.State == "rebinding"), TimeSpan.FromSeconds(60), "T2 of each", Cancelled);
        lab.Server.Signal("CONT");
        var rebound = await LaterAsync(lab, first.ToDictionary(static l => l.Ip, static l => l.ValidUntil), 20, "each to be rebound");
        await LaterAsync(lab, rebound, 60, "a renewal of each");
        var status = await lab.Service.StatusAsync(Cancelled);
        Assert.Equal(first.Select(l => l.Ip).Order(StringComparer.Ordinal), status.Allocations.Select(l => l.Ip).Order(StringComparer.Ordinal));
        Assert.DoesNotContain("lease.lost", status.Counters.Keys, StringComparer.Ordinal);
        Assert.Equal(3, status.Counters["sent.discover"]);
        foreach (var lease in first)
            Assert.NotNull(await Wait.ForAsync(() => lab.Server.LeaseOfAsync(lease.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled));
    }

    /// <summary>Waits until every lease is bound and ends later than before; when each ends then.</summary>
    private static Task<Dictionary<string, DateTimeOffset?>> LaterAsync(AddressLab lab, Dictionary<string, DateTimeOffset?> before, int seconds, string what) => Wait.ForAsync(
        async () => (await lab.Service.StatusAsync(Cancelled)).Allocations is var now && before.All(b => now.Any(l => l.Ip == b.Key && l is { State: "bound" } && l.ValidUntil > b.Value))
            ? now.ToDictionary(static l => l.Ip, static l => l.ValidUntil) : null,
        TimeSpan.FromSeconds(seconds), what, Cancelled);
}

public sealed class IscSharedMacRenewalTests() : SharedMacRenewalTests("isc");

public sealed class KeaSharedMacRenewalTests() : SharedMacRenewalTests("kea");

/// <summary>dnsmasq has no lease shorter than two minutes: a restart sends what a renewal sends, and T1 takes a minute.</summary>
public sealed class DnsmasqSharedMacRenewalTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Services_under_one_MAC_are_renewed_each()
    {
        await using var lab = await AddressLab.StartAsync(
            "dnsmasq", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(120) }, "--identity", "client-id", "--release-delay", "0");
        var first = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 3).Select(static i => $"demo/web{i}"), Cancelled);
        await Wait.UntilAsync(
            async () => (await lab.Service.StatusAsync(Cancelled)).Allocations is var now && first.All(b => now.Any(l => l.Ip == b.Ip && l.ValidUntil > b.ValidUntil)),
            TimeSpan.FromSeconds(110), "a renewal of each at T1", Cancelled);
        Assert.DoesNotContain("lease.lost", (await lab.Service.StatusAsync(Cancelled)).Counters.Keys, StringComparer.Ordinal);
    }
}
