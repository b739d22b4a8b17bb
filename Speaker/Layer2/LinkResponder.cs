using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Answers ARP on one interface until it is disposed or its socket fails. Reads the announced addresses afresh for every frame.</summary>
internal sealed partial class LinkResponder : IAsyncDisposable
{
    private readonly ILinkChannel _channel;
    private readonly Layer2State _state;
    private readonly TimeProvider _time;
    private readonly Layer2Metrics _metrics;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _receiving;

    public LinkResponder(ILinkChannel channel, Layer2State state, TimeProvider time, Layer2Metrics metrics, ILogger logger)
    {
        _channel = channel;
        _state = state;
        _time = time;
        _metrics = metrics;
        _logger = logger;
        _receiving = Task.Run(() => ReceiveAsync(_stop.Token));
    }

    public LinkInfo Link => _channel.Link;

    /// <summary>Its socket failed: it answers nothing any more and has to be replaced.</summary>
    public bool HasFailed => _receiving.IsCompleted;

    /// <summary>Tells the LAN that an address is here: one packet in each form.</summary>
    public async ValueTask SendGratuitousAsync(IPv4Address address, CancellationToken cancellationToken)
    {
        var frame = new byte[ArpPacket.FrameLength];
        try
        {
            ArpRules.WriteGratuitous(frame, ArpOperation.Request, address, Link.Mac);
            await _channel.SendAsync(frame, cancellationToken);
            ArpRules.WriteGratuitous(frame, ArpOperation.Reply, address, Link.Mac);
            await _channel.SendAsync(frame, cancellationToken);
            _metrics.Gratuitous(address, 2);
        }
        catch (SocketException e)
        {
            LogSendFailed(_logger, Link.Name, e.Message);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _channel.DisposeAsync();
        await _receiving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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
                int length = await _channel.ReceiveAsync(frame, cancellationToken);
                var verdict = ArpRules.Judge(frame.AsSpan(0, length), Link.Mac, _state.OwnMacs, _state.Announced, _time.GetUtcNow(), out var packet);
                _metrics.Frame(verdict);
                if (verdict == ArpVerdict.Answer)
                {
                    _metrics.Request(packet.TargetAddress);
                    ArpRules.WriteAnswer(answer, packet, Link.Mac);
                    await _channel.SendAsync(answer, cancellationToken);
                    _metrics.Response(packet.TargetAddress);
                }
                else if (verdict == ArpVerdict.Claim)
                {
                    _state.Claim(packet.SenderAddress, packet.SenderMac);
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.NetworkDown)
            {
                // Told once; frames come again when the link is up again, or the scan finds the interface gone.
                LogDown(_logger, Link.Name);
            }
            catch (SocketException e)
            {
                LogFailed(_logger, Link.Name, e.Message);
                return;
            }
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Interface} is down")]
    private static partial void LogDown(ILogger logger, string @interface);

    [LoggerMessage(2, LogLevel.Warning, "The ARP socket of {Interface} failed and will be opened anew: {Cause}")]
    private static partial void LogFailed(ILogger logger, string @interface, string cause);

    [LoggerMessage(3, LogLevel.Warning, "Gratuitous ARP on {Interface} failed: {Cause}")]
    private static partial void LogSendFailed(ILogger logger, string @interface, string cause);
}
