using System.Diagnostics;
using System.Net.Sockets;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>A killed address service that comes back.</summary>
internal static class RestartBenchmark
{
    private const int PerSecond = 50;

    public static Benchmark Benchmark { get; } = new("restart", "SIGKILL and restart with 1,000 leases: when it answers, when all are verified", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        int leases = report.IsShort ? 50 : 1000;
        await using var lab = await BenchmarkLab.StartAsync(TimeSpan.FromSeconds(600), cancellationToken, "--messages-per-second", "0");
        string[] addresses = await lab.AcquireAsync("restart", leases, 64, cancellationToken);
        await lab.Service.KillAsync();

        lab.Service.Arguments = [.. lab.Service.Arguments, "--messages-per-second", Report.Number(PerSecond)];
        var watch = Stopwatch.StartNew();
        var starting = lab.Service.StartAgainAsync(cancellationToken);
        string again = await FirstAnswerAsync(lab, "bench/restart0", cancellationToken);
        var answered = watch.Elapsed;
        await starting;
        int verified;
        var bound = TimeSpan.FromSeconds(((double)leases / PerSecond) + 5);
        do
        {
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System, cancellationToken);
            var seen = await lab.Service.StatusAsync(cancellationToken);
            verified = seen.Allocations.Count(l => l.Verified && addresses.Contains(l.Ip, StringComparer.Ordinal));
        }
        while (verified < leases && watch.Elapsed < bound * 2);

        report.Require("same address for the first caller", again, addresses[0], again == addresses[0]);
        report.Time("from the start of the process to its first answer, out of the store", Report.Milliseconds(answered), "<= 1 s", answered <= TimeSpan.FromSeconds(1));
        report.Require("leases verified with their addresses", $"{verified}", $"{leases}", verified == leases);
        report.Time(
            $"until all are verified, at {PerSecond} messages a second", $"{Report.Number(watch.Elapsed.TotalSeconds)} s", $"<= {Report.Number(bound.TotalSeconds)} s", watch.Elapsed <= bound);
    }

    private static async Task<string> FirstAnswerAsync(BenchmarkLab lab, string service, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                using var connection = await lab.Http.ConnectAsync(cancellationToken);
                return await connection.AcquireAsync(service, cancellationToken);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, cancellationToken);
            }
        }
    }
}
