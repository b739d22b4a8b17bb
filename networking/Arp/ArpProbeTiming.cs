namespace DynamicLb.Networking.Arp;

/// <summary>
/// How it is found out whether an address is in use already (RFC 5227 §2.1.1): so many ARP probes, then a while of listening. Immutable.
/// </summary>
public sealed record ArpProbeTiming
{
    /// <summary>0.7 s in all, for services that are waited for: three probes, 200 ms apart, then 300 ms.</summary>
    public static ArpProbeTiming Fast { get; } = new();

    /// <summary>The standard's own, 4 to 7 s in all: PROBE_WAIT, PROBE_NUM, PROBE_MIN, PROBE_MAX, ANNOUNCE_WAIT.</summary>
    public static ArpProbeTiming Strict { get; } = new()
    {
        MaximumDelay = TimeSpan.FromSeconds(1),
        MinimumInterval = TimeSpan.FromSeconds(1),
        MaximumInterval = TimeSpan.FromSeconds(2),
        Quiet = TimeSpan.FromSeconds(2),
    };

    /// <summary>Probes, at least one.</summary>
    public int Count { get; init; } = 3;

    /// <summary>Longest pause before the first probe; a random part of it passes.</summary>
    public TimeSpan MaximumDelay { get; init; }

    /// <summary>Shortest pause between two probes.</summary>
    public TimeSpan MinimumInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest pause between two probes.</summary>
    public TimeSpan MaximumInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>How long is listened after the last probe.</summary>
    public TimeSpan Quiet { get; init; } = TimeSpan.FromMilliseconds(300);
}
