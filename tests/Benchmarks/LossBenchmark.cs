using System.Diagnostics;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>Short leases on a bad network.</summary>
internal static class LossBenchmark
{
    public static Benchmark Benchmark { get; } = new("loss", "1,000 leases of 10 s while the switch loses 5 % of DHCP's frames: none lost", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        int leases = report.IsShort ? 50 : 1000;
        var duration = report.IsShort ? TimeSpan.FromSeconds(12) : TimeSpan.FromMinutes(3);
        await using var lab = await BenchmarkLab.StartAsync(
            TimeSpan.FromSeconds(10), cancellationToken, "--messages-per-second", "0", "--message-burst", "150", "--request-timeout", "120");
        foreach (string command in new[]
        {
            "add table bridge loss",
            "add chain bridge loss forward { type filter hook forward priority 0; }",
            "add rule bridge loss forward udp dport { 67, 68 } numgen random mod 100 < 5 counter drop",
        })
        {
            await lab.Network.Switch.RunAsync("nft", [command], cancellationToken);
        }

        string[] addresses = await lab.AcquireAsync("loss", leases, 64, cancellationToken);
        var watch = Stopwatch.StartNew();
        int fewest = leases;
        while (watch.Elapsed < duration)
        {
            await Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, cancellationToken);
            var seen = await lab.Service.StatusAsync(cancellationToken);
            fewest = Math.Min(fewest, seen.Allocations.Count(l => l.ValidUntil > TimeProvider.System.GetUtcNow() && addresses.Contains(l.Ip, StringComparer.Ordinal)));
        }
        var counters = (await lab.Service.StatusAsync(cancellationToken)).Counters;
        long lost = counters.GetValueOrDefault("lease.lost");
        report.Tell("renewals, and messages sent for them", $"{counters.GetValueOrDefault("lease.renewed")}, {counters.GetValueOrDefault("sent.request") - leases}");
        report.Require("addresses held at the worst moment", $"{fewest}", $"{leases}", fewest == leases);
        report.Require("leases lost", $"{lost}", "0", lost == 0);
    }
}
