using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Case 28: the power goes off at every step of a lease's life, and the program starts again on what the store holds.</summary>
public sealed class CrashTests
{
    [Theory]
    [Trait("Fault", "C1")]
    [InlineData("before identity write")]
    [InlineData("after identity write")]
    [InlineData("DISCOVER")]
    [InlineData("OFFER")]
    [InlineData("REQUEST")]
    [InlineData("ACK")]
    [InlineData("before bound write")]
    [InlineData("after bound write")]
    public void Case28_crash_while_leasing_leaves_one_lease_with_the_address_that_was_granted(string point)
    {
        using var lab = new LeaseLab();
        Arm(lab, point);
        Assert.Throws<PowerCutException>(() => lab.Post("demo/web"));
        var granted = lab.Server.Leases.Values.ToList();

        lab.Restart();
        lab.Advance(TimeSpan.FromSeconds(10));
        var answer = lab.Lease("demo/web");

        Assert.Equal((MacAddress.Parse(answer.Mac!), IPv4Address.Parse(answer.Ip)), lab.Server.Leases.Select(l => (l.Key, l.Value)).Single());
        Assert.All(granted, address => Assert.Equal(address.ToString(), answer.Ip));
        Assert.Equal(LeaseRecordState.Bound, lab.Store.Records.Single().State);
        Assert.Equal(0, lab.CountSent(DhcpMessageType.Release));
    }

    [Theory]
    [InlineData("before tombstone")]
    [InlineData("after tombstone")]
    [InlineData("RELEASE")]
    [InlineData("after RELEASE")]
    public void Case28_crash_while_releasing_ends_with_the_address_free(string point)
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        Arm(lab, point);
        Assert.Throws<PowerCutException>(() =>
        {
            _ = lab.Delete(lease.Ip);
            lab.Advance(TimeSpan.FromSeconds(10));
        });

        lab.Restart();
        lab.Settle();
        if (point == "before tombstone")
        {
            // The caller had no answer: the lease is as it was, and the call is repeated.
            Assert.Equal(lease.Ip, lab.Lease("demo/web").Ip);
        }
        Assert.Equal((ReleaseKind.Success, lease.Ip, lease.Id), Told(lab.Delete(lease.Ip)));
        lab.Advance(TimeSpan.FromSeconds(10));

        Assert.Empty(lab.Server.Leases);
        Assert.Empty(lab.Leases);
        Assert.NotEqual(0, lab.CountSent(DhcpMessageType.Release));
    }

    [Fact]
    public void Case28_crash_of_a_service_under_a_new_UID_leaves_one_lease()
    {
        using var lab = new LeaseLab();
        _ = lab.Lease("demo/web", "uid-1");
        lab.Leaving = message =>
        {
            if (message.Type == DhcpMessageType.Discover)
                throw new PowerCutException();
        };
        Assert.Throws<PowerCutException>(() => lab.Post("demo/web", "uid-2"));

        lab.Restart();
        lab.Advance(TimeSpan.FromSeconds(10));
        var answer = lab.Lease("demo/web", "uid-2");

        Assert.Equal([MacAddress.Parse(answer.Mac!)], lab.Server.Leases.Keys);
        Assert.Equal("uid-2", lab.Leases.Single().Uid);
    }

    [Fact]
    [Trait("Fault", "A11")]
    public void A_restart_keeps_the_lease_and_answers_from_the_record_before_the_server_confirms_it()
    {
        using var lab = new LeaseLab();
        var before = lab.Lease("demo/web");
        lab.Advance(TimeSpan.FromSeconds(20));

        lab.Restart();
        var early = LeaseLab.Outcome(lab.Call("demo/web")).Answer;
        Assert.False(lab.Keeper.IsSettled);
        lab.Settle();
        var after = lab.Lease("demo/web");

        Assert.Equal((before.Ip, before.Id, before.Mac, before.ValidUntil, false), (early.Ip, early.Id, early.Mac, early.ValidUntil, early.Verified!.Value));
        Assert.Equal((before.Ip, before.Id, before.Mac, true), (after.Ip, after.Id, after.Mac, after.Verified!.Value));
        Assert.True(lab.Keeper.IsSettled);
        Assert.Equal(1, lab.CountSent(DhcpMessageType.Discover));
        var reboot = lab.Sent[^1].Message;
        Assert.True(reboot.Type == DhcpMessageType.Request && reboot.ClientAddress.IsAny && !reboot.Options.Contains(DhcpOptionCode.ServerId));
    }

    [Fact]
    public void Leases_are_verified_in_the_order_in_which_they_end()
    {
        using var lab = new LeaseLab();
        foreach (int seconds in (int[])[900, 300, 600])
        {
            lab.Server.LeaseSeconds = (uint)seconds;
            _ = lab.Lease($"demo/web{seconds}");
        }
        lab.Sent.Clear();

        lab.Restart();
        lab.Settle();

        Assert.Equal(["web300-demo", "web600-demo", "web900-demo"], lab.Sent.Select(s => s.Message.Options.GetText(DhcpOptionCode.HostName)));
    }

    [Fact]
    [Trait("Fault", "C24")]
    public void A_restart_before_a_silent_server_keeps_the_lease_until_it_ends_and_no_longer()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Server.IsSilent = true;

        lab.Restart();
        lab.Advance(TimeSpan.FromSeconds(599));
        Assert.True(lab.Keeper.IsSettled);
        Assert.Equal((lease.Ip, false), (lab.Leases.Single().Ip, lab.Leases.Single().Verified));

        lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("", lab.Leases.Single().Ip);
    }

    [Fact]
    public void A_lease_that_ended_while_we_were_down_is_not_handed_out_but_its_address_is_asked_for()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Clock.Now += TimeSpan.FromHours(1);

        lab.Restart();
        var call = lab.Call("demo/web");
        Assert.False(call.Task.IsCompleted);
        lab.Settle();

        Assert.Equal((lease.Ip, lease.Id), (LeaseLab.Outcome(call).Answer.Ip, LeaseLab.Outcome(call).Answer.Id));
        Assert.Contains(lab.Sent, s => s.Message.Type == DhcpMessageType.Discover
            && s.Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var wanted) && wanted == IPv4Address.Parse(lease.Ip));
    }

    [Fact]
    public void Another_boot_reckons_by_the_wall_clock()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Server.IsSilent = true;
        // Down for 100 s; the new boot's clock begins at 30 s.
        lab.Clock.WallOffset = lab.Clock.Now + TimeSpan.FromSeconds(100) - TimeSpan.FromSeconds(30);
        lab.Clock.Now = TimeSpan.FromSeconds(30);
        lab.Clock.BootId = "boot-2";

        lab.Restart();

        Assert.Equal(lease.ValidUntil, lab.Leases.Single().ValidUntil);
        lab.Advance(TimeSpan.FromSeconds(499));
        Assert.Equal(lease.Ip, lab.Leases.Single().Ip);
        lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal("", lab.Leases.Single().Ip);
    }

    [Fact]
    public void A_wall_clock_that_went_back_prolongs_no_lease()
    {
        using var lab = new LeaseLab();
        _ = lab.Lease("demo/web");
        lab.Server.IsSilent = true;
        lab.Clock.WallOffset = TimeSpan.FromDays(-1);
        lab.Clock.BootId = "boot-2";

        lab.Restart();
        lab.Advance(TimeSpan.FromSeconds(601));

        Assert.Equal("", lab.Leases.Single().Ip);
    }

    [Fact]
    public void A_wall_clock_that_jumps_while_we_run_moves_no_timer()
    {
        using var lab = new LeaseLab();
        var lease = lab.Lease("demo/web");
        lab.Clock.WallOffset = TimeSpan.FromDays(1);

        lab.Advance(TimeSpan.FromSeconds(200));

        Assert.Equal(1, lab.CountSent(DhcpMessageType.Request));
        Assert.Equal((lease.Ip, "bound"), (lab.Leases.Single().Ip, lab.Leases.Single().State));
    }

    private static (ReleaseKind Kind, string Ip, string? Id) Told(ReleaseOutcome outcome) => (outcome.Kind, outcome.Answer.Ip, outcome.Answer.Id);

    private static void Arm(LeaseLab lab, string point)
    {
        void OnLeaving(DhcpMessageType type) => lab.Leaving = message => Cut(message.Type == type);
        void OnArriving(DhcpMessageType type) => lab.Arriving = message => Cut(message.Type == type);
        void BeforeSave(LeaseRecordState state) => lab.Store.BeforeSave = record => Cut(record.State == state);
        void AfterSave(LeaseRecordState state) => lab.Store.AfterSave = record => Cut(record.State == state);
        Action arm = point switch
        {
            "before identity write" => () => BeforeSave(LeaseRecordState.Requesting),
            "after identity write" => () => AfterSave(LeaseRecordState.Requesting),
            "DISCOVER" => () => OnLeaving(DhcpMessageType.Discover),
            "OFFER" => () => OnArriving(DhcpMessageType.Offer),
            "REQUEST" => () => OnLeaving(DhcpMessageType.Request),
            "ACK" => () => OnArriving(DhcpMessageType.Ack),
            "before bound write" => () => BeforeSave(LeaseRecordState.Bound),
            "after bound write" => () => AfterSave(LeaseRecordState.Bound),
            "before tombstone" => () => BeforeSave(LeaseRecordState.Releasing),
            "after tombstone" => () => AfterSave(LeaseRecordState.Releasing),
            "RELEASE" => () => OnLeaving(DhcpMessageType.Release),
            _ => () => BeforeSave(LeaseRecordState.Released),
        };
        arm();
    }

    private static void Cut(bool now)
    {
        if (now)
            throw new PowerCutException();
    }
}
