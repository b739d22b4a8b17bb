using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Leases that are kept after their service was deleted.</summary>
public sealed class RetentionTests : IDisposable
{
    private static readonly TimeSpan Kept = TimeSpan.FromHours(1);
    private readonly LeaseLab _lab;

    public RetentionTests()
    {
        var options = new AddressServiceOptions();
        options.Interface.RetainOnDelete = Kept;
        _lab = new LeaseLab(options);
    }

    public void Dispose() => _lab.Dispose();

    [Fact]
    public void A_deleted_services_lease_is_kept_and_renewed_for_the_time_and_then_given_back()
    {
        var lease = _lab.Lease("demo/web", "uid-1");
        var outcome = _lab.Delete(ip: lease.Ip);
        Assert.Equal((ReleaseKind.Success, lease.Ip), (outcome.Kind, outcome.Answer.Ip));
        Assert.Equal(ReleaseKind.Success, _lab.Delete(service: "demo/web").Kind);
        Assert.Equal(("retained", lease.Ip), (_lab.Leases[0].State, _lab.Leases[0].Ip));
        _lab.Advance(Kept - TimeSpan.FromSeconds(1));
        Assert.Equal("retained", _lab.Leases[0].State);
        Assert.True(_lab.CountSent(DhcpMessageType.Request) > 5);
        Assert.Equal(0, _lab.CountSent(DhcpMessageType.Release));
        _lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(2, _lab.CountSent(DhcpMessageType.Release));
        Assert.Empty(_lab.Server.Leases);
        Assert.Empty(_lab.Leases);
        Assert.Equal(["requested", "bound", "releasing", "releasing", "released"], Events().Where(e => e != "renewed"));
    }

    [Fact]
    public void A_service_of_the_same_name_gets_the_address_and_the_MAC_again_whatever_its_UID()
    {
        var lease = _lab.Lease("demo/web", "uid-1");
        _lab.Delete(service: "demo/web");
        _lab.Advance(TimeSpan.FromMinutes(30));
        int sent = _lab.Sent.Count;
        var again = _lab.Lease("demo/web", "uid-2");
        Assert.Equal((lease.Ip, lease.Mac, lease.Id), (again.Ip, again.Mac, again.Id));
        Assert.Equal(sent, _lab.Sent.Count);
        var record = Assert.Single(_lab.Store.Records);
        Assert.Equal(("uid-2", null, LeaseRecordState.Bound), (record.Uid, record.RetainedUntil, record.State));
        Assert.Equal("recovered", Events()[^1]);
        _lab.Advance(Kept * 2);
        Assert.Equal("bound", _lab.Leases[0].State);
    }

    [Fact]
    public void Restarts_keep_it_for_the_rest_of_the_time_also_when_the_wall_clock_goes_back()
    {
        _lab.Lease("demo/web");
        _lab.Delete(service: "demo/web");
        _lab.Advance(TimeSpan.FromMinutes(30));
        _lab.Restart();
        _lab.Settle();
        Assert.Equal("retained", _lab.Leases[0].State);
        _lab.Advance(TimeSpan.FromMinutes(29));
        Assert.Equal(0, _lab.CountSent(DhcpMessageType.Release));
        _lab.Advance(TimeSpan.FromMinutes(2));
        Assert.Equal(2, _lab.CountSent(DhcpMessageType.Release));

        _lab.Lease("demo/other");
        _lab.Delete(service: "demo/other");
        _lab.Clock.WallOffset = TimeSpan.FromDays(-1);
        _lab.Restart();
        _lab.Advance(Kept + TimeSpan.FromMinutes(1));
        Assert.Empty(_lab.Leases);
        Assert.Empty(_lab.Server.Leases);
    }

    [Fact]
    public void A_search_without_an_address_ends_at_once()
    {
        _lab.Server.IsSilent = true;
        _lab.Post("demo/web");
        Assert.Equal(ReleaseKind.Success, _lab.Delete(service: "demo/web").Kind);
        Assert.Empty(_lab.Leases);
    }

    [Fact]
    public void A_kept_lease_has_no_owner_to_miss_and_gives_way_to_a_new_one_at_a_limit()
    {
        _lab.Options.Limits.NamespaceQuota = 2;
        _lab.Options.Limits.ClaimTime = TimeSpan.FromMinutes(10);
        var first = _lab.Lease("demo/a");
        _lab.Lease("demo/b");
        _lab.Delete(service: "demo/a");
        Assert.Empty(_lab.Keeper.ReportOrphans(new HashSet<string>(StringComparer.Ordinal) { "demo/a" }, _ => true).Orphans);
        _lab.Advance(TimeSpan.FromMinutes(11));
        Assert.Equal(["demo/b"], _lab.Keeper.Orphans(_ => true).Orphans.Select(o => o.Service));
        Assert.NotEqual(first.Ip, _lab.Lease("demo/c").Ip);
        _lab.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(["demo/b", "demo/c"], _lab.Leases.Select(l => l.Service));
        Assert.Equal(AcquireKind.Denied, LeaseLab.Outcome(_lab.Post("demo/d")).Kind);
    }

    [Fact]
    public void A_kept_lease_that_is_lost_is_forgotten()
    {
        _lab.Lease("demo/web");
        _lab.Delete(service: "demo/web");
        _lab.Server.IsSilent = true;
        _lab.Advance(TimeSpan.FromMinutes(15));
        Assert.Empty(_lab.Leases);
    }

    [Fact]
    public void What_the_store_does_not_take_is_not_kept_and_not_told()
    {
        _lab.Lease("demo/web");
        _lab.Store.BeforeSave = _ => throw new IOException("full");
        Assert.Equal(ReleaseKind.StoreFailed, _lab.Delete(service: "demo/web").Kind);
        Assert.Equal("bound", _lab.Leases[0].State);
        Assert.DoesNotContain("releasing", Events());
    }

    private List<string> Events() =>
        [.. _lab.Keeper.Journal.After($"{_lab.Keeper.Journal.Started.ToUnixTimeMilliseconds()}-0")!.Select(e => e.Type)];
}
