using System.Diagnostics;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Dhcp6;

/// <summary>Leases of IPv6 over kills and over time; one class for each server, so that they run beside each other.</summary>
public abstract class Ipv6KillTests(string kind)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Fifty_kills_at_random_moments_lose_nothing()
    {
        await using var lab = await RealDhcp6ServerTests.StartAsync(kind, 256, 600);
        // Without detection of duplicates, a second of each lease, more of the kills fall where it matters.
        using var service = await AddressServiceProcess.StartAsync(lab, lab["node"], Cancelled, "--families", "ipv6", "--probe", "off");
        await RandomKills.RunAsync(
            service, AddressFamilies.IPv6, () => Task.FromResult<IEnumerable<string>>(Dhcp6Server.Leases(kind, lab)), TimeSpan.FromSeconds(30), Cancelled);
    }
}

public sealed class KeaIpv6KillTests() : Ipv6KillTests("kea");

public sealed class DnsmasqIpv6KillTests() : Ipv6KillTests("dnsmasq");

/// <summary>Short leases of IPv6 over time. dnsmasq has none shorter than two minutes.</summary>
public abstract class Ipv6ShortLeaseTests(string kind)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Fault", "A14")]
    public async Task Case51_leases_of_ten_seconds_live_for_a_minute_while_others_come_and_go()
    {
        const int Kept = 3;
        await using var lab = await RealDhcp6ServerTests.StartAsync(kind, 256, 10);
        using var service = await AddressServiceProcess.StartAsync(lab, lab["node"], Cancelled, "--families", "ipv6", "--probe", "off", "--release-delay", "0");
        var leases = await Task.WhenAll(Enumerable.Range(0, Kept).Select(i => service.AcquireAsync($"demo/kept{i}", Cancelled, AddressFamilies.IPv6)));
        var watch = Stopwatch.StartNew();
        for (int round = 0; watch.Elapsed < TimeSpan.FromSeconds(60); round++)
        {
            var others = await Task.WhenAll(Enumerable.Range(0, 4).Select(i => service.AcquireAsync($"demo/other{round}-{i}", Cancelled, AddressFamilies.IPv6)));
            // Before they are asked for: whoever asks may be held up afterwards.
            var now = TimeProvider.System.GetUtcNow();
            var status = await service.StatusAsync(Cancelled);
            for (int i = 0; i < Kept; i++)
            {
                var lease = Assert.Single(status.Allocations, l => l.Service == $"demo/kept{i}");
                Assert.Equal(leases[i].Ip, lease.Ip);
                Assert.True(lease.ValidUntil > now, $"expired: {lease}");
            }
            Assert.All(await Task.WhenAll(others.Select(other => service.ReleaseAsync(other.Ip, Cancelled))), code => Assert.Equal(200, code));
            await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);
        }
        var counters = (await service.StatusAsync(Cancelled)).Counters;
        Assert.DoesNotContain("lease.lost", counters.Keys, StringComparer.Ordinal);
        Assert.InRange(counters["lease.renewed"], Kept * 5, Kept * 60);
        await Wait.UntilAsync(
            async () => (await service.StatusAsync(Cancelled)).Allocations.Count == Kept && (kind != "kea" || Dhcp6Server.Leases(kind, lab).Count == Kept),
            TimeSpan.FromSeconds(60), "the others to be given back", Cancelled);
    }
}

public sealed class KeaIpv6ShortLeaseTests() : Ipv6ShortLeaseTests("kea");

public sealed class IscIpv6ShortLeaseTests() : Ipv6ShortLeaseTests("isc");
