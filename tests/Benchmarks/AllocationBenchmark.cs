using DynamicLb.AddressService.Store;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>What a renewal leaves to the garbage collector.</summary>
internal static class AllocationBenchmark
{
    private const uint LeaseSeconds = 600;

    public static Benchmark Benchmark { get; } = new("allocations", "bytes allocated per renewal, within one thread", NeedsRoot: false, RunAsync);

    private static async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await MeasureExchangeAsync(report);
        await MeasureKeeperAsync(report);
        await MeasureStoreAsync(report, cancellationToken);
    }

    /// <summary>From the timer to the renewed lease: client, options, message, frame, and all of it back.</summary>
    private static async Task MeasureExchangeAsync(Report report)
    {
        await using var rig = new RenewalRig(clients: 1000, LeaseSeconds);
        rig.Renew(20);
        long before = rig.Renewals;
        long bytes = rig.Renew(report.IsShort ? 20 : 200);
        long renewals = rig.Renewals - before;
        report.Require("renewal sent and received", $"{Report.Number((double)bytes / renewals)} bytes", "0", bytes == 0);
        report.Tell("renewals measured", $"{renewals}");
    }

    /// <summary>The same through the keeper, with its schedule, indexes, history and journal; the record is made, and given to a store that does nothing.</summary>
    private static async Task MeasureKeeperAsync(Report report)
    {
        int leases = report.IsShort ? 1000 : 10_000;
        long empty = GC.GetTotalMemory(forceFullCollection: true);
        await using var rig = new KeeperRig(leases, LeaseSeconds);
        report.Tell("objects of a lease that live", $"{Report.Number((GC.GetTotalMemory(forceFullCollection: true) - empty) / (double)leases, "0")} bytes");
        // Until the journal's ring is full.
        rig.Run(TimeSpan.FromSeconds(LeaseSeconds * 6));
        report.Tell("and after its history has filled", $"{Report.Number((GC.GetTotalMemory(forceFullCollection: true) - empty) / (double)leases, "0")} bytes");
        long before = rig.Saves;
        long bytes = rig.Run(TimeSpan.FromSeconds(LeaseSeconds * (report.IsShort ? 1 : 5)));
        report.Tell("renewal within the address service, with its new record", $"{Report.Number((double)bytes / (rig.Saves - before))} bytes");
    }

    /// <summary>A record on its way to the disk.</summary>
    private static async Task MeasureStoreAsync(Report report, CancellationToken cancellationToken)
    {
        const int Records = 100;
        string folder = Directory.CreateTempSubdirectory("dlb-bench").FullName;
        try
        {
            using var store = FileLeaseStore.Open(folder);
            var writes = Enumerable.Range(0, Records).Select(i => new StoreWrite(
                StoreWriteKind.Save,
                new LeaseRecord { Service = $"bench/s{i}", Id = new Guid(i, 0, 0, new byte[8]), Mac = "02:4c:42:00:00:01", Address = "10.20.0.1", State = LeaseRecordState.Bound, LeaseSeconds = LeaseSeconds },
                null)).ToArray();
            await store.CommitAsync(writes, cancellationToken);
            long before = GC.GetTotalAllocatedBytes(precise: true);
            int rounds = report.IsShort ? 2 : 20;
            for (int i = 0; i < rounds; i++)
                await store.CommitAsync(writes, cancellationToken);
            report.Tell("record written to the disk", $"{Report.Number((GC.GetTotalAllocatedBytes(precise: true) - before) / (double)(rounds * Records), "0")} bytes");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
