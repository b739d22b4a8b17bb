using System.Diagnostics;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Many leases at once.</summary>
public sealed class StormTests
{
    private const int Leases = 1000;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Case41_a_thousand_leases_are_confirmed_within_a_minute_of_a_restart_with_64_unanswered_at_most()
    {
        var options = new DhcpServerOptions { IsLarge = true, Lease = TimeSpan.FromHours(1) };
        await using var lab = await AddressLab.StartAsync(
            "dnsmasq", options,
            "--messages-per-second", "1000", "--message-burst", "150", "--requests-per-second", "5000", "--request-burst", "5000", "--request-timeout", "60");
        var before = new AcquireAddressAnswer[Leases];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Leases), new ParallelOptions { MaxDegreeOfParallelism = 200, CancellationToken = Cancelled },
            async (i, cancelled) => before[i] = await lab.Service.AcquireAsync($"demo/s{i}", cancelled));
        Assert.Equal(Leases, before.Select(a => a.Ip).Distinct(StringComparer.Ordinal).Count());

        await lab.Service.KillAsync();
        // At the server, where what causes a message is always seen before it.
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        var watch = Stopwatch.StartNew();
        await lab.Service.StartAgainAsync(Cancelled);
        var after = await Wait.ForAsync(
            async () => (await lab.Service.StatusAsync(Cancelled)).Allocations is var all && all.Count == Leases && all.All(l => l.Verified) ? all : null,
            TimeSpan.FromSeconds(60), "all leases to be confirmed", Cancelled);
        Console.WriteLine($"MEASURED dnsmasq: {Leases} leases confirmed in {watch.Elapsed.TotalSeconds:0.0} s");
        Assert.Equal(before.Select(a => a.Ip).Order(StringComparer.Ordinal), after.Select(l => l.Ip).Order(StringComparer.Ordinal));
        Assert.InRange(MostUnanswered(capture), 2, 64);
        Assert.Equal(0, capture.Count(DhcpMessageType.Discover));
        Assert.Equal(Leases, (await lab.Server.LeasesAsync(Cancelled)).Count);
    }

    /// <summary>Counted as the address service counts: one that is repeated was given up, for a server may be silent to some.</summary>
    private static int MostUnanswered(FrameCapture capture)
    {
        var waiting = new HashSet<uint>();
        var seen = new HashSet<uint>();
        int most = 0;
        foreach (var frame in capture.Frames())
        {
            if (frame.Type == DhcpMessageType.Request && seen.Add(frame.Message.TransactionId))
                waiting.Add(frame.Message.TransactionId);
            else
                waiting.Remove(frame.Message.TransactionId);
            most = Math.Max(most, waiting.Count);
        }
        return most;
    }
}
