using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>The rules of RFC 5880 §6, one by one.</summary>
public sealed class BfdSessionTests
{
    private static readonly BfdSettings Slow = new() { TransmitInterval = TimeSpan.FromMilliseconds(300), ReceiveInterval = TimeSpan.FromMilliseconds(500) };

    // §6.8.6: the whole state machine.
    [Theory]
    [InlineData(BfdState.Down, BfdState.Down, BfdState.Init)]
    [InlineData(BfdState.Down, BfdState.Init, BfdState.Up)]
    [InlineData(BfdState.Down, BfdState.Up, BfdState.Down)]
    [InlineData(BfdState.Down, BfdState.AdminDown, BfdState.Down)]
    [InlineData(BfdState.Init, BfdState.Down, BfdState.Init)]
    [InlineData(BfdState.Init, BfdState.Init, BfdState.Up)]
    [InlineData(BfdState.Init, BfdState.Up, BfdState.Up)]
    [InlineData(BfdState.Init, BfdState.AdminDown, BfdState.Down)]
    [InlineData(BfdState.Up, BfdState.Down, BfdState.Down)]
    [InlineData(BfdState.Up, BfdState.Init, BfdState.Up)]
    [InlineData(BfdState.Up, BfdState.Up, BfdState.Up)]
    [InlineData(BfdState.Up, BfdState.AdminDown, BfdState.Down)]
    public void A_packet_moves_the_state_as_the_standard_says(BfdState from, BfdState received, BfdState to)
    {
        var rig = new BfdRig();
        rig.Pass(0);
        if (from == BfdState.Init)
            rig.Receive(BfdRig.Packet(BfdState.Down, 0));
        else if (from == BfdState.Up)
            rig.Up();
        Assert.Equal(from, rig.Session.State);

        Assert.Equal(BfdDropReason.None, rig.Receive(BfdRig.Packet(received)));

        Assert.Equal(to, rig.Session.State);
        if (from != BfdState.Down && to == BfdState.Down)
            Assert.Equal(BfdDiagnostic.NeighborSignaledSessionDown, rig.Session.Diagnostic);
    }

    [Fact]
    public void Until_it_is_up_packets_go_out_once_a_second_at_most()
    {
        var rig = new BfdRig(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(10) });
        rig.Pass(60_000);

        Assert.All(rig.Sent, static sent => Assert.Equal(1_000_000u, sent.Packet.DesiredMinTx));
        Assert.All(Pauses(rig), static pause => Assert.InRange(pause, 750, 1000));
    }

    [Fact]
    public void A_longer_configured_interval_holds_before_it_is_up_as_well()
    {
        var rig = new BfdRig(new BfdSettings { TransmitInterval = TimeSpan.FromSeconds(20) });
        rig.Pass(1);

        Assert.Equal(20_000_000u, rig.Last.DesiredMinTx);
    }

    [Fact]
    public void Up_it_polls_with_the_configured_interval_until_the_answer()
    {
        var rig = new BfdRig(Slow);
        rig.Pass(0);
        rig.Receive(BfdRig.Packet(BfdState.Init));

        Assert.True(rig.Last.IsPoll);
        Assert.Equal(300_000u, rig.Last.DesiredMinTx);
        Assert.Equal(500_000u, rig.Last.RequiredMinRx);
        rig.Pass(600);
        Assert.True(rig.Last.IsPoll);

        rig.Receive(BfdRig.Packet(BfdState.Up) with { IsFinal = true });
        rig.Pass(600);
        Assert.False(rig.Last.IsPoll);
    }

    [Fact]
    public void A_poll_is_answered_at_once_whatever_the_timer_says()
    {
        var rig = new BfdRig().Up();
        int sent = rig.Sent.Count;
        rig.Receive(BfdRig.Packet(BfdState.Up) with { IsPoll = true });

        Assert.Equal(sent + 1, rig.Sent.Count);
        Assert.True(rig.Last.IsFinal);
        Assert.False(rig.Last.IsPoll);
    }

    [Fact]
    public void A_poll_is_answered_even_by_who_may_not_send_otherwise()
    {
        var rig = new BfdRig().Up();
        rig.Receive(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 0 });
        int sent = rig.Sent.Count;
        rig.Pass(500);
        Assert.Equal(sent, rig.Sent.Count);

        rig.Receive(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 0, IsPoll = true });

        Assert.True(rig.Last.IsFinal);
    }

    [Fact]
    public void The_slower_side_sets_the_pace()
    {
        var rig = new BfdRig().Up(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 700_000 });

        Assert.Equal(700, rig.Session.TransmitInterval.TotalMilliseconds);
    }

    [Theory]
    [InlineData(3, 750, 1000)]
    [InlineData(1, 750, 900)]
    public void Pauses_are_jittered(byte multiplier, double least, double most)
    {
        var rig = new BfdRig(new BfdSettings { DetectMultiplier = multiplier });
        rig.Pass(500_000);
        var pauses = Pauses(rig);

        Assert.All(pauses, pause => Assert.InRange(pause, least, most));
        Assert.True(pauses.Max() - pauses.Min() > (most - least) * 0.9);
    }

    [Fact]
    public void The_detection_time_is_the_other_sides_multiplier_times_the_slower_interval()
    {
        var rig = new BfdRig(Slow).Up(BfdRig.Packet(BfdState.Up) with { DetectMultiplier = 5, DesiredMinTx = 100_000 });
        Assert.Equal(2500, rig.Session.DetectionTime.TotalMilliseconds);

        rig.Receive(BfdRig.Packet(BfdState.Up) with { DetectMultiplier = 2, DesiredMinTx = 800_000 });
        Assert.Equal(1600, rig.Session.DetectionTime.TotalMilliseconds);
    }

    [Fact]
    public void Silence_for_the_detection_time_takes_it_down()
    {
        var rig = new BfdRig().Up();
        rig.Pass(899);
        Assert.Equal(BfdState.Up, rig.Session.State);
        rig.Pass(1);

        Assert.Equal(BfdState.Down, rig.Session.State);
        Assert.Equal(BfdDiagnostic.ControlDetectionTimeExpired, rig.Session.Diagnostic);
        Assert.Equal(0u, rig.Session.RemoteDiscriminator);
        Assert.Equal((BfdState.Down, BfdDiagnostic.ControlDetectionTimeExpired, 0u), (rig.Last.State, rig.Last.Diagnostic, rig.Last.YourDiscriminator));
        Assert.Equal(1_000_000u, rig.Last.DesiredMinTx);
        Assert.Equal((BfdState.Up, BfdState.Down, BfdDiagnostic.ControlDetectionTimeExpired), rig.Changes[^1]);
    }

    [Fact]
    public void Silence_in_init_takes_it_down_too()
    {
        var rig = new BfdRig();
        rig.Pass(0);
        rig.Receive(BfdRig.Packet(BfdState.Down, 0));
        Assert.Equal(BfdState.Init, rig.Session.State);
        rig.Pass(900);

        Assert.Equal(BfdState.Down, rig.Session.State);
    }

    [Fact]
    public void Each_packet_puts_the_verdict_off()
    {
        var rig = new BfdRig().Up();
        for (int i = 0; i < 20; i++)
        {
            rig.Pass(850);
            rig.Receive(BfdRig.Packet(BfdState.Up));
        }

        Assert.Equal(BfdState.Up, rig.Session.State);
    }

    [Fact]
    public void A_change_of_state_is_told_at_once()
    {
        var rig = new BfdRig().Up();
        int sent = rig.Sent.Count;
        rig.Receive(BfdRig.Packet(BfdState.Down) with { Diagnostic = BfdDiagnostic.ControlDetectionTimeExpired });

        Assert.Equal(sent + 1, rig.Sent.Count);
        Assert.Equal(BfdState.Down, rig.Last.State);
        Assert.Equal(rig.Now, rig.Sent[^1].At);
        Assert.Equal(BfdDiagnostic.ControlDetectionTimeExpired, rig.Session.RemoteDiagnostic);
    }

    [Fact]
    public void A_packet_like_the_last_draws_no_answer()
    {
        var rig = new BfdRig().Up();
        int sent = rig.Sent.Count;
        for (int i = 0; i < 100; i++)
            rig.Receive(BfdRig.Packet(BfdState.Up));

        Assert.Equal(sent, rig.Sent.Count);
    }

    // §6.8.3: longer pauses only after the other side knows.
    [Fact]
    public void A_longer_transmit_interval_waits_for_the_end_of_the_poll()
    {
        var rig = new BfdRig().Up();
        rig.Session.Configure(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(900) }, rig.Now);

        Assert.True(rig.Last.IsPoll);
        Assert.Equal(900_000u, rig.Last.DesiredMinTx);
        Assert.Equal(300, rig.Session.TransmitInterval.TotalMilliseconds);
        rig.Receive(BfdRig.Packet(BfdState.Up) with { IsFinal = true });
        Assert.Equal(900, rig.Session.TransmitInterval.TotalMilliseconds);
        Assert.DoesNotContain(rig.Changes, static change => change.After == BfdState.Down);
    }

    [Fact]
    public void A_shorter_transmit_interval_holds_at_once()
    {
        var rig = new BfdRig().Up(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 10_000 });
        rig.Session.Configure(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(50) }, rig.Now);
        int sent = rig.Sent.Count;
        rig.Pass(51);

        Assert.Equal(50, rig.Session.TransmitInterval.TotalMilliseconds);
        Assert.True(rig.Sent.Count > sent);
    }

    [Fact]
    public void A_shorter_receive_interval_shortens_the_detection_time_after_the_poll_only()
    {
        var rig = new BfdRig().Up(BfdRig.Packet(BfdState.Up) with { DesiredMinTx = 10_000 });
        rig.Session.Configure(new BfdSettings { ReceiveInterval = TimeSpan.FromMilliseconds(50) }, rig.Now);
        Assert.Equal(900, rig.Session.DetectionTime.TotalMilliseconds);

        rig.Receive(BfdRig.Packet(BfdState.Up) with { DesiredMinTx = 10_000, IsFinal = true });
        Assert.Equal(150, rig.Session.DetectionTime.TotalMilliseconds);
    }

    [Fact]
    public void An_answer_to_an_earlier_poll_does_not_end_the_one_for_a_later_change()
    {
        var rig = new BfdRig().Up();
        rig.Session.Configure(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(900) }, rig.Now);
        rig.Session.Configure(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(2000) }, rig.Now);
        rig.Receive(BfdRig.Packet(BfdState.Up) with { IsFinal = true });
        Assert.True(rig.Session.IsPolling);
        Assert.Equal(300, rig.Session.TransmitInterval.TotalMilliseconds);

        rig.Receive(BfdRig.Packet(BfdState.Up) with { IsFinal = true });
        Assert.False(rig.Session.IsPolling);
        Assert.Equal(2000, rig.Session.TransmitInterval.TotalMilliseconds);
    }

    [Fact]
    public void A_slower_peer_that_becomes_faster_is_followed_at_once()
    {
        var rig = new BfdRig(new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(10) }).Up(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 60_000_000 });
        rig.Receive(BfdRig.Packet(BfdState.Up) with { RequiredMinRx = 10_000 });
        int sent = rig.Sent.Count;
        rig.Pass(100);

        Assert.InRange(rig.Sent.Count - sent, 9, 15);
    }

    [Fact]
    public void The_same_configuration_changes_nothing()
    {
        var rig = new BfdRig().Up();
        int sent = rig.Sent.Count;
        rig.Session.Configure(new BfdSettings(), rig.Now);

        Assert.Equal(sent, rig.Sent.Count);
        Assert.False(rig.Session.IsPolling);
    }

    [Fact]
    public void A_passive_session_waits_to_be_spoken_to()
    {
        var rig = new BfdRig(new BfdSettings { IsPassive = true });
        rig.Pass(10_000);
        Assert.Empty(rig.Sent);

        rig.Receive(BfdRig.Packet(BfdState.Down, 0));
        Assert.Equal(BfdState.Init, rig.Last.State);
        rig.Receive(BfdRig.Packet(BfdState.Up));
        Assert.Equal(BfdState.Up, rig.Session.State);
    }

    [Fact]
    public void A_passive_session_falls_silent_with_the_other_side()
    {
        var rig = new BfdRig(new BfdSettings { IsPassive = true });
        rig.Receive(BfdRig.Packet(BfdState.Down, 0));
        rig.Pass(900);
        int sent = rig.Sent.Count;
        rig.Pass(10_000);

        Assert.Equal(BfdState.Down, rig.Session.State);
        Assert.Equal(sent, rig.Sent.Count);
    }

    [Fact]
    public void A_peer_in_demand_mode_is_spared_periodic_packets_while_both_are_up()
    {
        var rig = new BfdRig().Up(BfdRig.Packet(BfdState.Up) with { IsDemand = true });
        int sent = rig.Sent.Count;
        rig.Pass(500);
        Assert.Equal(sent, rig.Sent.Count);
        Assert.False(rig.Last.IsDemand);

        rig.Receive(BfdRig.Packet(BfdState.Up));
        rig.Pass(500);
        Assert.True(rig.Sent.Count > sent);
    }

    [Fact]
    public void Held_down_it_says_so_slowly_and_takes_nothing()
    {
        var rig = new BfdRig().Up();
        rig.Session.SetAdminDown(true, rig.Now);
        Assert.Equal((BfdState.AdminDown, BfdDiagnostic.AdministrativelyDown), (rig.Last.State, rig.Last.Diagnostic));

        Assert.Equal(BfdDropReason.AdminDown, rig.Receive(BfdRig.Packet(BfdState.Init) with { IsPoll = true }));
        int sent = rig.Sent.Count;
        rig.Pass(10_000);
        Assert.Equal(BfdState.AdminDown, rig.Session.State);
        Assert.InRange(rig.Sent.Count - sent, 9, 14);

        rig.Session.SetAdminDown(false, rig.Now);
        rig.Receive(BfdRig.Packet(BfdState.Down, 0));
        rig.Receive(BfdRig.Packet(BfdState.Up));
        Assert.Equal(BfdState.Up, rig.Session.State);
    }

    private static List<double> Pauses(BfdRig rig) => [.. rig.Sent.Zip(rig.Sent.Skip(1), static (a, b) => (b.At - a.At).TotalMilliseconds)];
}
