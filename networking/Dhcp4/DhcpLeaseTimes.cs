namespace DynamicLb.Networking.Dhcp4;

/// <summary>When to renew, rebind and give up (RFC 2131 §4.4.5), from what the server said.</summary>
internal static class DhcpLeaseTimes
{
    /// <summary>Longest pause before a lease that nobody vouches for is asked for again.</summary>
    public static readonly TimeSpan LongestUnverifiedPause = TimeSpan.FromMinutes(8);

    private static readonly TimeSpan FirstUnverifiedPause = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan MaximumFuzz = TimeSpan.FromSeconds(30);

    /// <summary>T1 and T2 as lengths from the beginning of a lease with an end.</summary>
    /// <param name="options">The ACK's options: 58 and 59 count where 0 &lt; T1 &lt; T2 &lt; lease; else half and seven eighths.</param>
    /// <param name="leaseSeconds">Length of the lease, in seconds.</param>
    /// <param name="fuzz">Uniform over [0, 1): up to 5 % and 30 s earlier, so that leases acquired together spread.</param>
    public static (TimeSpan T1, TimeSpan T2) Renewal(DhcpOptions options, uint leaseSeconds, double fuzz)
    {
        double t1 = options.TryGetUInt32(DhcpOptionCode.RenewalTime, out uint option58) && option58 > 0 && option58 < leaseSeconds ? option58 : leaseSeconds * 0.5;
        double t2 = options.TryGetUInt32(DhcpOptionCode.RebindingTime, out uint option59) && option59 > 0 && option59 < leaseSeconds ? option59 : leaseSeconds * 0.875;
        if (t1 >= t2)
            (t1, t2) = (leaseSeconds * 0.5, leaseSeconds * 0.875);
        double early = fuzz * Math.Min(t1 * 0.05, MaximumFuzz.TotalSeconds);
        return (TimeSpan.FromSeconds(t1 - early), TimeSpan.FromSeconds(t2 - early));
    }

    /// <summary>Pause before the next REQUEST: half of what is left, but no less than a third of the phase, within half a second to 60 s.</summary>
    /// <remarks>RFC 2131 has a floor of 60 s, which leaves leases below eight minutes a single try. Half a second gives a lease of 10 s six tries.</remarks>
    public static TimeSpan Pause(TimeSpan now, TimeSpan phaseStart, TimeSpan phaseEnd)
    {
        double floor = Math.Min(60, Math.Max(0.5, (phaseEnd - phaseStart).TotalSeconds / 3));
        return TimeSpan.FromSeconds(Math.Max(floor, (phaseEnd - now).TotalSeconds / 2));
    }

    /// <summary>
    /// Pause before a lease that nobody vouches for is asked for again, of either family: a minute, then two, four and eight, each up to a tenth shorter.
    /// </summary>
    /// <param name="silentRounds">Rounds before this one that nobody answered.</param>
    /// <param name="random">For the tenth, so that leases that were verified together spread.</param>
    public static TimeSpan UnverifiedPause(int silentRounds, DhcpRandom random)
    {
        var pause = Shorter(FirstUnverifiedPause * (1 << Math.Min(silentRounds, 16)), LongestUnverifiedPause);
        return pause - (pause * (0.1 * random.NextDouble()));
    }

    /// <summary>The lesser of two pauses.</summary>
    public static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;

    /// <summary>When the last 5 % of a lease begin.</summary>
    public static TimeSpan LastStretch(DhcpLease lease) => lease.ExpiresAt!.Value - TimeSpan.FromSeconds(lease.LeaseSeconds * 0.05);
}
