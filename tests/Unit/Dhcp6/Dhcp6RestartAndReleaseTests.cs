using DynamicLb.Networking.Dhcp6;
using static DynamicLb.Tests.Unit.Dhcp6.Dhcp6Lab;

namespace DynamicLb.Tests.Unit.Dhcp6;

/// <summary>Leases from before a restart or from before the link was away, and leases given back.</summary>
public sealed class Dhcp6RestartAndReleaseTests
{
    [Fact]
    public void Case51_restart_rebinds_and_silence_keeps_the_lease()
    {
        var before = new Dhcp6Lab().Bind().Client.Lease!;
        var lab = new Dhcp6Lab { Answer = Usual };
        lab.Client.Resume(before, lab.Now);
        lab.Run(2);
        Assert.Equal(Dhcp6MessageType.Rebind, Assert.Single(lab.Sent).Message.Type);
        Assert.Equal(["renewed fd77::1:0"], lab.Events);

        lab = new Dhcp6Lab();
        lab.Client.Resume(before, lab.Now);
        lab.Run(12);
        Assert.Equal((Dhcp6ClientState.Bound, false), (lab.Client.State, lab.Client.Lease!.Verified));
        Assert.InRange(lab.Sent.Count, 4, 5);
        Assert.Empty(lab.Events);
    }

    [Fact]
    public void Restart_after_the_end_reports_the_loss_and_asks_for_the_same_address()
    {
        var before = new Dhcp6Lab().Bind().Client.Lease!;
        var lab = new Dhcp6Lab();
        lab.Client.Resume(before with { ExpiresAt = lab.Now }, lab.Now);
        Assert.Equal(["lost fd77::1:0 Expired"], lab.Events);
        Assert.Equal(First, lab.Last.Associations[0].Addresses[0].Address);
    }

    [Fact]
    public void An_address_that_a_lease_is_moved_to_after_a_restart_is_declined_if_another_host_has_it()
    {
        var before = new Dhcp6Lab().Bind().Client.Lease!;
        var lab = new Dhcp6Lab(NoDelay with { DuplicateDetection = TimeSpan.FromSeconds(1) })
        {
            Answer = question => Reply(question, Dhcp6MessageType.Reply, new Dhcp6Association(1, 0, 0, [new(First, 0, 0), new(Second, 300, 600)])),
        };
        lab.Client.Resume(before, lab.Now);
        lab.Run(0.5);
        lab.Client.ReportConflict(Second, lab.Now);
        Assert.Equal(["detect fd77::1:1", "conflict fd77::1:1"], lab.Events);
        Assert.Equal(Dhcp6MessageType.Decline, lab.Last.Type);
    }

    [Fact]
    public void A_link_that_is_back_has_a_lease_verified_and_a_waiting_message_repeated()
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Client.Hurry(lab.Now);
        lab.Run(1);
        Assert.Equal(Dhcp6MessageType.Rebind, Assert.Single(lab.Sent).Message.Type);
        Assert.Equal(["renewed fd77::1:0"], lab.Events);
        Assert.Equal(0, lab.Client.UnansweredRenewals);

        lab = new Dhcp6Lab(NoDelay);
        lab.Client.Acquire(lab.Now, null);
        Assert.True(lab.Client.IsFirstTransmission);
        lab.Run(60);
        lab.Sent.Clear();
        lab.Client.Hurry(lab.Now);
        lab.Run(0);
        Assert.Equal(Dhcp6MessageType.Solicit, Assert.Single(lab.Sent).Message.Type);
        Assert.False(lab.Client.IsFirstTransmission);
    }

    [Fact]
    public void A_verification_that_nobody_answered_is_repeated_after_a_minute_before_T1()
    {
        var lab = new Dhcp6Lab().Bind();
        var usual = lab.Answer;
        lab.Answer = _ => null;
        lab.Client.Hurry(lab.Now);
        lab.Run(20);
        Assert.Equal((Dhcp6ClientState.Bound, false), (lab.Client.State, lab.Client.Lease!.Verified));
        lab.Answer = usual;
        lab.Sent.Clear();
        lab.Run(55);
        Assert.Equal(Dhcp6MessageType.Rebind, Assert.Single(lab.Sent).Message.Type);
        Assert.True(lab.Client.Lease.Verified);
    }

    [Theory]
    [InlineData(Dhcp6StatusCode.Success)]
    [InlineData(Dhcp6StatusCode.NoBinding)]
    public void Case51_release_ends_with_any_answer_and_without_one_after_four_messages(Dhcp6StatusCode code)
    {
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = question => Reply(question, Dhcp6MessageType.Reply, Failed(code));
        lab.Client.Release(lab.Now);
        lab.Run(2.5);
        Assert.Equal(["released fd77::1:0"], lab.Events);
        Assert.Equal((Dhcp6MessageType.Release, Server), (Assert.Single(lab.Sent).Message.Type, lab.Last.ServerId));

        lab = new Dhcp6Lab().Bind();
        lab.Answer = _ => null;
        lab.Client.Release(lab.Now);
        lab.Run(60);
        Assert.Equal(4, lab.Count(Dhcp6MessageType.Release));
        Assert.Equal(["released fd77::1:0"], lab.Events);
        Assert.Equal(0, lab.Ids.Count);
    }

    [Fact]
    public void A_release_while_an_address_is_declined_leaves_that_address_alone()
    {
        var lab = new Dhcp6Lab(NoDelay with { DuplicateDetection = TimeSpan.FromSeconds(1) }) { Answer = question => question.Type == Dhcp6MessageType.Decline ? null : Usual(question) };
        lab.Client.Acquire(lab.Now, null);
        lab.Run(1.2);
        lab.Client.ReportConflict(First, lab.Now);
        Assert.Equal(Dhcp6ClientState.Declining, lab.Client.State);
        lab.Client.Release(lab.Now);
        lab.Run(20);
        Assert.Equal(0, lab.Count(Dhcp6MessageType.Release));
        Assert.Equal("released -", lab.Events[^1]);
    }
}
