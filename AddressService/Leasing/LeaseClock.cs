using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The two clocks of the leases: one that only runs forward, by which everything is decided, and the wall clock, which is shown and stored.</summary>
internal interface ILeaseClock
{
    /// <summary>Monotonic, counts through suspend; zero is the boot.</summary>
    TimeSpan Now { get; }

    /// <summary>Wall clock.</summary>
    DateTimeOffset UtcNow { get; }

    /// <summary>Changes with every boot, when <see cref="Now"/> begins anew.</summary>
    string BootId { get; }
}

/// <summary>CLOCK_BOOTTIME and the kernel's boot id.</summary>
internal sealed class BootClock(TimeProvider time) : ILeaseClock
{
    public TimeSpan Now => Posix.BootTime();

    public DateTimeOffset UtcNow => time.GetUtcNow();

    public string BootId { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
