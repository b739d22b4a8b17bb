namespace DynamicLb.Networking.Bgp;

/// <summary>
/// The finite state machine of a BGP session (RFC 4271 §8): pure, without sockets and clocks. Events and the time go in, effects come out. Two connections may exist until the OPENs
/// tell which of them is one too many (§6.8). Times are monotonic. Not thread-safe.
/// </summary>
public sealed partial class BgpFsm(BgpSettings settings, IBgpEffects effects, Random random)
{
    // A session that lasted this long was no mistake: the next attempt comes at once.
    private static readonly TimeSpan Proven = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ShortestRetry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LeastSendHold = TimeSpan.FromMinutes(8);

    private readonly List<Connection> _connections = [];
    private bool _isStarted;
    private bool _isConnecting;
    private bool _wasEstablished;
    private TimeSpan _connectDeadline;
    private TimeSpan? _retryDue;
    private TimeSpan _upSince;
    private int _failures;

    /// <summary>The state: that of the connection that is farthest.</summary>
    public BgpState State =>
        !_isStarted ? BgpState.Idle
        : _connections.Count > 0 ? _connections.Max(static connection => connection.State)
        : _isConnecting ? BgpState.Connect
        : BgpState.Active;

    /// <summary>The session; null unless it is established.</summary>
    public BgpEstablished? Session => Established?.Session;

    /// <summary>Why there is no session, or why the last one ended; empty for no cause yet.</summary>
    public string LastError { get; private set; } = "";

    /// <summary>When <see cref="Tick"/> is due; null for never.</summary>
    public TimeSpan? NextDue
    {
        get
        {
            TimeSpan? due = _isConnecting ? _connectDeadline : _retryDue;
            foreach (var connection in _connections)
                due = Least(Least(Least(due, connection.HoldDue), connection.KeepaliveDue), connection.SendDue);
            return due;
        }
    }

    private Connection? Established => _connections.Find(static connection => connection.State == BgpState.Established);

    /// <summary>Whether extended messages may come on a connection.</summary>
    public bool TakesExtended(int connection) => Find(connection)?.Session?.ExtendedMessage == true;

    /// <summary>Begins.</summary>
    public void Start(TimeSpan now)
    {
        if (_isStarted)
            return;
        _isStarted = true;
        _failures = 0;
        if (!settings.IsPassive)
            BeginConnect(now);
    }

    /// <summary>Ends on purpose.</summary>
    /// <param name="reason">What the peer is told; null to end without a word, so that it keeps our routes if graceful restart was agreed on.</param>
    public void Stop(BgpNotification? reason)
    {
        _isStarted = false;
        _retryDue = null;
        CancelConnect();
        foreach (var connection in _connections.ToArray())
            End(connection, reason is not null && connection.Session?.KeepsRoutesOnNotification == true ? reason.AsHardReset() : reason, reason?.ToString() ?? "stopped", null);
    }

    /// <summary>Ends the session, and begins another one.</summary>
    /// <param name="reason">What the peer is told.</param>
    /// <param name="now">The time.</param>
    public void Reset(BgpNotification reason, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(reason);
        foreach (var connection in _connections.ToArray())
            End(connection, connection.Session?.KeepsRoutesOnNotification == true ? reason.AsHardReset() : reason, reason.ToString(), now);
    }

    /// <summary>The connection we made stands.</summary>
    /// <param name="connection">Its number, of the caller's choice, never used before.</param>
    /// <param name="routerId">Our BGP identifier on it.</param>
    /// <param name="now">The time.</param>
    public void Connected(int connection, uint routerId, TimeSpan now)
    {
        if (!_isConnecting)
        {
            effects.Close(connection);
            return;
        }
        _isConnecting = false;
        Open(connection, true, routerId, now);
    }

    /// <summary>The connection could not be made.</summary>
    public void ConnectFailed(string cause, TimeSpan now)
    {
        if (!_isConnecting)
            return;
        _isConnecting = false;
        LastError = cause;
        effects.Down(cause, false);
        Retry(now);
    }

    /// <summary>The peer made a connection.</summary>
    /// <param name="connection">Its number.</param>
    /// <param name="routerId">Our BGP identifier on it.</param>
    /// <param name="now">The time.</param>
    public void Accepted(int connection, uint routerId, TimeSpan now)
    {
        // A peer that restarted may be back before we notice that it was away (RFC 4724 §5): then its OPEN decides.
        bool isFull = _connections.Count >= 2 || Established is { Session.Remote.GracefulRestart: null };
        if (!_isStarted || isFull)
        {
            var refusal = BgpNotification.Cease(isFull ? BgpCease.ConnectionCollision : BgpCease.ConnectionRejected);
            effects.Send(connection, BgpWire.Notification(refusal));
            effects.Close(connection);
            return;
        }
        Open(connection, false, routerId, now);
    }

    /// <summary>A connection ended by itself.</summary>
    public void Closed(int connection, string cause, TimeSpan now)
    {
        if (Find(connection) is { } found)
            End(found, null, cause, now);
    }

    /// <summary>What the caller reports of sending: whether something is waiting to go out, each time that something went out or came to wait.</summary>
    public void Sending(int connection, bool isWaiting, TimeSpan now)
    {
        if (Find(connection) is { State: BgpState.Established } found)
            found.SendDue = isWaiting && found.Session!.HoldTime > TimeSpan.Zero ? now + SendHold(found.Session) : null;
    }

    /// <summary>The frame of what came is wrong.</summary>
    public void BadFrame(int connection, BgpNotification error, TimeSpan now)
    {
        if (Find(connection) is { } found)
            Fail(found, error, now);
    }

    /// <summary>Works off what is due.</summary>
    public void Tick(TimeSpan now)
    {
        if (_isConnecting && _connectDeadline <= now)
        {
            effects.CancelConnect();
            ConnectFailed("the connection attempt timed out", now);
        }
        if (!_isConnecting && _retryDue <= now)
            BeginConnect(now);
        foreach (var connection in _connections.ToArray())
        {
            if (connection.SendDue <= now)
            {
                Fail(connection, new BgpNotification(BgpErrorCode.SendHoldTimerExpired, 0), now);
            }
            else if (connection.HoldDue <= now)
            {
                Fail(connection, new BgpNotification(BgpErrorCode.HoldTimerExpired, 0), now);
            }
            else if (connection.KeepaliveDue <= now)
            {
                effects.Send(connection.Id, BgpWire.Keepalive());
                connection.KeepaliveDue = now + Jittered(KeepaliveTime(connection));
            }
        }
    }

    private static TimeSpan? Least(TimeSpan? left, TimeSpan? right) => left is null ? right : right is null || left < right ? left : right;

    private Connection? Find(int connection) => _connections.Find(candidate => candidate.Id == connection);

    private void BeginConnect(TimeSpan now)
    {
        _retryDue = null;
        _isConnecting = true;
        _connectDeadline = now + settings.ConnectTimeout;
        effects.Connect();
    }

    private void CancelConnect()
    {
        if (_isConnecting)
            effects.CancelConnect();
        _isConnecting = false;
    }

    private void Open(int id, bool isOutgoing, uint routerId, TimeSpan now)
    {
        var restart = settings.RestartSeconds == 0 ? null : new BgpGracefulRestart(
            !_wasEstablished, true, settings.RestartSeconds, [.. settings.Families.Select(static family => (family, true))]);
        var open = new BgpOpen(settings.LocalAsn, settings.HoldSeconds, routerId)
        {
            Families = settings.MultiProtocol ? settings.Families : [],
            FourOctetAs = true,
            RouteRefresh = true,
            EnhancedRouteRefresh = true,
            ExtendedMessage = true,
            ExtendedNextHop = settings.ExtendedNextHop,
            GracefulRestart = restart,
        };
        _connections.Add(new Connection(id, isOutgoing, open) { HoldDue = now + settings.OpenTimeout });
        effects.Send(id, open.ToMessage());
    }

    private void Fail(Connection connection, BgpNotification error, TimeSpan now) => End(connection, error, error.ToString(), now);

    /// <param name="connection">The connection to end.</param>
    /// <param name="told">What the peer is told; null for nothing.</param>
    /// <param name="cause">In words.</param>
    /// <param name="now">When to count the next attempt from; null for no further attempt.</param>
    private void End(Connection connection, BgpNotification? told, string cause, TimeSpan? now)
    {
        _connections.Remove(connection);
        if (told is not null)
        {
            effects.Send(connection.Id, BgpWire.Notification(told));
            effects.Notified(told, true);
        }
        effects.Close(connection.Id);
        bool wasEstablished = connection.State == BgpState.Established;
        if (wasEstablished || _connections.Count == 0)
        {
            LastError = cause;
            effects.Down(cause, wasEstablished);
        }
        if (now is not { } time || _connections.Count > 0 || _isConnecting || !_isStarted)
            return;
        if (wasEstablished && time - _upSince >= Proven)
            _failures = 0;
        Retry(time);
    }

    private void Retry(TimeSpan now)
    {
        if (settings.IsPassive || _connections.Count > 0)
            return;
        var pause = ShortestRetry * (1 << Math.Min(_failures++, 16));
        _retryDue = now + Jittered(pause < settings.ConnectRetry ? pause : settings.ConnectRetry);
    }

    private TimeSpan KeepaliveTime(Connection connection)
    {
        var third = connection.HoldTime / 3;
        return settings.Keepalive is { } wanted && wanted > TimeSpan.Zero && wanted < third ? wanted : third;
    }

    private TimeSpan SendHold(BgpEstablished session)
    {
        var twice = session.HoldTime * 2;
        return settings.SendHold ?? (twice > LeastSendHold ? twice : LeastSendHold);
    }

    // RFC 4271 §10: three quarters to all of it.
    private TimeSpan Jittered(TimeSpan time) => time * (0.75 + (0.25 * random.NextDouble()));

    private sealed class Connection(int id, bool isOutgoing, BgpOpen open)
    {
        public int Id => id;

        public bool IsOutgoing => isOutgoing;

        public BgpOpen Open => open;

        public BgpState State { get; set; } = BgpState.OpenSent;

        public BgpEstablished? Session { get; set; }

        public TimeSpan HoldTime => Session?.HoldTime ?? TimeSpan.Zero;

        public TimeSpan? HoldDue { get; set; }

        public TimeSpan? KeepaliveDue { get; set; }

        public TimeSpan? SendDue { get; set; }
    }
}
