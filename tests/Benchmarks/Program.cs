using System.Diagnostics;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>Runs benchmarks one after the other: all, or those named. Ends with 1 when a target is missed.</summary>
internal static class Program
{
    private static readonly Benchmark[] _all =
    [
        AllocationBenchmark.Benchmark,
        UnpacedBenchmark.Benchmark,
        LatencyBenchmark.Benchmark,
        RestartBenchmark.Benchmark,
        LossBenchmark.Benchmark,
        ManyLeasesBenchmark.Benchmark,
        NeighborBenchmark.Benchmark,
        ControllerBenchmark.Benchmark,
        BgpBenchmark.Benchmark,
    ];

    private static async Task<int> Main(string[] arguments)
    {
        bool isShort = arguments.Contains("--short");
        bool records = arguments.Contains("--record");
        string[] names = [.. arguments.Where(a => a is not ("--short" or "--record"))];
        if (names.FirstOrDefault(name => _all.All(b => b.Name != name)) is { } unknown)
        {
            Console.Error.WriteLine($"{(unknown is "--help" ? "usage" : $"unknown: {unknown}; usage")}: bench.sh [--short] [--record] [NAME]...");
            foreach (var benchmark in _all)
                Console.Error.WriteLine($"  {benchmark.Name,-12} {benchmark.About}");
            return 2;
        }

        using var stop = new CancellationTokenSource();
        Console.CancelKeyPress += (_, e) => { e.Cancel = true; stop.Cancel(); };
        var report = new Report(isShort);
        bool failed = false;
        foreach (var benchmark in _all.Where(b => names.Length == 0 || names.Contains(b.Name)))
        {
            report.Current = benchmark.Name;
            if (benchmark.NeedsRoot && !Environment.IsPrivilegedProcess)
            {
                Console.WriteLine($"{benchmark.Name}: skipped, network namespaces need root");
                failed = true;
                continue;
            }
            Console.WriteLine($"{benchmark.Name}: {benchmark.About} ...");
            var watch = Stopwatch.StartNew();
            try
            {
                await benchmark.RunAsync(report, stop.Token);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                failed = true;
                Console.WriteLine($"{benchmark.Name}: FAILED: {e}");
            }
            Console.WriteLine($"{benchmark.Name}: {watch.Elapsed.TotalSeconds:0} s");
        }
        Print(report.Measurements);
        if (records)
            MeasuredTable.Replace(report.Measurements);
        return failed || report.Measurements.Any(m => !m.IsMet) ? 1 : 0;
    }

    private static void Print(IReadOnlyList<Measurement> measurements)
    {
        string[][] rows = [["benchmark", "measured", "value", "target", ""], .. measurements.Select(m => new[] { m.Benchmark, m.What, m.Value, m.Target ?? "", m.Verdict })];
        int[] widths = [.. Enumerable.Range(0, 5).Select(column => rows.Max(row => row[column].Length))];
        Console.WriteLine();
        foreach (string[] row in rows)
            Console.WriteLine(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
    }
}
