using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Heartbeats;

/// <summary>
/// Sends and hears heartbeats on every interface on which addresses are announced. One loop sends and draws conclusions; what is received is judged under a lock that is held over
/// no I/O.
/// </summary>
internal sealed partial class HeartbeatExchange : IAsyncDisposable
{
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    // What does not open for want of a right will not the next moment either.
    private static readonly TimeSpan OpenAgainAfter = TimeSpan.FromSeconds(1);

    private readonly SpeakerOptions _options;
    private readonly HeartbeatKeys _keys;
    private readonly ILinkMonitor _links;
    private readonly Func<LinkInfo, ILinkChannel> _open;
    private readonly Func<bool> _mayAnnounce;
    private readonly SpeakerMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly long _start;
    private readonly byte[] _name;
    private readonly byte[] _frame = new byte[HeartbeatFrame.MaxLength];
    private readonly Lock _gate = new();
    private readonly HeartbeatTable _table;
    private readonly Dictionary<int, Segment> _segments = [];
    private readonly HashSet<int> _unopened = [];
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();
    private volatile HeartbeatSight _sight = HeartbeatSight.Nothing;
    private volatile bool _mustLook = true;
    private volatile bool _mustAnswer;
    private TimeSpan _openAgainAt = TimeSpan.MaxValue;
    private bool _hasCarrier;
    private bool _isJoining;
    private bool _wasOn;

    /// <param name="options">The settings.</param>
    /// <param name="keys">The keys.</param>
    /// <param name="links">The interfaces; somebody else runs it.</param>
    /// <param name="open">Opens a socket for <see cref="HeartbeatFrame.Filter"/>.</param>
    /// <param name="mayAnnounce">Whether we would announce what falls to us: until then nobody is told that we are ready, for they would let go of it. Thread-safe.</param>
    /// <param name="metrics">Where it is counted.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    public HeartbeatExchange(
        SpeakerOptions options, HeartbeatKeys keys, ILinkMonitor links, Func<LinkInfo, ILinkChannel> open, Func<bool> mayAnnounce, SpeakerMetrics metrics,
        TimeProvider time, ILogger<HeartbeatExchange> logger)
    {
        _options = options;
        _keys = keys;
        _links = links;
        _open = open;
        _mayAnnounce = mayAnnounce;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _start = time.GetTimestamp();
        _name = Encoding.UTF8.GetBytes(options.NodeName);
        _table = new HeartbeatTable(options.NodeName, options.HeartbeatInterval, static () => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), TimeSpan.Zero);
        // The others count from our last heartbeat, which was up to one interval before the pause.
        Guard = new PauseGuard(time, options.HeartbeatInterval * (HeartbeatTable.LostAfter - 1));
    }

    /// <summary><see cref="Sight"/> changed, or <see cref="IsOn"/>.</summary>
    public event Action? Changed;

    /// <summary>The others know of us again after they had to take us for dead.</summary>
    public event Action? Rejoined;

    /// <summary>Who is heard. Thread-safe.</summary>
    public HeartbeatSight Sight => _sight;

    /// <summary>Whether heartbeats are exchanged: there is a key. Thread-safe.</summary>
    public bool IsOn => _keys.Current.Count > 0;

    /// <summary>Whether somebody knows by our heartbeats that we are there, and has heard of it after whatever pause there was. Thread-safe.</summary>
    public bool IsKnown => IsOn && _sight is { IsReady: true, IsHeard: true } && !Guard.IsPaused;

    /// <summary>Notices that we stood still for so long that others took over.</summary>
    public PauseGuard Guard { get; }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Another machine spoke on the segment, by something else than heartbeats. Thread-safe.</summary>
    public void SeenOtherwise(MacAddress mac)
    {
        lock (_gate)
            _table.SeenOtherwise(mac, Now);
    }

    /// <summary>Whether a hardware address is another speaker's, by its heartbeats. Thread-safe.</summary>
    public bool Knows(MacAddress mac)
    {
        lock (_gate)
            return _table.Knows(mac);
    }

    /// <summary>Beats until <paramref name="stopping"/>, then says that we leave, and goes on saying so until <paramref name="silence"/>.</summary>
    public async Task RunAsync(CancellationToken stopping, CancellationToken silence)
    {
        void Look()
        {
            _mustLook = true;
            _wake.Writer.TryWrite(true);
        }

        if (_options.HeartbeatKeyFile is null)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, _time, silence).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return;
        }
        _links.Changed += Look;
        using var leaving = stopping.Register(() =>
        {
            lock (_gate)
                _table.Leave();
            _mustAnswer = true;
            _wake.Writer.TryWrite(true);
        });
        var next = TimeSpan.Zero;
        try
        {
            Guard.Tick();
            Guard.Resume();
            while (!silence.IsCancellationRequested)
            {
                _keys.Look();
                if (IsOn != _wasOn)
                {
                    // With a key that comes later nobody has to listen: the others know of us by our Lease.
                    _wasOn = IsOn;
                    Changed?.Invoke();
                }
                if (Guard.Tick())
                    Rejoin("this process stood still");
                if (_mustLook || Now >= _openAgainAt)
                    await FollowLinksAsync();
                if ((_mustAnswer && (stopping.IsCancellationRequested || MayAnswer())) || Now >= next)
                {
                    _mustAnswer = false;
                    await SendAsync(silence);
                    next = Now + _table.Interval;
                }
                int ready = _sight.ReadyLinks.Count;
                Evaluate();
                // The others hear of it now, not by the next heartbeat.
                if (_sight.ReadyLinks.Count > ready)
                    await SendAsync(silence);
                await SleepAsync(silence);
            }
        }
        catch (OperationCanceledException) when (silence.IsCancellationRequested)
        {
            // Told to be silent.
        }
        finally
        {
            _links.Changed -= Look;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (var segment in _segments.Values)
            await segment.CloseAsync();
        _segments.Clear();
        _stop.Dispose();
    }

    private bool MayAnswer()
    {
        lock (_gate)
            return _table.MayAnswer(Now);
    }

    private async Task SleepAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.HeartbeatInterval / 2, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // It is time to look.
        }
    }

    private void Rejoin(string cause)
    {
        lock (_gate)
            _table.Join(Now);
        _isJoining = true;
        LogJoining(_logger, cause);
    }

    private void Evaluate()
    {
        bool changed;
        bool mayAnnounce = _mayAnnounce();
        lock (_gate)
        {
            changed = _table.Evaluate(Now, mayAnnounce);
            _sight = _table.Sight;
        }
        bool rejoined = _isJoining && _sight.IsReady;
        if (rejoined)
        {
            _isJoining = false;
            Guard.Resume();
        }
        if (changed)
        {
            LogSight(_logger, string.Join(", ", _sight.Alive.Order(StringComparer.Ordinal)), string.Join(", ", _sight.Silent.Order(StringComparer.Ordinal)), _sight.IsReady);
            Changed?.Invoke();
        }
        if (rejoined)
            Rejoined?.Invoke();
    }

    private async Task SendAsync(CancellationToken cancellationToken)
    {
        if (_keys.Current is not { Count: > 0 } keys)
            return;
        var echoes = new ulong[HeartbeatFrame.MaxEchoes];
        Heartbeat beat;
        int count;
        lock (_gate)
            beat = _table.Next(echoes, Now, out count);
        foreach (var (index, segment) in _segments)
        {
            bool isReady;
            lock (_gate)
                isReady = _table.IsReadyOn(index) && !Guard.IsPaused;
            int length = HeartbeatFrame.Write(_frame, segment.Link.Mac, beat with { IsReady = isReady }, _name, echoes.AsSpan(0, count), keys[0]);
            try
            {
                await segment.Channel.SendAsync(_frame.AsMemory(0, length), cancellationToken);
                _metrics.HeartbeatSent();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // A link that is down: the others notice, and we hear of it from the monitor.
            }
        }
    }

    private async Task FollowLinksAsync()
    {
        (_mustLook, _openAgainAt) = (false, TimeSpan.MaxValue);
        var eligible = _links.Current.Where(state => Layer2Announcer.IsEligible(state, _options.ExcludedInterfaces)).ToDictionary(static state => state.Link.Index);
        foreach (var (index, segment) in _segments)
        {
            if (eligible.TryGetValue(index, out var state) && state.Link == segment.Link)
                continue;
            _segments.Remove(index);
            await segment.CloseAsync();
        }
        _unopened.IntersectWith(eligible.Keys);
        foreach (var state in eligible.Values.Where(state => !_segments.ContainsKey(state.Link.Index)))
            await OpenAsync(state.Link);
        // Behind a cable that was plugged in again others may announce what we did.
        int[] usable = [.. _segments.Keys.Where(index => eligible[index].HasCarrier)];
        bool hasCarrier;
        lock (_gate)
            hasCarrier = _table.UseLinks(_segments.Keys, usable, Now);
        if (hasCarrier && !_hasCarrier)
        {
            Guard.Pause();
            Rejoin("the segment can be reached");
        }
        _hasCarrier = hasCarrier;
    }

    private async ValueTask OpenAsync(LinkInfo link)
    {
        ILinkChannel? channel = null;
        try
        {
            channel = _open(link);
            channel.JoinUnicast(HeartbeatFrame.Group);
            var segment = new Segment(channel);
            _segments[link.Index] = segment;
            segment.Receiving = Task.Run(() => ReceiveAsync(channel, _stop.Token));
            _unopened.Remove(link.Index);
        }
        catch (SocketException e)
        {
            if (channel is not null)
                await channel.DisposeAsync();
            if (_unopened.Add(link.Index))
                LogCannotOpen(_logger, link.Name, e.Message);
            _openAgainAt = Now + OpenAgainAfter;
        }
    }

    private async Task ReceiveAsync(ILinkChannel channel, CancellationToken cancellationToken)
    {
        var frame = new byte[2048];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await channel.ReceiveAsync(frame, cancellationToken);
                Hear(frame.AsSpan(0, length), channel.Link.Index);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private void Hear(ReadOnlySpan<byte> frame, int link)
    {
        if (!HeartbeatFrame.TryRead(frame, _keys.Current, out var view))
        {
            _metrics.HeartbeatHeard(null);
            return;
        }
        HeardKind kind;
        bool isNews;
        lock (_gate)
        {
            kind = _table.Hear(view, link, Now);
            // One that is ready or leaves is not left waiting for the next look.
            isNews = kind == HeardKind.Taken && (view.Beat.IsLeaving || !view.Beat.IsReady || _sight.Silent.Count > 0);
        }
        _metrics.HeartbeatHeard(kind);
        // Never written but to ask: another interface's loop, or the one that answers, may be doing so now.
        if (kind == HeardKind.Unacquainted)
            _mustAnswer = true;
        if (kind == HeardKind.Unacquainted || isNews)
            _wake.Writer.TryWrite(true);
    }

    private sealed class Segment(ILinkChannel channel)
    {
        public ILinkChannel Channel => channel;

        public LinkInfo Link { get; } = channel.Link;

        public Task Receiving { get; set; } = Task.CompletedTask;

        public async Task CloseAsync()
        {
            await channel.DisposeAsync();
            await Receiving;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Heard and ready: {Alive}; silent or not ready: {Silent}; we are ready: {Ready}")]
    private static partial void LogSight(ILogger logger, string alive, string silent, bool ready);

    [LoggerMessage(2, LogLevel.Information, "Listening before anything is announced: {Cause}")]
    private static partial void LogJoining(ILogger logger, string cause);

    [LoggerMessage(3, LogLevel.Error, "No heartbeats on {Interface}: {Cause} (NET_RAW is needed)")]
    private static partial void LogCannotOpen(ILogger logger, string @interface, string cause);
}
