using System.Diagnostics;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>A thousand leases as fast as they come, beside perfdhcp with the same server.</summary>
internal static class UnpacedBenchmark
{
    private const double Factor = 1.3;
    private static readonly int[] _rates = [1000, 2000, 4000, 8000];

    public static Benchmark Benchmark { get; } = new("unpaced", "1,000 leases from Kea, unpaced, beside perfdhcp", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        int leases = report.IsShort ? 100 : 1000;
        await using var lab = await BenchmarkLab.StartAsync(TimeSpan.FromSeconds(600), cancellationToken, "--messages-per-second", "0");
        // A program that runs for months is measured warm.
        await lab.AcquireAsync("warm", report.IsShort ? 50 : 500, 64, cancellationToken);

        // Turn by turn, since the machine has other things to do as well; the best of each counts.
        var ours = TimeSpan.MaxValue;
        var provisioned = TimeSpan.MaxValue;
        var exchanged = TimeSpan.MaxValue;
        for (int round = 0; round < (report.IsShort ? 1 : 3); round++)
        {
            var all = await Perfdhcp.AvalancheAsync(lab.Rival, leases, cancellationToken);
            provisioned = Shorter(provisioned, all.Duration);
            foreach (int rate in _rates)
            {
                var some = await Perfdhcp.AtRateAsync(lab.Rival, leases, rate, cancellationToken);
                // For those that were lost, as much time as the others took.
                exchanged = Shorter(exchanged, some.Duration * ((double)leases / some.Exchanges));
            }
            var watch = Stopwatch.StartNew();
            string[] addresses = await lab.AcquireAsync($"round{round}x", leases, 128, cancellationToken);
            ours = Shorter(ours, watch.Elapsed);
            report.Require($"different addresses in round {round + 1}", $"{addresses.Distinct(StringComparer.Ordinal).Count()}", $"{leases}", addresses.Distinct(StringComparer.Ordinal).Count() == leases);
        }
        report.Tell($"{leases} leases, from the first POST to the last answer", Report.Milliseconds(ours));
        report.Tell($"perfdhcp, {leases} clients at once until all have a lease", Report.Milliseconds(provisioned));
        report.Tell($"perfdhcp, {leases} exchanges at its best rate, what is lost not repeated", Report.Milliseconds(exchanged));
        report.Time("time beside perfdhcp with clients at once", $"{Report.Number(ours / provisioned)}x", $"<= {Factor}x", ours <= provisioned * Factor);
        report.Tell("time beside perfdhcp at its best rate", $"{Report.Number(ours / exchanged)}x");
    }

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;
}
