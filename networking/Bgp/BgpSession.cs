using System.Buffers;
using System.Net.Sockets;
using System.Threading.Channels;

namespace DynamicLb.Networking.Bgp;

/// <summary>
/// One BGP session: the machine, its connections, and what the peer has been told. One loop owns them; other threads only send it messages. Messages are written when the peer takes
/// them, so that memory is bounded. What the peer announces is checked, counted and dropped.
/// </summary>
public sealed partial class BgpSession : IBgpEffects, IAsyncDisposable
{
    private static readonly TimeSpan Linger = TimeSpan.FromSeconds(1);

    private readonly BgpFsm _fsm;
    private readonly Func<CancellationToken, Task<IBgpConnection>> _connect;
    private readonly IBgpSessionObserver _observer;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly Channel<Action> _inbox = Channel.CreateUnbounded<Action>(new UnboundedChannelOptions { SingleReader = true });
    private readonly Dictionary<int, Link> _links = [];
    private readonly BgpAdjRibOut _rib = new();
    private readonly ITimer _timer;
    private readonly Task _running;
    private CancellationTokenSource? _attempt;
    private TaskCompletionSource? _withdrawn;
    private TimeSpan? _armed;
    private int _lastConnection;
    private bool _isEnding;
    private string _local = "";
    private DateTimeOffset? _since;
    private volatile BgpSessionStatus _status = new(BgpState.Idle, "", 0, 0, 0);

    /// <summary>Creates and starts a session.</summary>
    /// <param name="settings">What it is to be.</param>
    /// <param name="connect">Makes a connection; its exceptions are told as the cause of failure.</param>
    /// <param name="observer">Who is told what happens.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Jitter.</param>
    public BgpSession(BgpSettings settings, Func<CancellationToken, Task<IBgpConnection>> connect, IBgpSessionObserver observer, TimeProvider time, Random random)
    {
        ArgumentNullException.ThrowIfNull(time);
        _connect = connect;
        _observer = observer;
        _time = time;
        _start = time.GetTimestamp();
        _fsm = new BgpFsm(settings, this, random);
        _timer = time.CreateTimer(_ => Post(() => _armed = null), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        Post(() => _fsm.Start(Now));
        _running = Task.Run(RunAsync);
    }

    /// <summary>How it is doing. Thread-safe.</summary>
    public BgpSessionStatus Status => _status;

    /// <summary>Its messages. Thread-safe.</summary>
    public BgpCounters Counters { get; } = new();

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>What the peer is to know from now on. The dictionary must not change afterwards. Thread-safe; does not wait.</summary>
    public void Want(IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes> routes) => Post(() =>
    {
        if (!_isEnding)
            _rib.Want(routes);
    });

    /// <summary>Ends the session at once, and tries again. Thread-safe; does not wait.</summary>
    public void Reset(BgpNotification reason) => Post(() => _fsm.Reset(reason, Now));

    /// <summary>Hands over a connection that the peer made. Thread-safe; does not wait.</summary>
    public void Accept(IBgpConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        if (!_inbox.Writer.TryWrite(() => _fsm.Accepted(Join(connection), connection.RouterId, Now)))
            connection.Dispose();
    }

    /// <summary>Ends the session for good.</summary>
    /// <param name="reason">What the peer is told; null to end without a word, so that graceful restart keeps our routes where it was agreed on.</param>
    /// <param name="withdrawFirst">Whether routes are withdrawn before.</param>
    public async Task StopAsync(BgpNotification? reason, bool withdrawFirst)
    {
        if (withdrawFirst && Status.State == BgpState.Established)
        {
            var withdrawn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Post(() =>
            {
                _isEnding = true;
                _rib.Want(new Dictionary<BgpPrefix, BgpRouteAttributes>());
                _withdrawn = withdrawn;
            });
            // A peer that reads nothing more does not hold us up.
            await ((Task)withdrawn.Task.WaitAsync(Linger, _time)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        Post(() =>
        {
            _fsm.Stop(reason);
            _inbox.Writer.TryComplete();
        });
        await _running;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync(null, false);

    void IBgpEffects.Connect()
    {
        var attempt = new CancellationTokenSource();
        _attempt = attempt;
        _ = ConnectAsync(attempt);
    }

    void IBgpEffects.CancelConnect()
    {
        _attempt?.Cancel();
        _attempt = null;
    }

    void IBgpEffects.Send(int connection, byte[] message)
    {
        if (!_links.TryGetValue(connection, out var link) || link.IsClosing)
            return;
        Counters.CountSent(BgpWire.TypeOf(message));
        link.Waiting.Write(message);
        Pump(link);
    }

    void IBgpEffects.Close(int connection)
    {
        if (!_links.TryGetValue(connection, out var link) || link.IsClosing)
            return;
        link.IsClosing = true;
        // A peer that reads nothing more does not hold us up.
        link.Cancellation.CancelAfter(Linger);
        Pump(link);
    }

    void IBgpEffects.Up(BgpEstablished session)
    {
        var link = _links[session.Connection];
        (_local, _since) = (link.Connection.Local, _time.GetUtcNow());
        _rib.Begin(link.Connection.WithNextHops(session.Encoding));
        link.TakesRoutes = true;
        _observer.Up(session, _local);
    }

    void IBgpEffects.Down(string cause, bool wasEstablished)
    {
        if (wasEstablished)
        {
            _rib.End();
            (_local, _since) = ("", null);
            foreach (var link in _links.Values)
                link.TakesRoutes = false;
        }
        _observer.Down(cause, wasEstablished);
    }

    void IBgpEffects.Refresh(BgpFamily family) => _rib.Refresh(family, _fsm.Session?.Remote.EnhancedRouteRefresh == true);

    void IBgpEffects.Received(BgpUpdate update)
    {
        if (update.TreatAsWithdraw is not null)
            Counters.CountFaulty();
    }

    void IBgpEffects.Notified(BgpNotification notification, bool isSent) => _observer.Notified(notification, isSent);

    private void Post(Action action) => _inbox.Writer.TryWrite(action);

    private async Task RunAsync()
    {
        await foreach (var action in _inbox.Reader.ReadAllAsync())
        {
            action();
            while (_inbox.Reader.TryRead(out var next))
                next();
            _fsm.Tick(Now);
            foreach (var link in _links.Values.Where(static link => link.TakesRoutes).ToArray())
                Pump(link);
            Arm();
            _status = new BgpSessionStatus(_fsm.State, _fsm.LastError, _rib.Told, _rib.Pending, _rib.NotCarried) { Session = _fsm.Session, Local = _local, Since = _since };
            if (_fsm.State != BgpState.Established || _rib.Told == 0)
                _withdrawn?.TrySetResult();
        }
        _status = new BgpSessionStatus(BgpState.Idle, _fsm.LastError, 0, 0, 0);
        await _timer.DisposeAsync();
        // Last words go out, for a moment.
        await Task.WhenAll(_links.Values.Select(static link => link.Ended.Task));
    }

    private void Arm()
    {
        var due = _fsm.NextDue;
        if (due == _armed)
            return;
        _armed = due;
        // Timers count in milliseconds, and cut off the rest.
        var pause = due - Now + TimeSpan.FromMilliseconds(1);
        _timer.Change(pause is { } left ? (left > TimeSpan.Zero ? left : TimeSpan.Zero) : Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private async Task ConnectAsync(CancellationTokenSource attempt)
    {
        try
        {
            var connection = await _connect(attempt.Token);
            if (!_inbox.Writer.TryWrite(Take))
                connection.Dispose();

            void Take()
            {
                if (attempt.IsCancellationRequested)
                {
                    connection.Dispose();
                    return;
                }
                _attempt = null;
                int id = Join(connection);
                _fsm.Connected(id, connection.RouterId, Now);
            }
        }
        catch (Exception e) when (e is SocketException or NotSupportedException or OperationCanceledException or IOException or InvalidOperationException)
        {
            Post(() =>
            {
                if (attempt.IsCancellationRequested)
                    return;
                _attempt = null;
                _fsm.ConnectFailed(e is SocketException socket ? Words(socket) : e.Message, Now);
            });
        }
    }

    private static string Words(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "the router refuses connections on the port",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable => $"the router cannot be reached: {e.Message}",
        SocketError.AddressNotAvailable => "this node has no such source address",
        SocketError.ConnectionReset => "the router reset the connection",
        SocketError.TimedOut => "the router does not answer",
        _ => e.Message,
    };
}
