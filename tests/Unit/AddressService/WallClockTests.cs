using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>An administrator sets the wall clock; leases run on another one.</summary>
public sealed class WallClockTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void Case31_a_wall_clock_that_is_set_changes_nothing_but_what_is_shown(int days)
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        var before = Assert.Single(lab.Leases);
        lab.Clock.WallOffset = TimeSpan.FromDays(days);
        var after = Assert.Single(lab.Leases);
        Assert.Equal(TimeSpan.FromDays(days), after.ValidUntil - before.ValidUntil);
        lab.Sent.Clear();
        // By the clock that only runs forward, T1 comes when it would have come.
        lab.Advance(before.T1!.Value - before.Obtained!.Value - TimeSpan.FromSeconds(2));
        Assert.Empty(lab.Sent);
        lab.Advance(TimeSpan.FromSeconds(3));
        Assert.Equal(DhcpMessageType.Request, Assert.Single(lab.Sent).Message.Type);
        lab.Advance(TimeSpan.FromHours(2));
        Assert.Equal("bound", Assert.Single(lab.Leases).State);
        Assert.DoesNotContain("lease.lost", lab.Keeper.Status().Counters.Keys);
    }

    [Theory]
    [InlineData(9, "rebinding", false)]
    [InlineData(120, "selecting", true)]
    public void Case31_after_a_suspend_the_lease_is_rebound_or_lost(int minutes, string state, bool isLost)
    {
        using var lab = new LeaseLab();
        lab.Lease("demo/web");
        lab.Server.IsSilent = true;
        // Nothing runs meanwhile.
        lab.Clock.Now += TimeSpan.FromMinutes(minutes);
        lab.Settle();
        Assert.Equal(state, Assert.Single(lab.Leases).State);
        Assert.Equal(isLost, lab.Keeper.Status().Counters.ContainsKey("lease.lost"));
        Assert.Equal(isLost ? "" : "10.77.0.100", lab.Leases[0].Ip);
        lab.Server.IsSilent = false;
        lab.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(("bound", "10.77.0.100"), (lab.Leases[0].State, lab.Leases[0].Ip));
    }

    [Fact]
    public void Renewals_are_stored_after_the_wall_clock_went_back_so_that_a_restart_still_has_the_lease()
    {
        using var lab = new LeaseLab();
        var answer = lab.Lease("demo/web");
        lab.Clock.WallOffset -= TimeSpan.FromHours(6);
        lab.Advance(TimeSpan.FromHours(1));

        lab.Restart();
        var lease = Assert.Single(lab.Leases);
        Assert.Equal((answer.Ip, "rebooting"), (lease.Ip, lease.State));
        lab.Settle();
        Assert.Equal(LeaseRecordState.Bound, Assert.Single(lab.Store.Records).State);
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Discover));
    }
}
