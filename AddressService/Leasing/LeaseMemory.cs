using DynamicLb.Contracts.Hosting;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Gives memory back when many leases came or went and it has become quiet.</summary>
internal sealed class LeaseMemory(LeaseLoop loop, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(5);

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => MemoryTrimmer.RunAsync(() => loop.Turnover, Rest, time, stoppingToken);
}
