using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What the responders of all interfaces share. Thread-safe.</summary>
/// <param name="table">What we answer for.</param>
/// <param name="guard">Whether we may answer at all.</param>
/// <param name="metrics">Where it is counted.</param>
/// <param name="time">The clock.</param>
internal sealed class ResponderContext(AnnouncementTable table, PauseGuard guard, SpeakerMetrics metrics, TimeProvider time)
{
    private volatile IReadOnlySet<MacAddress> _ownMacs = new HashSet<MacAddress>();

    public AnnouncementTable Table => table;

    public PauseGuard Guard => guard;

    public SpeakerMetrics Metrics => metrics;

    public TimeProvider Time => time;

    /// <summary>Hardware addresses of all interfaces that take part.</summary>
    public IReadOnlySet<MacAddress> OwnMacs
    {
        get => _ownMacs;
        set => _ownMacs = value;
    }

    /// <summary>Called when another machine says that an address of ours is its own. Must be quick.</summary>
    public Action<IPv4Address, MacAddress>? Claimed { get; set; }
}

/// <summary>Answers ARP requests on one interface for the addresses in the table. Nothing is allocated per packet.</summary>
internal sealed partial class ArpResponder(ILinkChannel channel, ResponderContext context, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _stop = new();
    private readonly byte[] _gratuitous = new byte[ArpPacket.FrameLength];
    private Task _receiving = Task.CompletedTask;
    private volatile bool _faulty;
    private int _pausesDrained;

    public LinkInfo Link => channel.Link;

    public void Start() => _receiving = Task.Run(() => ReceiveAsync(_stop.Token));

    /// <summary>Tells all neighbours that an address is here: a request and a reply, since some listen only to one of them. One caller at a time.</summary>
    public async ValueTask SendGratuitousAsync(Announced item, CancellationToken cancellationToken)
    {
        if (!item.IsValid(context.Time) || !item.IsOn(Link.Name) || context.Guard.IsPaused)
            return;
        for (var form = ArpOperation.Request; form <= ArpOperation.Reply; form++)
        {
            ArpRules.WriteGratuitous(_gratuitous, form, item.Address, Link.Mac);
            if (await TrySendAsync(_gratuitous, cancellationToken))
                context.Metrics.GratuitousSent(item.Label);
        }
    }

    /// <summary>Frames that the kernel dropped since the last call, since we were too slow.</summary>
    public uint TakeDropped()
    {
        try
        {
            return channel.TakeDropped();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await channel.DisposeAsync();
        await _receiving;
        _stop.Dispose();
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var frame = new byte[256];
        var answer = new byte[ArpPacket.FrameLength];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await channel.ReceiveAsync(frame, cancellationToken);
                _faulty = false;
                if (Handle(frame.AsSpan(0, length), answer) is { } item && await TrySendAsync(answer, cancellationToken))
                    context.Metrics.ResponseSent(item.Label);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                // A link that goes down says so once; the socket goes on when it is up again.
                Fault(e);
                await Task.Delay(PauseAfterFault, context.Time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Takes a frame in. The address to answer for, with the answer written, or null.</summary>
    private Announced? Handle(ReadOnlySpan<byte> frame, Span<byte> answer)
    {
        var verdict = ArpRules.Judge(frame, Link.Mac, context.OwnMacs, context.Table.Snapshot, context.Time, out var packet, out var item);
        if (verdict == ArpVerdict.Answer && !item!.IsOn(Link.Name))
            verdict = ArpVerdict.NotAnnounced;
        bool isLate = HasWaitedThroughPause() || context.Guard.IsPaused;
        if (verdict == ArpVerdict.Answer && isLate)
            verdict = ArpVerdict.Late;
        context.Metrics.Frame(verdict);
        if (verdict == ArpVerdict.Claim)
            context.Claimed?.Invoke(packet.SenderAddress, packet.SenderMac);
        if (verdict != ArpVerdict.Answer)
            return null;
        context.Metrics.RequestReceived(item!.Label);
        ArpRules.WriteAnswer(answer, packet, Link.Mac);
        return item;
    }

    /// <summary>Frames that came while we stood still may be read only after we are heard again: drop all up to the end of the queue.</summary>
    private bool HasWaitedThroughPause()
    {
        int pauses = context.Guard.Pauses;
        if (pauses == _pausesDrained)
            return false;
        if (!channel.HasPending)
            _pausesDrained = pauses;
        return true;
    }

    private async ValueTask<bool> TrySendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        try
        {
            await channel.SendAsync(frame, cancellationToken);
            return true;
        }
        catch (SocketException e)
        {
            Fault(e);
            return false;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    private void Fault(SocketException e)
    {
        if (_faulty)
            return;
        _faulty = true;
        LogFault(logger, Link.Name, e.Message);
    }

    [LoggerMessage(1, LogLevel.Warning, "ARP on {Interface}: {Cause}")]
    private static partial void LogFault(ILogger logger, string @interface, string cause);
}
