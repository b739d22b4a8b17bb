using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>When a message is sent again (RFC 8415 §15), and the parameters of §7.6.</summary>
/// <param name="First">IRT.</param>
/// <param name="Longest">MRT; zero for no limit.</param>
/// <param name="Count">MRC, transmissions in all; zero for no limit.</param>
/// <param name="Duration">MRD, from the first transmission; zero for no limit.</param>
internal readonly record struct Dhcp6Retransmission(TimeSpan First, TimeSpan Longest, int Count, TimeSpan Duration)
{
    public static Dhcp6Retransmission Solicit { get; } = Of(1, 3600, 0, 0);

    public static Dhcp6Retransmission Request { get; } = Of(1, 30, 10, 0);

    /// <summary>Of Renew and Rebind; T2 and the end of the lease are their durations.</summary>
    public static Dhcp6Retransmission Extend { get; } = Of(10, 600, 0, 0);

    /// <summary>Of Confirm, used for the Rebind after a restart.</summary>
    public static Dhcp6Retransmission Verify { get; } = Of(1, 4, 0, 10);

    /// <summary>Of Release and Decline.</summary>
    public static Dhcp6Retransmission GiveBack { get; } = Of(1, 0, 4, 0);

    /// <summary>The next timeout.</summary>
    /// <param name="previous">The one before; zero for the first.</param>
    /// <param name="random">Gives RAND, uniform over [-0.1, 0.1).</param>
    /// <param name="later">Whether the first must be longer than IRT, as that of Solicit.</param>
    public TimeSpan Next(TimeSpan previous, DhcpRandom random, bool later = false)
    {
        double rand = 0.1 * random.NextSigned();
        if (previous == TimeSpan.Zero)
            return First + (First * (later ? Math.Abs(rand) + 0.000_001 : rand));
        var next = (2 * previous) + (previous * rand);
        return Longest > TimeSpan.Zero && next > Longest ? Longest + (Longest * rand) : next;
    }

    private static Dhcp6Retransmission Of(int first, int longest, int count, int duration) =>
        new(TimeSpan.FromSeconds(first), TimeSpan.FromSeconds(longest), count, TimeSpan.FromSeconds(duration));
}
