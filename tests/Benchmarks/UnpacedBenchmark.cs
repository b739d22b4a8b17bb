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
        // A program that runs for months is measured warm: the runtime compiles what is called often once more, in the pauses.
        for (int i = 0; i < (report.IsShort ? 1 : 4); i++)
        {
            await lab.AcquireAsync($"warm{i}x", report.IsShort ? 50 : 500, 128, cancellationToken);
            await RestAsync(cancellationToken);
        }

        // Turn by turn, since the machine has other things to do as well; the best of each counts.
        var ours = TimeSpan.MaxValue;
        var provisioned = TimeSpan.MaxValue;
        var exchanged = TimeSpan.MaxValue;
        var (service, kea, caller, keaOfRival) = (TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero);
        int rounds = report.IsShort ? 1 : 3, exchanges = 0;
        for (int round = 0; round < rounds; round++)
        {
            var all = await Perfdhcp.AvalancheAsync(lab.Rival, leases, cancellationToken);
            provisioned = Shorter(provisioned, all.Duration);
            foreach (int rate in _rates)
            {
                var before = Used(lab.Server.ProcessId);
                var some = await Perfdhcp.AtRateAsync(lab.Rival, leases, rate, cancellationToken);
                keaOfRival += Used(lab.Server.ProcessId) - before;
                exchanges += some.Exchanges;
                // For those that were lost, as much time as the others took.
                exchanged = some.Exchanges == 0 ? exchanged : Shorter(exchanged, some.Duration * ((double)leases / some.Exchanges));
            }
            var (serviceBefore, keaBefore, callerBefore) = (Used(lab.Service.Process!.Id), Used(lab.Server.ProcessId), Used(Environment.ProcessId));
            var watch = Stopwatch.StartNew();
            string[] addresses = await lab.AcquireAsync($"round{round}x", leases, 128, cancellationToken);
            ours = Shorter(ours, watch.Elapsed);
            service += Used(lab.Service.Process!.Id) - serviceBefore;
            kea += Used(lab.Server.ProcessId) - keaBefore;
            caller += Used(Environment.ProcessId) - callerBefore;
            await RestAsync(cancellationToken);
            report.Require($"different addresses in round {round + 1}", $"{addresses.Distinct(StringComparer.Ordinal).Count()}", $"{leases}", addresses.Distinct(StringComparer.Ordinal).Count() == leases);
        }
        report.Tell($"{leases} leases, from the first POST to the last answer", Report.Milliseconds(ours));
        report.Tell($"perfdhcp, {leases} clients at once until all have a lease", Report.Milliseconds(provisioned));
        report.Tell($"perfdhcp, {leases} exchanges at its best rate, what is lost not repeated", Report.Milliseconds(exchanged));
        report.Time("time beside perfdhcp with clients at once", $"{Report.Number(ours / provisioned)}x", $"<= {Factor}x", ours <= provisioned * Factor);
        report.Tell("time beside perfdhcp at its best rate", $"{Report.Number(ours / exchanged)}x");
        report.Tell(
            "processor time of a lease: address service, Kea, caller",
            string.Join(", ", new[] { service, kea, caller }.Select(used => Report.Milliseconds(used / (rounds * leases)))));
        report.Tell("processor time of an exchange of perfdhcp: Kea alone", Report.Milliseconds(keaOfRival / exchanges));
    }

    /// <summary>What follows a round (files behind the log, compilation) is neither's to pay for.</summary>
    private static Task RestAsync(CancellationToken cancellationToken) => Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System, cancellationToken);

    private static TimeSpan Used(int process) => ProcessUsage.Of(process).Processor;

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;
}
