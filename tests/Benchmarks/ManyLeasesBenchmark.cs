using System.Diagnostics;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>What ten thousand leases cost while they are merely kept.</summary>
internal static class ManyLeasesBenchmark
{
    private static readonly TimeSpan _lease = TimeSpan.FromSeconds(600);

    public static Benchmark Benchmark { get; } = new("many", "10,000 leases of 600 s in one process: none lost, memory and processor", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        // Leased over 300 s, when the first are renewed: from then on renewals come as evenly as they do after hours, 33 a second.
        int leases = report.IsShort ? 300 : 10_000;
        var lease = report.IsShort ? TimeSpan.FromSeconds(20) : _lease;
        await using var lab = await BenchmarkLab.StartAsync(lease, cancellationToken, "--messages-per-second", "0");
        // Idle is a process that has worked before, its code compiled, and has no lease.
        foreach (string address in await lab.AcquireAsync("warm", report.IsShort ? 10 : 500, 16, cancellationToken))
            await lab.Service.ReleaseAsync(address, cancellationToken);
        await Task.Delay(TimeSpan.FromSeconds(report.IsShort ? 1 : 10), TimeProvider.System, cancellationToken);
        int process = lab.Service.Process!.Id;
        long idle = ProcessUsage.Of(process).Resident;

        var watch = Stopwatch.StartNew();
        string[] addresses = await lab.AcquireAsync("many", leases, 16, cancellationToken, leases / (lease.TotalSeconds / 2));
        var rest = (lease / 2) - watch.Elapsed;
        if (rest > TimeSpan.Zero)
            await Task.Delay(rest, TimeProvider.System, cancellationToken);

        long renewedBefore = await lab.TotalAsync("lease.renewed", cancellationToken);
        var before = ProcessUsage.Of(process);
        watch.Restart();
        await Task.Delay(report.IsShort ? TimeSpan.FromSeconds(10) : TimeSpan.FromSeconds(120), TimeProvider.System, cancellationToken);
        var after = ProcessUsage.Of(process);
        double share = (after.Processor - before.Processor) / watch.Elapsed;
        double renewals = (await lab.TotalAsync("lease.renewed", cancellationToken) - renewedBefore) / watch.Elapsed.TotalSeconds;

        var status = await lab.Service.StatusAsync(cancellationToken);
        int held = status.Allocations.Count(l => addresses.Contains(l.Ip, StringComparer.Ordinal) && l.ValidUntil > TimeProvider.System.GetUtcNow());
        long lost = status.Counters.GetValueOrDefault("lease.lost");
        report.Require("leases held", $"{held}", $"{leases}", held == leases);
        report.Require("leases lost", $"{lost}", "0", lost == 0);
        report.Time("memory per lease over the idle process", $"{Report.Number((after.Resident - idle) / (1024.0 * leases))} KiB", "< 4 KiB", after.Resident - idle < 4096L * leases);
        report.Tell("memory of the process, idle and with all leases", $"{Report.Number(idle / 1048576.0, "0")} and {Report.Number(after.Resident / 1048576.0, "0")} MiB");
        report.Tell("renewals", $"{Report.Number(renewals, "0.0")}/s");
        report.Time("processor in steady state", $"{Report.Number(share * 100)} % of one", "< 2 %", share < 0.02);
    }
}
