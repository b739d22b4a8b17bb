using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// A DHCPv6 lease as granted. Times are on the owner's monotonic clock, the one whose readings it passes to <see cref="Dhcp6Client"/>; they may be
/// negative for a lease that is older than that clock's zero. The address is a /128: nothing is known of its link. Immutable.
/// </summary>
public sealed record Dhcp6Lease
{
    /// <summary>A lifetime without end (RFC 8415 §7.7).</summary>
    public const uint Infinite = uint.MaxValue;

    private const double MinimumRenewal = 5;

    /// <summary>The leased address.</summary>
    public required IPv6Address Address { get; init; }

    /// <summary>The server that granted or last extended it.</summary>
    public required Dhcp6Duid ServerId { get; init; }

    /// <summary>Preferred lifetime in seconds, or <see cref="Infinite"/>.</summary>
    public required uint PreferredSeconds { get; init; }

    /// <summary>Valid lifetime in seconds, or <see cref="Infinite"/>.</summary>
    public required uint ValidSeconds { get; init; }

    /// <summary>When the message that was granted was first sent: the lifetimes count from here, on the safe side.</summary>
    public required TimeSpan ObtainedAt { get; init; }

    /// <summary>When renewal begins; null for never.</summary>
    public TimeSpan? T1 { get; init; }

    /// <summary>When rebinding begins; null for never.</summary>
    public TimeSpan? T2 { get; init; }

    /// <summary>When the address is no longer ours; null for a lease without end.</summary>
    public TimeSpan? ExpiresAt { get; init; }

    /// <summary>Whether a server confirmed the lease since the client was started or resumed.</summary>
    public bool Verified { get; init; }

    internal static Dhcp6Lease Grant(Dhcp6Association association, in Dhcp6Address address, Dhcp6Duid server, TimeSpan at, TimeSpan infiniteRecheck)
    {
        var lease = new Dhcp6Lease
        {
            Address = address.Address,
            ServerId = server,
            PreferredSeconds = address.Preferred,
            ValidSeconds = address.Valid,
            ObtainedAt = at,
            Verified = true,
        };
        // A deprecated address is still ours: its times come from the valid lifetime.
        double basis = address.Preferred == 0 ? address.Valid : address.Preferred;
        bool endless = address.Valid == Infinite;
        double? t1 = Seconds(association.T1, 0.5 * basis, address.Preferred);
        double? t2 = Seconds(association.T2, 0.8 * basis, address.Preferred);
        if (endless)
        {
            return lease with
            {
                T1 = at + (t1 is { } early ? TimeSpan.FromSeconds(Math.Max(early, MinimumRenewal)) : infiniteRecheck),
                T2 = t2 is { } late ? at + TimeSpan.FromSeconds(Math.Max(late, MinimumRenewal)) : null,
            };
        }

        // Whatever the server says, there is time to renew before the end, and not without pause.
        double valid = address.Valid;
        double second = Math.Clamp(t2 ?? valid, Math.Min(MinimumRenewal, 0.8 * valid), 0.8 * valid);
        double first = Math.Clamp(t1 ?? valid, Math.Min(MinimumRenewal, 0.5 * valid), 0.5 * valid);
        return lease with
        {
            T1 = at + TimeSpan.FromSeconds(Math.Min(first, second)),
            T2 = at + TimeSpan.FromSeconds(second),
            ExpiresAt = at + TimeSpan.FromSeconds(valid),
        };
    }

    private static double? Seconds(uint told, double usual, uint preferred) =>
        told == Infinite ? null : told != 0 ? told : preferred == Infinite ? null : usual;
}
