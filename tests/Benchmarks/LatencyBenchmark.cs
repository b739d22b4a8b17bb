using System.Diagnostics;
using System.Globalization;
using DynamicLb.AddressService.Store;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>How long a caller waits for an address.</summary>
internal static class LatencyBenchmark
{
    private static readonly TimeSpan _own = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan _existing = TimeSpan.FromMilliseconds(1);

    public static Benchmark Benchmark { get; } = new("latency", "POST of a new and of an existing lease, one at a time", NeedsRoot: true, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        int calls = report.IsShort ? 50 : 500;
        await using var lab = await BenchmarkLab.StartAsync(TimeSpan.FromSeconds(600), cancellationToken, "--messages-per-second", "0");
        await lab.AcquireAsync("warm", calls, 8, cancellationToken);
        using var connection = await lab.Http.ConnectAsync(cancellationToken);
        for (int i = 0; i < 3; i++)
        {
            foreach (int call in Enumerable.Range(0, calls))
                await connection.AcquireAsync(Name("warm", call), cancellationToken);
        }

        // The server's own time, before and after: perfdhcp tells the mean of each of the two round trips.
        var first = await Perfdhcp.AtRateAsync(lab.Rival, 100, 100, cancellationToken);
        var fresh = await MeasureAsync("new", 1);
        var second = await Perfdhcp.AtRateAsync(lab.Rival, 100, 100, cancellationToken);
        var existing = await MeasureAsync("new", 4);

        var trips = (first.Offer + first.Ack + second.Offer + second.Ack) / 2;
        report.Tell("two round trips of the server", Report.Milliseconds(trips));
        report.Tell("a line made durable, of which a new lease takes two, median", Report.Milliseconds(At(Lines(lab.Network.Folder), 0.5)));
        report.Tell("beside it a small file, which no caller waits for, median", Report.Milliseconds(At(Files(lab.Network.Folder), 0.5)));
        report.Time("POST of a new lease, median", Report.Milliseconds(At(fresh, 0.5)), "<= two round trips + 5 ms", At(fresh, 0.5) <= trips + _own);
        report.Tell("POST of a new lease, 99 of 100", Report.Milliseconds(At(fresh, 0.99)));
        report.Time("POST of an existing lease, median", Report.Milliseconds(At(existing, 0.5)), "< 1 ms", At(existing, 0.5) < _existing);
        report.Time("POST of an existing lease, 99 of 100", Report.Milliseconds(At(existing, 0.99)), "< 1 ms", At(existing, 0.99) < _existing);

        async Task<List<TimeSpan>> MeasureAsync(string name, int times)
        {
            var taken = new List<TimeSpan>();
            for (int i = 0; i < calls * times; i++)
            {
                long begun = Stopwatch.GetTimestamp();
                await connection.AcquireAsync(Name(name, i % calls), cancellationToken);
                taken.Add(Stopwatch.GetElapsedTime(begun));
            }
            taken.Sort();
            return taken;
        }
    }

    /// <summary>As the store does it: over what was there before, and synced.</summary>
    private static List<TimeSpan> Lines(string folder)
    {
        byte[] line = new byte[1000];
        using var file = new FileStream(Path.Combine(folder, "probe"), FileMode.Create, FileAccess.ReadWrite, FileShare.None, 0);
        file.Write(new byte[1 << 20]);
        file.Flush(flushToDisk: true);
        return Time(i =>
        {
            RandomAccess.Write(file.SafeFileHandle, line, i * line.Length);
            Posix.SyncData(file.SafeFileHandle);
        });
    }

    /// <summary>Written beside its place, synced, renamed, the folder synced.</summary>
    private static List<TimeSpan> Files(string folder)
    {
        string path = Path.Combine(folder, "probe");
        byte[] content = new byte[1000];
        return Time(_ =>
        {
            using (var file = new FileStream(path + ".tmp", FileMode.Create, FileAccess.Write, FileShare.None, 0))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(path + ".tmp", path, overwrite: true);
            Posix.SyncFolder(folder);
        });
    }

    private static List<TimeSpan> Time(Action<int> write)
    {
        var taken = new List<TimeSpan>();
        for (int i = 0; i < 100; i++)
        {
            long begun = Stopwatch.GetTimestamp();
            write(i);
            taken.Add(Stopwatch.GetElapsedTime(begun));
        }
        taken.Sort();
        return taken;
    }

    private static string Name(string name, int number) => $"bench/{name}{number.ToString(CultureInfo.InvariantCulture)}";

    private static TimeSpan At(List<TimeSpan> sorted, double share) => sorted[(int)(sorted.Count * share)];
}
