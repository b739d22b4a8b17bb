using System.Buffers;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// DHCPv6 by a packet socket, from an interface's own hardware and link-local address to ff02::1:2: a client is its DUID, so that any number of them
/// share both. Thread-safe.
/// </summary>
/// <remarks>
/// No UDP socket is bound to port 546. The host's own DHCPv6 client may have it, or want it at any time; and of two sockets that share an address and a
/// port (SO_REUSEADDR, SO_REUSEPORT) Linux gives a unicast datagram to one of them only, so that one client would take the other's answers. A packet
/// socket sees what either gets. Where nobody has the port, the kernel answers a server's reply by "port unreachable", which servers do not heed.
/// </remarks>
public sealed class PacketDhcp6Transport : IDhcp6Transport
{
    private const int LargestFrame = 65536 + 18;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan AddressAge = TimeSpan.FromSeconds(5);

    private readonly ILinkChannel _channel;
    private readonly Func<int, IPv6Address?> _findLinkLocal;
    private readonly TimeProvider _time;
    private volatile Known? _known;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Takes a channel over, to be disposed with the transport.</summary>
    /// <param name="channel">Whole Ethernet frames on one interface, best filtered by <see cref="Dhcp6Filter"/>.</param>
    /// <param name="time">Clock for the pause after a fault of the link, and for how long the interface's address is believed.</param>
    /// <param name="findLinkLocal">The address of the interface with this index; by default what the kernel has, since it is the kernel that resolves it
    /// for the server.</param>
    public PacketDhcp6Transport(ILinkChannel channel, TimeProvider time, Func<int, IPv6Address?>? findLinkLocal = null)
    {
        _channel = channel;
        _time = time;
        _findLinkLocal = findLinkLocal ?? LocalIPv6Addresses.FindLinkLocal;
    }

    /// <summary>Messages that were not sent: the link was down, its queue full, or it had no link-local address.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving: the link went down.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <inheritdoc/>
    public async ValueTask SendAsync(Dhcp6Message message, CancellationToken cancellationToken)
    {
        if (LinkLocal() is not { } source)
        {
            Interlocked.Increment(ref _sendFaults);
            return;
        }
        byte[] frame = ArrayPool<byte>.Shared.Rent(Dhcp6Frame.HeadersLength + message.EncodedLength);
        try
        {
            int length = Dhcp6Frame.Write(frame, _channel.Link.Mac, source, message);
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
    public async Task RunAsync(IDhcp6Receiver receiver, CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestFrame];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _channel.ReceiveAsync(buffer, cancellationToken);
                var reason = Dhcp6Frame.TryRead(buffer.AsSpan(0, length), out var message, out var source);
                if (reason == Dhcp6DropReason.None)
                    receiver.Received(message, source);
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
                Interlocked.Increment(ref _receiveFaults);
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _channel.DisposeAsync();

    private IPv6Address? LinkLocal()
    {
        int index = _channel.Link.Index;
        var known = _known;
        if (known is null || known.Index != index || _time.GetElapsedTime(known.At) > AddressAge)
        {
            var found = _findLinkLocal(index);
            _known = known = found is { } address ? new Known(index, address, _time.GetTimestamp()) : null;
        }
        return known?.Address;
    }

    private sealed record Known(int Index, IPv6Address Address, long At);
}
