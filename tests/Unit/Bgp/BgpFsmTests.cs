using DynamicLb.Networking.Bgp;

namespace DynamicLb.Tests.Unit.Bgp;

public sealed class BgpFsmTests : IBgpEffects
{
    private static readonly BgpSettings Settings = new(65001, BgpPeerAs.Configured, 65002, [BgpFamily.IPv4]) { HoldSeconds = 90, RestartSeconds = 120 };
    private static readonly BgpOpen PeerOpen = new(65002, 30, 0x0a000002) { Families = [BgpFamily.IPv4], FourOctetAs = true };
    private readonly List<string> _effects = [];
    private TimeSpan _now = TimeSpan.FromHours(1);
    private BgpFsm _fsm;

    public BgpFsmTests() => _fsm = new BgpFsm(Settings, this, new Random(1));

    [Fact]
    public void Session_comes_about_and_is_kept_by_keepalives()
    {
        Establish();
        Assert.Equal(BgpState.Established, _fsm.State);
        Assert.Equal(TimeSpan.FromSeconds(30), _fsm.Session!.HoldTime);
        Assert.False(_fsm.Session.IsInternal);
        for (int i = 0; i < 100; i++)
        {
            Advance(TimeSpan.FromSeconds(10));
            Receive(1, BgpWire.Keepalive());
        }
        Assert.Equal(BgpState.Established, _fsm.State);
        // 0.75 to 1 of ten seconds.
        Assert.InRange(Take().Count(static effect => effect == "1 Keepalive"), 100, 134);
    }

    [Fact]
    public void Silent_peer_is_told_so_after_the_hold_time_and_tried_again()
    {
        Establish();
        Advance(TimeSpan.FromSeconds(29.9));
        Assert.Equal(BgpState.Established, _fsm.State);
        _ = Take();
        Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal(["1 Notification", "sent hold timer expired", "close 1", "down hold timer expired"], Take());
        Assert.Equal((BgpState.Active, "hold timer expired"), (_fsm.State, _fsm.LastError));
        Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(["connect"], Take());
    }

    [Fact]
    public void Attempts_come_farther_apart_up_to_the_connect_time()
    {
        _fsm.Start(_now);
        var pauses = new List<double>();
        for (int i = 0; i < 9; i++)
        {
            _fsm.ConnectFailed("refused", _now);
            var pause = _fsm.NextDue!.Value - _now;
            pauses.Add(pause.TotalSeconds);
            Advance(pause);
        }
        for (int i = 0; i < pauses.Count; i++)
        {
            double most = Math.Min(1 << i, 60);
            Assert.InRange(pauses[i], most * 0.75, most);
        }
        Assert.Equal(BgpState.Connect, _fsm.State);
    }

    [Fact]
    public void Attempt_that_takes_too_long_is_given_up()
    {
        _fsm.Start(_now);
        Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(["connect", "cancel", "failed the connection attempt timed out"], Take());
    }

    [Theory]
    [InlineData(65003u, 30, 7u, 2)] // bad peer AS
    [InlineData(65002u, 30, 0u, 3)] // bad identifier
    [InlineData(65002u, 2, 7u, 6)] // unacceptable hold time
    public void Open_that_is_not_acceptable_gets_the_right_notification(uint asn, ushort hold, uint id, byte subcode)
    {
        Connect();
        Receive(1, (PeerOpen with { Asn = asn, HoldSeconds = hold, RouterId = id }).ToMessage());
        Assert.Equal($"sent {new BgpNotification(BgpErrorCode.Open, subcode)}", Take()[1]);
        Assert.Equal(BgpState.Active, _fsm.State);
    }

    [Fact]
    public void Peer_without_a_common_family_is_told_which_one_is_missing()
    {
        Connect();
        Receive(1, (PeerOpen with { Families = [BgpFamily.IPv6] }).ToMessage());
        Assert.Equal("sent OPEN message error: unsupported capability", Take()[1]);
    }

    [Theory]
    [InlineData(BgpPeerAs.Internal, 65001u, true)]
    [InlineData(BgpPeerAs.Internal, 65002u, false)]
    [InlineData(BgpPeerAs.External, 65001u, false)]
    [InlineData(BgpPeerAs.External, 65002u, true)]
    public void Dynamic_as_takes_what_it_says(BgpPeerAs kind, uint asn, bool isTaken)
    {
        _fsm = new BgpFsm(Settings with { PeerAs = kind, PeerAsn = 0 }, this, new Random(1));
        Connect();
        Receive(1, (PeerOpen with { Asn = asn }).ToMessage());
        Assert.Equal(isTaken ? BgpState.OpenConfirm : BgpState.Active, _fsm.State);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 3)]
    public void Message_that_does_not_belong_to_the_state_names_the_state(int steps, byte subcode)
    {
        Connect();
        if (steps > 0)
            Receive(1, PeerOpen.ToMessage());
        if (steps > 1)
            Receive(1, BgpWire.Keepalive());
        _ = Take();
        Receive(1, steps == 2 ? PeerOpen.ToMessage() : BgpWire.RouteRefresh(BgpFamily.IPv4, BgpRefreshKind.Request));
        Assert.Equal($"sent {new BgpNotification(BgpErrorCode.FiniteStateMachine, subcode)}", Take()[1]);
    }

    [Theory]
    [InlineData(0x0a000001u)]
    [InlineData(0x0a000003u)]
    public void Passive_side_waits_and_of_two_connections_of_the_peer_the_second_stays(uint ours)
    {
        _fsm = new BgpFsm(Settings with { IsPassive = true }, this, new Random(1));
        _fsm.Start(_now);
        Assert.Equal(BgpState.Active, _fsm.State);
        Assert.Null(_fsm.NextDue);
        _fsm.Accepted(1, ours, _now);
        Receive(1, PeerOpen.ToMessage());
        // The peer has gone and come back before its first connection is known to be dead.
        _fsm.Accepted(2, ours, _now);
        Receive(2, PeerOpen.ToMessage());
        Receive(2, BgpWire.Keepalive());
        Assert.Equal(2, _fsm.Session!.Connection);
        Assert.Contains("close 1", _effects);
        _fsm.Closed(2, "gone", _now);
        Assert.Equal((BgpState.Active, null), (_fsm.State, _fsm.NextDue));
        Assert.DoesNotContain("connect", _effects);
    }

    [Theory]
    [InlineData(0x0a000001u, 0x0a000002u, 2)] // the peer's identifier is higher: its connection stays
    [InlineData(0x0a000003u, 0x0a000002u, 1)]
    public void Of_two_connections_the_one_of_the_higher_identifier_stays(uint ours, uint theirs, int survivor)
    {
        _fsm.Start(_now);
        _fsm.Connected(1, ours, _now);
        _fsm.Accepted(2, ours, _now);
        Receive(1, (PeerOpen with { RouterId = theirs }).ToMessage());
        Assert.DoesNotContain("close 1", _effects);
        Receive(2, (PeerOpen with { RouterId = theirs }).ToMessage());
        Assert.Contains($"close {3 - survivor}", _effects);
        Assert.Contains("sent cease: connection collision resolution", _effects);
        Receive(survivor, BgpWire.Keepalive());
        Assert.Equal(survivor, _fsm.Session!.Connection);
        Assert.Null(_effects.Find(static effect => effect.StartsWith("down", StringComparison.Ordinal)));
    }

    [Fact]
    public void Second_connection_of_an_established_peer_is_refused_unless_it_restarted_gracefully()
    {
        Establish();
        _ = Take();
        _fsm.Accepted(2, 1, _now);
        Assert.Equal(["2 Notification", "close 2"], Take());

        _fsm = new BgpFsm(Settings, this, new Random(1));
        var graceful = PeerOpen with { GracefulRestart = new BgpGracefulRestart(false, true, 120, [(BgpFamily.IPv4, true)]) };
        Establish(graceful);
        _fsm.Accepted(2, 1, _now);
        Receive(2, graceful.ToMessage());
        Receive(2, BgpWire.Keepalive());
        Assert.Equal(2, _fsm.Session!.Connection);
    }

    [Fact]
    public void Passive_session_waits_for_the_peer()
    {
        _fsm = new BgpFsm(Settings with { IsPassive = true }, this, new Random(1));
        _fsm.Start(_now);
        Assert.Empty(_effects);
        Assert.Equal(BgpState.Active, _fsm.State);
        _fsm.Accepted(1, 1, _now);
        Receive(1, PeerOpen.ToMessage());
        Receive(1, BgpWire.Keepalive());
        Assert.Equal(BgpState.Established, _fsm.State);
    }

    [Fact]
    public void Stop_tells_why_and_a_hard_reset_where_notifications_keep_routes()
    {
        Establish();
        _ = Take();
        _fsm.Stop(BgpNotification.Cease(BgpCease.PeerDeconfigured));
        Assert.Equal(["1 Notification", "sent cease: peer de-configured", "close 1", "down cease: peer de-configured"], Take());
        Assert.Equal((BgpState.Idle, null), (_fsm.State, _fsm.NextDue));

        _fsm = new BgpFsm(Settings, this, new Random(1));
        Establish(PeerOpen with { GracefulRestart = new BgpGracefulRestart(false, true, 120, [(BgpFamily.IPv4, true)]) });
        _ = Take();
        _fsm.Stop(BgpNotification.Cease(BgpCease.PeerDeconfigured));
        Assert.Contains("sent cease: peer de-configured, as hard reset", Take());
    }

    [Fact]
    public void Stop_without_a_word_leaves_the_routes_to_graceful_restart()
    {
        Establish();
        _ = Take();
        _fsm.Stop(null);
        Assert.Equal(["close 1", "down stopped"], Take());
    }

    [Fact]
    public void Only_the_first_open_says_that_we_restarted()
    {
        Assert.True(Opened().GracefulRestart!.IsRestarting);
        Receive(1, PeerOpen.ToMessage());
        Receive(1, BgpWire.Keepalive());
        _fsm.Closed(1, "reset", _now);
        Advance(TimeSpan.FromSeconds(1));
        _fsm.Connected(2, 1, _now);
        Assert.False(Sent(2).GracefulRestart!.IsRestarting);

        BgpOpen Opened()
        {
            Connect();
            return Sent(1);
        }

        BgpOpen Sent(int connection)
        {
            Assert.Null(BgpOpen.TryParse(_sent.FindLast(item => item.Connection == connection).Message, out var open));
            return open!;
        }
    }

    [Fact]
    public void Peer_that_takes_nothing_off_us_is_given_up_after_the_send_hold_time()
    {
        Establish();
        _fsm.Sending(1, true, _now);
        for (int i = 0; i < 47; i++)
        {
            Advance(TimeSpan.FromSeconds(10));
            Receive(1, BgpWire.Keepalive());
        }
        Assert.Equal(BgpState.Established, _fsm.State);
        _ = Take();
        Advance(TimeSpan.FromSeconds(10));
        Assert.Contains("sent send hold timer expired", Take());
    }

    [Fact]
    public void No_hold_time_means_no_keepalives()
    {
        Establish(PeerOpen with { HoldSeconds = 0 });
        Assert.Null(_fsm.NextDue);
    }

    [Fact]
    public void Words_of_the_peer_are_the_last_error()
    {
        Establish();
        Receive(1, BgpWire.Notification(BgpNotification.Cease(BgpCease.AdministrativeShutdown, "maintenance")));
        Assert.Equal("the peer ended it: cease: administrative shutdown (\"maintenance\")", _fsm.LastError);
    }

    [Fact]
    public void Any_events_in_any_order_keep_the_machine_sane()
    {
        var random = new Random(99);
        byte[][] messages = [PeerOpen.ToMessage(), BgpWire.Keepalive(), BgpWire.RouteRefresh(BgpFamily.IPv4, BgpRefreshKind.Request), BgpWire.Notification(BgpNotification.Cease(BgpCease.HardReset)), PeerOpen.ToMessage(), BgpWire.Keepalive()];
        int next = 10;
        for (int i = 0; i < 50_000; i++)
        {
            int connection = Math.Max(1, next - random.Next(4));
            switch (random.Next(12))
            {
                case 0: _fsm.Start(_now); break;
                case 1 when random.Next(10) == 0: _fsm.Stop(random.Next(2) == 0 ? null : BgpNotification.Cease(BgpCease.OutOfResources)); break;
                case 2: _fsm.Connected(++next, 1, _now); break;
                case 3: _fsm.ConnectFailed("x", _now); break;
                case 4: _fsm.Accepted(++next, 1, _now); break;
                case 5: _fsm.Closed(connection, "x", _now); break;
                case 6: Advance(TimeSpan.FromSeconds(random.NextDouble() * 20)); break;
                case 7: _fsm.Sending(connection, random.Next(2) == 0, _now); break;
                default: _fsm.Received(connection, messages[random.Next(messages.Length)], _now); break;
            }
            Assert.Equal(_fsm.State == BgpState.Established, _fsm.Session is not null);
            if (_fsm.State is BgpState.Connect or BgpState.Active)
                Assert.NotNull(_fsm.NextDue);
        }
    }

    private readonly List<(int Connection, byte[] Message)> _sent = [];

    void IBgpEffects.Connect() => _effects.Add("connect");

    void IBgpEffects.CancelConnect() => _effects.Add("cancel");

    void IBgpEffects.Send(int connection, byte[] message)
    {
        _sent.Add((connection, message));
        _effects.Add($"{connection} {BgpWire.TypeOf(message)}");
    }

    void IBgpEffects.Close(int connection) => _effects.Add($"close {connection}");

    void IBgpEffects.Up(BgpEstablished session) => _effects.Add("up");

    void IBgpEffects.Down(string cause, bool wasEstablished) => _effects.Add($"{(wasEstablished ? "down" : "failed")} {cause}");

    void IBgpEffects.Refresh(BgpFamily family) => _effects.Add($"refresh {family}");

    void IBgpEffects.Received(BgpUpdate update) => _effects.Add("update");

    void IBgpEffects.Notified(BgpNotification notification, bool isSent) => _effects.Add($"{(isSent ? "sent" : "received")} {notification}");

    private void Connect()
    {
        _fsm.Start(_now);
        _fsm.Connected(1, 0x0a000001, _now);
        _effects.Clear();
    }

    private void Establish(BgpOpen? open = null)
    {
        Connect();
        Receive(1, (open ?? PeerOpen).ToMessage());
        Receive(1, BgpWire.Keepalive());
        Assert.Equal("up", _effects[^1]);
    }

    private void Receive(int connection, byte[] message) => _fsm.Received(connection, message, _now);

    private void Advance(TimeSpan by)
    {
        var end = _now + by;
        while (_fsm.NextDue is { } due && due <= end)
        {
            _now = due > _now ? due : _now;
            _fsm.Tick(_now);
        }
        _now = end;
    }

    private List<string> Take()
    {
        List<string> taken = [.. _effects];
        _effects.Clear();
        return taken;
    }
}
