using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Replicas;

/// <summary>Timestamps of CLOCK_BOOTTIME, which goes on while the machine sleeps; wall clock and timers are the system's.</summary>
internal sealed class BootTimeProvider : TimeProvider
{
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Posix.BootTime().Ticks;
}
