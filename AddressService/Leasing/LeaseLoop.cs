using System.Threading.Channels;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>More calls wait for the loop than it takes.</summary>
internal sealed class LoopBusyException() : Exception("too many calls wait to be taken up");

/// <summary>
/// The one loop that owns the leases: a channel into it, a timer that wakes it. Calls wait for their answer outside of it, so that none waits for
/// another's DHCP exchange. Stopping releases nothing.
/// </summary>
internal sealed partial class LeaseLoop : BackgroundService
{
    /// <summary>Calls that wait at a time; the rest of the queue is for replies of DHCP servers, on which leases depend.</summary>
    public const int MaxCalls = 1024;

    private const int QueueLength = 8192;

    // Timers stand still while the machine sleeps, leases do not: look at the clock now and then.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(5);

    // Timers know no finer time.
    private static readonly TimeSpan TimerTick = TimeSpan.FromMilliseconds(1);

    private readonly Channel<Item> _queue = Channel.CreateBounded<Item>(new BoundedChannelOptions(QueueLength) { SingleReader = true });
    private readonly LeaseKeeper _keeper;
    private readonly WriteBehindStore _store;
    private readonly LeaseOutbox _outbox;
    private readonly DhcpLinks _links;
    private readonly ILeaseClock _clock;
    private readonly TimeProvider _time;
    private readonly LeaseMetrics _metrics;
    private readonly ILogger<LeaseLoop> _logger;
    private volatile bool _isSettled;
    private volatile bool _isStopping;
    private int _calls;
    private long _turnover;

    // When the timer fires, on the leases' clock, and whether it still will.
    private TimeSpan _timerAt;
    private volatile bool _isTimerSet;

    public LeaseLoop(
        LeaseKeeper keeper, WriteBehindStore store, LeaseOutbox outbox, DhcpLinks links, ILeaseClock clock, TimeProvider time, LeaseMetrics metrics,
        ILogger<LeaseLoop> logger)
    {
        _keeper = keeper;
        _store = store;
        _outbox = outbox;
        _links = links;
        _clock = clock;
        _time = time;
        _metrics = metrics;
        _logger = logger;
    }

    /// <summary>Whether the leases are loaded, and each was verified or went unanswered once.</summary>
    public bool IsSettled => _isSettled;

    /// <summary>How many leases were taken up or forgotten since the start, as of the last turn of the loop.</summary>
    public long Turnover => Volatile.Read(ref _turnover);

    /// <summary>Runs an action on the loop, unless it is cancelled before its turn.</summary>
    /// <exception cref="LoopBusyException">Too many wait.</exception>
    /// <exception cref="ChannelClosedException">The program stops.</exception>
    public Task<T> InvokeAsync<T>(Func<LeaseKeeper, T> action, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _calls) <= MaxCalls && _queue.Writer.TryWrite(Enter(action, cancellationToken, out var completion)))
            return completion.WaitAsync(cancellationToken);
        Interlocked.Decrement(ref _calls);
        return Task.FromException<T>(_isStopping ? new ChannelClosedException() : new LoopBusyException());
    }

    /// <summary>Runs an action that must not be refused, such as one that frees what a call took: waits for room.</summary>
    /// <exception cref="ChannelClosedException">The program stops.</exception>
    public async Task<T> InvokePatientlyAsync<T>(Func<LeaseKeeper, T> action, CancellationToken cancellationToken)
    {
        var item = Enter(action, cancellationToken, out var completion);
        Interlocked.Increment(ref _calls);
        try
        {
            await _queue.Writer.WriteAsync(item, cancellationToken);
        }
        catch (Exception e) when (e is ChannelClosedException or OperationCanceledException)
        {
            Interlocked.Decrement(ref _calls);
            throw;
        }
        return await completion.WaitAsync(cancellationToken);
    }

    private Item Enter<T>(Func<LeaseKeeper, T> action, CancellationToken cancellationToken, out Task<T> completed)
    {
        var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        completed = completion.Task;
        return new Item(default, 0, keeper =>
        {
            Interlocked.Decrement(ref _calls);
            // Nobody waits for it any more: what it would take, nobody would own.
            if (cancellationToken.IsCancellationRequested)
            {
                completion.TrySetCanceled(cancellationToken);
                return;
            }
            try
            {
                completion.TrySetResult(action(keeper));
            }
            catch (Exception e)
            {
                completion.TrySetException(e);
                throw;
            }
        });
    }

    /// <summary>Takes what one interface receives, given by its place among the interfaces. Thread-safe.</summary>
    public IDhcpReceiver ReceiverOf(int link) => new Receiver(this, link);

    /// <summary>The same, of ARP.</summary>
    public IArpReceiver ArpReceiverOf(int link) => new Receiver(this, link);

    /// <summary>The same for DHCPv6.</summary>
    public ILinkReceiver6 ReceiverOf6(int link) => new Receiver6(this, link);

    /// <summary>An interface is back. Thread-safe.</summary>
    /// <param name="link">Its place among the interfaces.</param>
    public void LinkReturned(int link) => _queue.Writer.TryWrite(new Item(default, link, keeper => keeper.LinkReturned(keeper.Links[link])));

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        _keeper.Load();
        await base.StartAsync(cancellationToken);
    }

    // The receivers first: before the first message is sent, or its answer would be lost.
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Together.RunAsync(
        stoppingToken,
        [
            .. _links.Items.Select<DhcpLink, Func<CancellationToken, Task>>(
                (link, place) => token => link.ReceiveAsync(ReceiverOf(place), ArpReceiverOf(place), ReceiverOf6(place), token)),
            WorkAsync,
        ]);

    private async Task WorkAsync(CancellationToken stoppingToken)
    {
        await using var timer = _time.CreateTimer(static loop => ((LeaseLoop)loop!).TimerFired(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        // A wait that can be cancelled makes an object each time; this one is woken instead.
        await using var stopping = stoppingToken.UnsafeRegister(static loop => ((LeaseLoop)loop!)._queue.Writer.TryWrite(default), this);
        try
        {
            while (!stoppingToken.IsCancellationRequested)
            {
                await StepAsync(static (keeper, _) => keeper.Tick(), default, stoppingToken);
                BeginWriting(stoppingToken);
                _isSettled = _isSettled || _keeper.IsSettled;
                Volatile.Write(ref _turnover, _keeper.Turnover);
                SetTimer(timer);
                await _queue.Reader.WaitToReadAsync(CancellationToken.None);
                for (int i = 0; i < 64 && _queue.Reader.TryRead(out var item); i++)
                    await StepAsync(static (keeper, item) => Handle(keeper, item), item, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The leases stay as they are; a call that still waits is told by its own token.
        }
        finally
        {
            _isStopping = true;
            _queue.Writer.TryComplete();
            await FinishWritingAsync();
        }
    }

    private async ValueTask StepAsync(Action<LeaseKeeper, Item> step, Item item, CancellationToken cancellationToken)
    {
        try
        {
            step(_keeper, item);
            await _outbox.FlushAsync(cancellationToken);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // One lease's fault must not end all the others.
            Log.StepFailed(_logger, e);
        }
    }

    private static void Handle(LeaseKeeper keeper, in Item item)
    {
        if (item.Command is { } command)
        {
            command(keeper);
        }
        else if (item.Reply.Message is { } message)
        {
            keeper.Receive(keeper.Links[item.Link], item.Reply);
            message.Recycle();
        }
    }

    private void TimerFired()
    {
        _isTimerSet = false;
        _queue.Writer.TryWrite(default);
    }

    /// <summary>A timer that fires early enough is let be: to set it wakes a thread, and most of what happens only puts the next deadline off.</summary>
    private void SetTimer(ITimer timer)
    {
        var now = _clock.Now;
        var sleep = SleepAt(now);
        if (_isTimerSet && _timerAt > now && _timerAt <= now + sleep + TimerTick)
            return;
        _timerAt = now + sleep;
        _isTimerSet = true;
        timer.Change(sleep, Timeout.InfiniteTimeSpan);
    }

    private TimeSpan SleepAt(TimeSpan now)
    {
        var sleep = LongestSleep;
        if (_keeper.NextDeadline is { } next && next - now is var left && left < sleep)
            sleep = left <= TimeSpan.Zero ? TimeSpan.Zero : left + TimerTick;
        // A gathered batch leaves when its time has come, be it that nothing else happens.
        if (_store.DueIn is { } due && due < sleep)
            sleep = due <= TimeSpan.Zero ? TimeSpan.Zero : due + TimerTick;
        return sleep;
    }

    /// <summary>A reply, a call, or neither: only look at the clock.</summary>
    private readonly record struct Item(DhcpReply Reply, int Link, Action<LeaseKeeper>? Command);

    private sealed class Receiver(LeaseLoop loop, int link) : IDhcpReceiver, IArpReceiver
    {
        public void Heard(IPv4Address address, MacAddress host) =>
            loop._queue.Writer.TryWrite(new Item(default, link, keeper => keeper.Heard(keeper.Links[link], address, host)));

        public void Used(IPv4Address address, MacAddress host) =>
            loop._queue.Writer.TryWrite(new Item(default, link, keeper => keeper.Used(keeper.Links[link], address, host)));

        public void Received(in DhcpReply reply)
        {
            if (loop._queue.Writer.TryWrite(new Item(reply, link, null)))
                return;
            reply.Message.Recycle();
            loop._metrics.Dropped("queuefull");
        }

        public void Dropped(DhcpDropReason reason) => loop._metrics.Dropped(MetricLabel.Of(reason));
    }

    private sealed class Receiver6(LeaseLoop loop, int link) : ILinkReceiver6
    {
        public void Received(Dhcp6Message message, IPv6Address source) => Post(keeper => keeper.Receive(keeper.Links[link], message, source));

        public void InUse(IPv6Address address, MacAddress host) => Post(keeper => keeper.InUse(keeper.Links[link], address, host));

        public void Used(IPv6Address address, MacAddress host) => Post(keeper => keeper.Used(keeper.Links[link], address, host));

        public void Dropped(Dhcp6DropReason reason) => loop._metrics.Dropped(MetricLabel.Of(reason));

        private void Post(Action<LeaseKeeper> command)
        {
            if (!loop._queue.Writer.TryWrite(new Item(default, link, command)))
                loop._metrics.Dropped("queuefull");
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "A step of the lease loop failed")]
        public static partial void StepFailed(ILogger logger, Exception exception);

        [LoggerMessage(Level = LogLevel.Error, Message = "{Count} records cannot be stored and will be tried again: {Cause}")]
        public static partial void WriteFailed(ILogger logger, int count, string cause);

        [LoggerMessage(Level = LogLevel.Error, Message = "The last records were not stored in time")]
        public static partial void WritesLeft(ILogger logger);
    }
}
