using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What became of a frame.</summary>
internal enum ArpVerdict
{
    Answer = 0,
    Malformed,
    NotARequest,
    ForAnotherStation,
    NotAnnounced,
    Expired,
}

/// <summary>Answers ARP requests on one interface for the addresses in the table. Nothing is allocated per packet.</summary>
internal sealed partial class ArpResponder(ILinkChannel channel, AnnouncementTable table, SpeakerMetrics metrics, TimeProvider time, ILogger logger)
    : IAsyncDisposable
{
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _stop = new();
    private Task _receiving = Task.CompletedTask;

    public LinkInfo Link => channel.Link;

    public void Start() => _receiving = Task.Run(() => ReceiveAsync(_stop.Token));

    /// <summary>Decides about a frame (RFC 826; broadcast requests, and unicast ones as neighbours send them to confirm what they know).</summary>
    public static ArpVerdict Judge(
        ReadOnlySpan<byte> frame, MacAddress own, AnnouncementTable table, DateTimeOffset now, out ArpPacket request, out Announced? announced)
    {
        announced = null;
        if (!ArpPacket.TryParse(frame, out var destination, out request))
            return ArpVerdict.Malformed;
        if (request.Operation != ArpOperation.Request)
            return ArpVerdict.NotARequest;
        if (destination != MacAddress.Broadcast && destination != own)
            return ArpVerdict.ForAnotherStation;
        if (!table.Snapshot.TryGetValue(request.TargetAddress, out announced))
            return ArpVerdict.NotAnnounced;
        return announced.IsValid(now) ? ArpVerdict.Answer : ArpVerdict.Expired;
    }

    /// <summary>Tells all neighbours that an address is here: a request and a reply, since some listen only to one of them.</summary>
    public async ValueTask SendGratuitousAsync(Announced announced, CancellationToken cancellationToken)
    {
        if (!announced.IsValid(time.GetUtcNow()))
            return;
        var frame = new byte[ArpPacket.FrameLength];
        foreach (var operation in new[] { ArpOperation.Request, ArpOperation.Reply })
        {
            new ArpPacket(operation, Link.Mac, announced.Address, MacAddress.Broadcast, announced.Address).Write(frame, Link.Mac, MacAddress.Broadcast);
            if (await TrySendAsync(frame, cancellationToken))
                metrics.GratuitousSent(announced.Label);
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
        var buffer = new byte[256];
        var reply = new byte[ArpPacket.FrameLength];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await channel.ReceiveAsync(buffer, cancellationToken);
                var verdict = Judge(buffer.AsSpan(0, length), Link.Mac, table, time.GetUtcNow(), out var request, out var announced);
                if (verdict is ArpVerdict.Answer or ArpVerdict.Expired)
                    metrics.RequestReceived(announced!.Label);
                if (verdict != ArpVerdict.Answer)
                    continue;
                new ArpPacket(ArpOperation.Reply, Link.Mac, request.TargetAddress, request.SenderMac, request.SenderAddress)
                    .Write(reply, Link.Mac, request.SenderMac);
                if (await TrySendAsync(reply, cancellationToken))
                    metrics.ResponseSent(announced!.Label);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                // A link that goes down says so once; the socket goes on when it is up again.
                LogFault(logger, Link.Name, e.Message);
                await Task.Delay(PauseAfterFault, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
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
            LogFault(logger, Link.Name, e.Message);
            return false;
        }
    }

    [LoggerMessage(1, LogLevel.Warning, "ARP on {Interface}: {Cause}")]
    private static partial void LogFault(ILogger logger, string @interface, string cause);
}
