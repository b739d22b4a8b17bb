using System.Buffers;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// DHCPv6 over one UDP socket from an interface's link-local address, port 546, to ff02::1:2, port 547 (RFC 8415 §7): a client is its DUID, so that
/// any number of them share the address, and no MAC has to be made up. Thread-safe.
/// </summary>
public sealed class UdpDhcp6Transport : IDhcp6Transport
{
    private const int ClientPort = 546;
    private const int ServerPort = 547;
    private const int LargestMessage = 65_535;
    private static readonly IPv6Address AllServers = new(0xff02_0000_0000_0000, 0x0001_0002);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly Socket _socket;
    private readonly IPEndPoint _servers;
    private readonly TimeProvider _time;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Binds the socket; port 546 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="linkLocal">The interface's link-local address, with duplicate address detection over.</param>
    /// <param name="interfaceIndex">The kernel's index of the interface.</param>
    /// <param name="time">Clock for the pause after a fault of the link.</param>
    /// <exception cref="ArgumentException">The address is not link-local.</exception>
    /// <exception cref="SocketException">The address is not on the interface, tentative, or its port taken by another DHCPv6 client.</exception>
    public UdpDhcp6Transport(IPv6Address linkLocal, int interfaceIndex, TimeProvider time)
    {
        if (!linkLocal.IsLinkLocal)
            throw new ArgumentException($"{linkLocal} is not link-local.", nameof(linkLocal));
        _time = time;
        _servers = new IPEndPoint(AllServers.ToIPAddress(interfaceIndex), ServerPort);
        _socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.DualMode = false;
            _socket.Bind(new IPEndPoint(linkLocal.ToIPAddress(interfaceIndex), ClientPort));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>Messages the kernel did not take: the link was down, or its queue full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <inheritdoc/>
    public async ValueTask SendAsync(Dhcp6Message message, CancellationToken cancellationToken)
    {
        byte[] datagram = ArrayPool<byte>.Shared.Rent(message.EncodedLength);
        try
        {
            int length = message.Write(datagram);
            await _socket.SendToAsync(datagram.AsMemory(0, length), SocketFlags.None, _servers, cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(datagram);
        }
    }

    /// <inheritdoc/>
    public async Task RunAsync(IDhcp6Receiver receiver, CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestMessage];
        var anybody = new IPEndPoint(IPAddress.IPv6Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var received = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, anybody, cancellationToken);
                _ = IPv6Address.TryFrom((received.RemoteEndPoint as IPEndPoint)?.Address, out var source);
                if (Dhcp6Message.TryParse(buffer.AsSpan(0, received.ReceivedBytes), out var message, out var reason))
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
            catch (SocketException)
            {
                Interlocked.Increment(ref _receiveFaults);
                await Task.Delay(PauseAfterFault, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }
}
