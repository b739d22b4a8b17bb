using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Answers neighbours' questions in one protocol on one interface for the addresses in the table. Nothing is allocated per packet.</summary>
internal sealed partial class Responder(INeighborProtocol protocol, ILinkChannel channel, ResponderContext context, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    /// <summary>How long what we told all neighbours by one interface may take to come back by another one on the same LAN, with ourselves on a busy machine.</summary>
    public static readonly TimeSpan EchoTime = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _stop = new();
    private CancellationTokenSource _wake = new();
    private readonly byte[] _gratuitous = new byte[protocol.FrameLength];
    private Task _receiving = Task.CompletedTask;
    private volatile bool _faulty;
    private int _pausesDrained = context.Guard.Pauses;

    public LinkInfo Link => channel.Link;

    public void Start() => _receiving = Task.Run(() => ReceiveAsync(_stop.Token));

    /// <summary>A pause is over: if no frame has waited through it, the next one is answered. Thread-safe.</summary>
    public void LookAtQueue() => Volatile.Read(ref _wake).Cancel();

    /// <summary>Tells all neighbours that an address is here, if it is of this protocol's family and on this interface. One caller at a time.</summary>
    public async ValueTask SendGratuitousAsync(Announced item, CancellationToken cancellationToken)
    {
        if (!protocol.IsFor(item.Address) || !item.IsValid(context.Time) || !item.IsOn(Link.Name) || !context.CanUseMacOf(item, Link.Name) || context.Guard.IsPaused)
            return;
        item.Traffic.Told(context.Time.GetTimestamp());
        for (int form = 0; form < protocol.GratuitousForms; form++)
        {
            int length = protocol.WriteGratuitous(_gratuitous, form, item.Address, item.Mac ?? Link.Mac);
            if (await TrySendAsync(_gratuitous.AsMemory(0, length), cancellationToken))
                context.Metrics.GratuitousSent(item.Label);
        }
    }

    /// <summary>Asks the link whether another machine has an address, if it is of this protocol's family. One caller at a time, the same as of announcements.</summary>
    /// <returns>Whether the question left.</returns>
    public async ValueTask<bool> SendProbeAsync(HostAddress address, CancellationToken cancellationToken)
    {
        if (!protocol.IsFor(address))
            return false;
        int length = protocol.WriteProbe(_gratuitous, address, Link.Mac);
        return await TrySendAsync(_gratuitous.AsMemory(0, length), cancellationToken);
    }

    /// <summary>Lets frames to an address of ours through to this host that is not the interface's.</summary>
    /// <exception cref="SocketException">The interface is gone.</exception>
    public void Join(MacAddress mac) => channel.JoinUnicast(mac);

    /// <summary>No longer.</summary>
    /// <exception cref="SocketException">The interface is gone.</exception>
    public void Leave(MacAddress mac) => channel.LeaveUnicast(mac);

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
        LookAtQueue();
        await channel.DisposeAsync();
        await _receiving;
        _stop.Dispose();
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var frame = new byte[256];
        var answer = new byte[protocol.FrameLength];
        bool woken = false;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                if (woken)
                    HasWaitedThroughPause();
                woken = false;
                int length = await channel.ReceiveAsync(frame, _wake.Token);
                _faulty = false;
                if (Handle(frame.AsSpan(0, length), answer) is { Item: { } item } asked && await TrySendAsync(answer.AsMemory(0, asked.AnswerLength), cancellationToken))
                {
                    context.Metrics.ResponseSent(item.Label);
                    item.Traffic.Answered(context.Time.GetUtcNow());
                }
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                Interlocked.Exchange(ref _wake, new CancellationTokenSource());
                woken = true;
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

    /// <summary>Takes a frame in. The address to answer for, with the answer written; or nothing.</summary>
    internal HeardFrame Handle(ReadOnlySpan<byte> frame, Span<byte> answer)
    {
        var verdict = protocol.Judge(frame, Link.Mac, context, answer, out var heard);
        if (verdict is FrameVerdict.NotARequest or FrameVerdict.NotAnnounced)
            context.Probes.Hear(heard.Shown, heard.Sender, Link.Name);
        if (verdict is FrameVerdict.Answer or FrameVerdict.Claim && !(heard.Item!.IsOn(Link.Name) && context.CanUseMacOf(heard.Item, Link.Name)))
            verdict = FrameVerdict.NotAnnounced;
        if (verdict == FrameVerdict.Claim && IsEcho(heard))
            verdict = FrameVerdict.FromOurselves;
        bool isLate = HasWaitedThroughPause() || context.Guard.IsPaused;
        if (verdict == FrameVerdict.Answer && isLate)
            verdict = FrameVerdict.Late;
        context.Metrics.Frame(verdict);
        if (verdict == FrameVerdict.Claim)
            context.Claimed?.Invoke(heard.Item!.Address, heard.Sender);
        if (verdict != FrameVerdict.Answer)
            return default;
        context.Metrics.RequestReceived(heard.Item!.Label);
        heard.Item.Traffic.Asked(context.Time.GetUtcNow(), heard.Sender);
        return heard;
    }

    /// <summary>
    /// Whether a claim with the MAC of the lease is our own, come back by another interface. Another speaker that takes over with that MAC tells all neighbours of it, again and again;
    /// one that merely uses it, as our own kernel may, claims nothing.
    /// </summary>
    private bool IsEcho(in HeardFrame heard) =>
        heard.Item!.Mac == heard.Sender && context.MacsInPlace.TryGetValue(heard.Item.Address.IPv4, out var place) && place.Links.Count > 1
        && (!heard.IsGratuitous || heard.Item.Traffic.WasTold(context.Time, EchoTime));

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
        LogFault(logger, protocol.Name, Link.Name, e.Message);
    }

    [LoggerMessage(1, LogLevel.Warning, "{Protocol} on {Interface}: {Cause}")]
    private static partial void LogFault(ILogger logger, string protocol, string @interface, string cause);
}
