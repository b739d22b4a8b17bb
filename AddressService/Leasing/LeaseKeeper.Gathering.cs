namespace DynamicLb.AddressService.Leasing;

/// <summary>Renewals of leases by the thousand leave together: to be woken for each alone costs several times what the renewal does.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>Renewals wait for the next multiple of this. A hundredth of how far they are spread by chance, and at the default pace no more than may leave at once.</summary>
    internal static readonly TimeSpan RenewalGrid = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// When a lease's client is to be looked at. What begins a renewal, or a rebinding, of a lease that is not short may come late, but never as late as its
    /// end; all else is due when it is: an end, a repetition, a probe, and what somebody asked for now.
    /// </summary>
    private static TimeSpan? DueOf(LeaseClient client, TimeSpan now)
    {
        var due = client.NextDeadline;
        if (due is not { } at || at <= now || client.State != Networking.Dhcp4.DhcpClientState.Bound || client.IsSuspect
            || client.Lease is not { Seconds: >= ShortLease } lease)
            return due;
        var gathered = new TimeSpan((at.Ticks + RenewalGrid.Ticks - 1) / RenewalGrid.Ticks * RenewalGrid.Ticks);
        return lease.ExpiresAt < gathered ? lease.ExpiresAt : gathered;
    }
}
