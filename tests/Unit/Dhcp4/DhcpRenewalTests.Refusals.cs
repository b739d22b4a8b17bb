using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>A lease that is refused, by its own server or by another.</summary>
public sealed partial class DhcpRenewalTests
{
    [Fact]
    public void Case18_a_nak_of_the_own_server_followed_by_the_same_address_loses_nothing()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        NakNextRenewal(lab);
        lab.Run(TimeSpan.FromSeconds(310));
        Assert.Equal(["nak 10.77.0.1", "suspect 10.77.0.100", "recovered 10.77.0.100"], lab.Events);
        Assert.Equal("10.77.0.100", RequestedAddress(lab.Sent.Single(sent => sent.Message.Type == DhcpMessageType.Discover).Message));
        Assert.False(client.IsSuspect);
        Assert.True(client.Lease!.ExpiresAt > lab.Now + TimeSpan.FromSeconds(500));
    }

    [Fact]
    public void Case18_a_nak_followed_by_another_address_is_lost_and_then_changed()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        NakNextRenewal(lab);
        lab.Servers[0].Leases.Remove(client.Identity.ChAddr);
        lab.Servers[0].Leases[MacAddress.Parse("02:00:00:00:00:99")] = client.Lease!.Address;
        lab.Run(TimeSpan.FromSeconds(310));
        Assert.Equal(["nak 10.77.0.1", "suspect 10.77.0.100", "lost 10.77.0.100 Refused", "changed 10.77.0.100 10.77.0.101"], lab.Events);
    }

    [Fact]
    public void Case18_a_nak_followed_by_silence_is_lost_after_the_grace_period()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        NakNextRenewal(lab, thenSilent: true);
        lab.Run(TimeSpan.FromSeconds(330));
        var suspect = lab.Timeline.Single(entry => entry.Event == "suspect 10.77.0.100").At;
        var lost = lab.Timeline.Single(entry => entry.Event == "lost 10.77.0.100 Refused").At;
        Assert.Equal(TimeSpan.FromSeconds(5), lost - suspect);
        Assert.Equal(DhcpClientState.Selecting, client.State);
        lab.Servers[0].Script = null;
        lab.Run(TimeSpan.FromSeconds(65));
        Assert.Equal("recovered 10.77.0.100", lab.Events[^1]);
    }

    [Fact]
    public void Case18_without_grace_a_nak_is_a_loss_at_once()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        lab.NewBoundClient(DhcpClientSettings.Default with { NakGrace = TimeSpan.Zero });
        NakNextRenewal(lab);
        lab.Run(TimeSpan.FromSeconds(310));
        Assert.Equal(["nak 10.77.0.1", "lost 10.77.0.100 Refused", "recovered 10.77.0.100"], lab.Events);
    }

    [Theory]
    [InlineData("selecting")]
    [InlineData("renewing")]
    [InlineData("rebinding")]
    [InlineData("rebooting")]
    public void Case19_a_nak_of_a_foreign_server_before_the_ack_is_ignored(string phase)
    {
        // The foreign server NAKs every REQUEST, and its answer is first on the wire.
        var foreign = new FakeDhcpServer { Id = Foreign.Id, Mac = Foreign.Mac };
        foreign.Script = (request, _) => request.Type == DhcpMessageType.Request ? [foreign.Reply(request, DhcpMessageType.Nak, default)] : [];
        var own = new FakeDhcpServer();
        var lab = new DhcpLab(foreign, own);
        var client = lab.NewClient();
        if (phase == "rebooting")
        {
            own.Leases[client.Identity.ChAddr] = IPv4Address.Parse("10.77.0.100");
            client.Resume(Leases.Of("10.77.0.100", lab.Now - TimeSpan.FromSeconds(10)), lab.Now);
            lab.Run(TimeSpan.FromSeconds(1));
        }
        else
        {
            client.Acquire(lab.Now, null);
            lab.Run(TimeSpan.FromSeconds(1));
            own.IsSilent = phase == "rebinding";
            if (phase != "selecting")
                lab.Run(TimeSpan.FromSeconds(phase == "rebinding" ? 530 : 310));
            own.IsSilent = false;
            lab.Run(TimeSpan.FromSeconds(60));
        }
        Assert.True(lab.DropCount(DhcpDropReason.ForeignNak) > 0);
        Assert.Equal(DhcpClientState.Bound, client.State);
        Assert.Equal(own.Id, client.Lease!.ServerId);
        Assert.DoesNotContain(lab.Events, entry => entry.StartsWith("lost", StringComparison.Ordinal) || entry.StartsWith("suspect", StringComparison.Ordinal));
    }

    [Fact]
    public void Case19_only_foreign_naks_after_a_restart_leave_the_lease_unverified_until_it_ends()
    {
        var foreign = new FakeDhcpServer { Id = Foreign.Id, Mac = Foreign.Mac };
        foreign.Script = (request, _) => request.Type == DhcpMessageType.Request ? [foreign.Reply(request, DhcpMessageType.Nak, default)] : [];
        var lab = new DhcpLab(foreign);
        var client = lab.NewClient();
        var lease = Leases.Of("10.77.0.100", lab.Now - TimeSpan.FromSeconds(10));
        client.Resume(lease, lab.Now);
        lab.Run(TimeSpan.FromSeconds(20));
        Assert.Equal((DhcpClientState.Bound, false), (client.State, client.Lease!.Verified));
        lab.RunUntil(() => client.Lease is null, lab.Now + TimeSpan.FromMinutes(11));
        Assert.Equal(lease.ExpiresAt, lab.Now);
    }

    [Fact]
    public void Case19_a_foreign_nak_in_rebinding_leaves_the_lease_unverified_until_somebody_confirms_it()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var client = lab.NewBoundClient();
        lab.Servers[0].IsSilent = true;
        lab.RunUntil(() => client.State == DhcpClientState.Rebinding, lab.Now + TimeSpan.FromMinutes(10));
        lab.Inject(Foreign.Reply(lab.Sent[^1].Message, DhcpMessageType.Nak, default), Foreign);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal((DhcpClientState.Rebinding, false), (client.State, client.Lease!.Verified));
        lab.Servers[0].IsSilent = false;
        lab.Run(TimeSpan.FromSeconds(60));
        Assert.True(client.Lease!.Verified);
        Assert.Equal(["renewed 10.77.0.100"], lab.Events);
    }

    private static void NakNextRenewal(DhcpLab lab, bool thenSilent = false)
    {
        bool done = false;
        lab.Servers[0].Script = (request, _) =>
        {
            if (done)
                return thenSilent ? [] : null;
            done = true;
            return [lab.Servers[0].Reply(request, DhcpMessageType.Nak, default)];
        };
    }
}
