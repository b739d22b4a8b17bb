using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>What may be put off for a moment, so that many leave at one waking, and what may not.</summary>
public sealed class RenewalGatheringTests
{
    private static readonly TimeSpan Exact = TimeSpan.FromMilliseconds(1);

    [Fact]
    public void Renewals_leave_together_a_moment_after_their_time_and_never_before()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { Interface = { MessagesPerSecond = 1000, MessageBurst = 150 } });
        lab.Server.LeaseSeconds = 60;
        for (int i = 0; i < 100; i++)
            lab.Lease($"demo/w{i}");
        var times = lab.Leases.ToDictionary(lease => lease.Mac!, lease => lease.T1!.Value - LabClock.Start);
        lab.Sent.Clear();
        lab.Advance(TimeSpan.FromSeconds(31));

        Assert.Equal(100, lab.Sent.Count);
        Assert.All(lab.Sent, sent => Assert.InRange(sent.At - times[sent.Message.HardwareAddress.ToString()], -Exact, LeaseKeeper.RenewalGrid));
        // Chance spreads them over a second and a half.
        Assert.InRange(lab.Sent.Select(sent => sent.At).Distinct().Count(), 1, 7);
    }

    [Fact]
    public void A_short_lease_is_renewed_at_its_time()
    {
        using var lab = new LeaseLab();
        lab.Server.LeaseSeconds = 59;
        lab.Lease("demo/web");
        var at = Assert.Single(lab.Leases).T1!.Value - LabClock.Start;
        lab.Sent.Clear();
        lab.Advance(TimeSpan.FromSeconds(30));
        Assert.InRange(Assert.Single(lab.Sent).At - at, -Exact, Exact);
    }

    [Fact]
    public void Repetitions_and_the_end_of_a_lease_are_not_put_off()
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        var end = Assert.Single(lab.Leases).ValidUntil!.Value - LabClock.Start;
        lab.Server.IsSilent = true;
        lab.Sent.Clear();
        while (!lab.Keeper.Status().Counters.ContainsKey("lease.lost"))
            lab.Advance(lab.Keeper.NextDeadline!.Value - lab.Clock.Now);
        Assert.InRange(lab.Clock.Now - end, -Exact, Exact);
        Assert.True(lab.Sent.Count(sent => sent.At.Ticks % LeaseKeeper.RenewalGrid.Ticks != 0) > 2);
    }

    [Fact]
    public void What_a_link_that_is_back_makes_due_leaves_at_once()
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromSeconds(10.1));
        lab.Sent.Clear();
        lab.Keeper.LinkReturned(lab.Keeper.Links[0]);
        lab.Settle();
        var (at, message) = Assert.Single(lab.Sent);
        Assert.Equal((lab.Clock.Now, DhcpMessageType.Request), (at, message.Type));
    }
}
