using System.Diagnostics;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Short leases over time.</summary>
public abstract class ShortLeaseTests(string kind)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case13_a_lease_of_ten_seconds_lives_for_a_minute()
    {
        await using var lab = await AddressLab.StartAsync(kind, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(10) });
        var capture = await lab.CaptureAsync();
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < TimeSpan.FromSeconds(60))
        {
            // Before it is asked for: whoever asks may be held up afterwards.
            var now = TimeProvider.System.GetUtcNow();
            var lease = await lab.LeaseAsync("demo/web");
            Assert.NotNull(lease);
            Assert.Equal(answer.Ip, lease.Ip);
            Assert.True(lease.ValidUntil > now, $"expired: {lease}");
            await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, Cancelled);
        }

        Assert.InRange(capture.Count("Request"), 10, 120);
        Assert.Equal(1, capture.Count("Discover"));
    }

    [Fact]
    public async Task Case15_a_server_that_comes_back_before_expiry_renews()
    {
        await using var lab = await AddressLab.StartAsync(kind, new DhcpServerOptions { Lease = TimeSpan.FromSeconds(30) });
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await lab.Server.LeasesAsync(Cancelled);
        await lab.Server.StopAsync();
        await lab.WaitForLeaseAsync("demo/web", l => l.State == "renewing", 60, "T1");
        await lab.Server.StartAsync(Cancelled);
        var lease = await lab.WaitForLeaseAsync("demo/web", l => l.ValidUntil > answer.ValidUntil + TimeSpan.FromSeconds(5), 60, "a renewal");
        Assert.Equal(answer.Ip, lease.Ip);
        Assert.Single((await lab.Service.StatusAsync(Cancelled)).Allocations);
    }
}

public sealed class IscShortLeaseTests() : ShortLeaseTests("isc");

public sealed class KeaShortLeaseTests() : ShortLeaseTests("kea");

public sealed class UdhcpdShortLeaseTests() : ShortLeaseTests("udhcpd");

/// <summary>What the address service leaves behind when it ends.</summary>
public sealed class RestartTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(10)]
    [InlineData(20)]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(160)]
    public async Task Case28_SIGKILL_at_any_moment_leaves_one_lease_a_service(int milliseconds)
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        await lab.Service.AcquireAsync("demo/first", Cancelled);
        var posts = Enumerable.Range(0, 10).Select(i => TryAsync(lab, $"demo/s{i}")).ToArray();
        await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), TimeProvider.System, Cancelled);
        await lab.Service.KillAsync();
        var answered = await Task.WhenAll(posts);

        await lab.Service.StartAgainAsync(Cancelled);
        for (var i = 0; i < 10; i++)
        {
            var again = await lab.Service.AcquireAsync($"demo/s{i}", Cancelled);
            Assert.True(answered[i] is null || answered[i] == again.Ip, $"demo/s{i} had {answered[i]} and now has {again.Ip}");
        }

        var leases = (await lab.Service.StatusAsync(Cancelled)).Allocations;
        Assert.Equal(11, leases.Select(l => l.Ip).Distinct(StringComparer.Ordinal).Count());
        // dnsmasq writes its file anew each time, and it may be read while it does.
        await Wait.UntilAsync(async () => (await lab.Server.LeasesAsync(Cancelled)).Count(static l => l.Active) >= 11, TimeSpan.FromSeconds(60), "eleven entries at the server", Cancelled);
        Assert.Equal(11, (await lab.Server.LeasesAsync(Cancelled)).Count(static l => l.Active));
    }

    [Fact]
    [Trait("Fault", "A3")]
    public async Task Case43_a_shortened_renewal_of_ISC_ends_when_the_server_says()
    {
        await using var lab = await AddressLab.StartAsync("isc");
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System, Cancelled);
        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        var lease = await lab.WaitForLeaseAsync("demo/web", l => l.Verified, 60, "the lease to be confirmed");
        var theirs = await lab.Server.LeaseOfAsync(answer.Ip, Cancelled);
        // Ours counts from the REQUEST, theirs from the ACK, in whole seconds; what was shortened is ten.
        Assert.InRange((lease.ValidUntil!.Value - theirs!.Expiry).Duration().TotalSeconds, 0, 5);
    }

    [Fact]
    public async Task Case52_SIGTERM_with_a_hundred_leases_ends_in_five_seconds_and_releases_nothing()
    {
        await using var lab = await AddressLab.StartAsync("kea");
        await lab.Service.AcquireAllAsync(Enumerable.Range(0, 100).Select(static i => $"demo/s{i}"), Cancelled);
        var capture = await lab.CaptureAsync();
        var watch = Stopwatch.StartNew();
        lab.Service.Process!.Signal("TERM");
        await lab.Service.Process.WaitForExitAsync(Cancelled);
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 5);
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);
        Assert.Equal(0, capture.Count("Release"));
        Assert.Equal(100, (await lab.Server.LeasesAsync(Cancelled)).Count(l => l.Active));
    }

    private static async Task<string?> TryAsync(AddressLab lab, string service)
    {
        try
        {
            return (await lab.Service.AcquireAsync(service, Cancelled)).Ip;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            return null;
        }
    }
}

/// <summary>Two servers on one LAN.</summary>
public sealed class ServerPairTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("isc", "dnsmasq")]
    [InlineData("udhcpd", "kea")]
    public async Task Case19_and_20_the_other_servers_NAKs_and_ACKs_do_not_count(string first, string second)
    {
        await using var lab = await AddressLab.StartAsync(first, new DhcpServerOptions { First = 100, Last = 149 });
        var other = await lab.Network.AddHostAsync("router2", 2, Cancelled);
        await lab.AddServerAsync(second, other, new DhcpServerOptions { First = 150, Last = 199, Name = "dhcp2" });
        var before = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 10).Select(static i => $"demo/s{i}"), Cancelled);
        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        for (var i = 0; i < before.Length; i++)
        {
            var lease = await lab.WaitForLeaseAsync($"demo/s{i}", l => l.Verified, 60, "the lease to be confirmed");
            Assert.Equal((before[i].Ip, before[i].Server), (lease.Ip, lease.Server));
        }
    }
}
