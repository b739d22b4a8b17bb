using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>An administrator sets the wall clock; leases run on another one.</summary>
public sealed class WallClockTests
{
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
