using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class ReleaseTests
{
    [Fact]
    public void The_tombstone_is_written_first_and_the_RELEASE_follows_after_the_delay()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { ReleaseDelay = TimeSpan.FromSeconds(2) });
        var lease = lab.Lease("demo/web");
        var deleted = lab.Clock.Now;

        var outcome = lab.Delete(lease.Ip);

        Assert.Equal((ReleaseKind.Success, lease.Ip, lease.Id), (outcome.Kind, outcome.Answer.Ip, outcome.Answer.Id));
        Assert.Equal(LeaseRecordState.Releasing, lab.Store.Records.Single().State);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal([2, 3], lab.Sent.Where(s => s.Message.Type == DhcpMessageType.Release).Select(s => (int)(s.At - deleted).TotalSeconds));
        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Joined);
    }

    [Fact]
    public void A_repeated_release_succeeds_for_ten_minutes_and_is_unknown_then()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");

        Assert.Equal(ReleaseKind.Success, lab.Delete(lease.Ip).Kind);
        lab.Advance(TimeSpan.FromMinutes(9));
        Assert.Equal((ReleaseKind.Success, lease.Id), (lab.Delete(lease.Ip).Kind, lab.Delete(lease.Ip).Answer.Id));
        Assert.Equal(ReleaseKind.Success, lab.Delete(service: "demo/web").Kind);
        lab.Restart();
        Assert.Equal(ReleaseKind.Success, lab.Delete(lease.Ip).Kind);

        lab.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(ReleaseKind.NotFound, lab.Delete(lease.Ip).Kind);
        Assert.Empty(lab.Store.Records);
        Assert.Null(lab.Keeper.NextDeadline);
    }

    [Fact]
    public void An_address_that_is_not_ours_is_not_found()
    {
        using var lab = new LeaseLab();
        _ = lab.Lease("demo/web");

        Assert.Equal(ReleaseKind.NotFound, lab.Delete("10.77.0.250").Kind);
        Assert.Equal(ReleaseKind.NotFound, lab.Delete(service: "demo/other").Kind);
        Assert.Single(lab.Server.Leases);
    }

    [Fact]
    public void Address_and_service_that_do_not_belong_together_release_nothing()
    {
        using var lab = new LeaseLab();
        var a = lab.Lease("demo/a");
        var b = lab.Lease("demo/b");

        Assert.Equal(ReleaseKind.Mismatch, lab.Delete(a.Ip, "demo/b").Kind);
        Assert.Equal(ReleaseKind.Mismatch, lab.Delete("10.77.0.250", "demo/b").Kind);
        Assert.Equal(2, lab.Leases.Count);
        Assert.Equal((ReleaseKind.Success, b.Ip), (lab.Delete(b.Ip, "demo/b").Kind, b.Ip));
    }

    [Fact]
    public void A_release_that_cannot_be_stored_releases_nothing()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Store.BeforeSave = _ => throw new IOException("Read-only file system");

        var outcome = lab.Delete(lease.Ip);
        lab.Store.BeforeSave = _ => { };
        lab.Advance(TimeSpan.FromSeconds(10));

        Assert.Equal(ReleaseKind.StoreFailed, outcome.Kind);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
        Assert.Equal(lease.Ip, lab.Lease("demo/web").Ip);
    }

    [Fact]
    public void A_service_that_waits_for_its_address_is_told_when_it_is_released()
    {
        using var lab = new LeaseLab();
        lab.Server.IsSilent = true;
        var call = lab.Post("demo/web");

        Assert.Equal(ReleaseKind.Success, lab.Delete(service: "demo/web").Kind);

        Assert.Equal(AcquireKind.Released, LeaseLab.Outcome(call).Kind);
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
        Assert.Empty(lab.Store.Records);
    }

    [Fact]
    public void The_service_may_come_back_while_its_old_lease_is_being_released()
    {
        using var lab = new LeaseLab();
        var first = lab.Lease("demo/web");
        _ = lab.Delete(first.Ip);

        var second = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromSeconds(30));

        Assert.NotEqual(first.Id, second.Id);
        Assert.Equal([(MacAddress.Parse(second.Mac!), IPv4Address.Parse(second.Ip))], lab.Server.Leases.Select(l => (l.Key, l.Value)));
    }
}
