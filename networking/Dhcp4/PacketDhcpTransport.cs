using System.Buffers;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Which Ethernet source the frames of a client bear.</summary>
public enum DhcpFrameSource
{
    /// <summary>The interface's own MAC; only <c>chaddr</c> is generated. Works where a switch port takes one MAC; needs broadcast answers.</summary>
    Nic = 0,

    /// <summary>The generated <c>chaddr</c>, as a host of its own would do. Needs a network that takes many MACs a port.</summary>
    ChAddr,
}

/// <summary>
/// DHCP straight on Ethernet: no UDP socket, no address on the interface, one packet socket and one receive loop for all clients. Thread-safe.
/// </summary>
public sealed class PacketDhcpTransport : IDhcpTransport
{
    private const int LargestFrame = 65536 + 18;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly ILinkChannel _channel;
    private readonly DhcpFrameSource _source;
    private readonly TimeProvider _time;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Takes a channel over, to be disposed with the transport.</summary>
    /// <param name="channel">Whole Ethernet frames on one interface, best filtered by <see cref="DhcpFilter"/>.</param>
    /// <param name="source">Which Ethernet source to use.</param>
    /// <param name="time">Clock for the pause after a fault of the link.</param>
    public PacketDhcpTransport(ILinkChannel channel, DhcpFrameSource source, TimeProvider time)
    {
        _channel = channel;
        _source = source;
        _time = time;
    }

    /// <summary>Messages the kernel did not take: the link was down, or its queue full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving: the link went down.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <inheritdoc/>
    public async ValueTask SendAsync(DhcpMessage message, DhcpDestination destination, CancellationToken cancellationToken)
    {
        byte[] frame = ArrayPool<byte>.Shared.Rent(DhcpFrame.HeadersLength + message.EncodedLength);
        try
        {
            int length = DhcpFrame.Write(frame, _source == DhcpFrameSource.ChAddr ? message.HardwareAddress : _channel.Link.Mac, destination, message);
            await _channel.SendAsync(frame.AsMemory(0, length), cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or IOException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(frame);
        }
    }

    /// <inheritdoc/>
    public void Join(MacAddress hardwareAddress)
    {
        if (_source == DhcpFrameSource.ChAddr)
            _channel.JoinUnicast(hardwareAddress);
    }

    /// <inheritdoc/>
    public void Leave(MacAddress hardwareAddress)
    {
        if (_source == DhcpFrameSource.ChAddr)
            _channel.LeaveUnicast(hardwareAddress);
    }

    /// <inheritdoc/>
    public async Task RunAsync(IDhcpReceiver receiver, CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestFrame];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _channel.ReceiveAsync(buffer, cancellationToken);
                var reason = DhcpFrame.TryRead(buffer.AsSpan(0, length), out var reply);
                if (reason == DhcpDropReason.None)
                    receiver.Received(reply);
                else
                    receiver.Dropped(reason);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (Exception fault) when (fault is SocketException or IOException)
            {
                // A link that goes down says so once; it is the same socket that resumes when the link is up again.
                Interlocked.Increment(ref _receiveFaults);
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _channel.DisposeAsync();
}
