using System.Buffers;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// DHCPv6 as a relay agent (RFC 8415 §19): every message is wrapped and sent from this host's own address, port 547, to each of the configured
/// servers, which may be any number of routers away; the link the addresses are for may be one this host is not on. Thread-safe.
/// </summary>
public sealed class RelayDhcp6Transport : IDhcp6Transport
{
    private const int RelayPort = 547;
    private const int LargestMessage = 65_535;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly Socket _socket;
    private readonly Dhcp6RelayHeader _header;
    private readonly IPEndPoint[] _servers;
    private readonly HashSet<IPv6Address> _allowed;
    private readonly TimeProvider _time;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Binds the socket; port 547 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="local">This host's address that the servers answer to; not link-local.</param>
    /// <param name="header">What the servers are told; the peer is any link-local address.</param>
    /// <param name="servers">The servers, one at least. Answers of others are dropped.</param>
    /// <param name="time">Clock for the pause after a fault.</param>
    /// <exception cref="ArgumentException">No server.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port taken by a server or another relay agent.</exception>
    public RelayDhcp6Transport(IPv6Address local, Dhcp6RelayHeader header, IReadOnlyCollection<IPv6Address> servers, TimeProvider time)
    {
        if (servers.Count == 0)
            throw new ArgumentException("A relay needs a server to send to.", nameof(servers));
        _header = header;
        _servers = [.. servers.Select(server => new IPEndPoint(server.ToIPAddress(), RelayPort))];
        _allowed = [.. servers];
        _time = time;
        _socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.DualMode = false;
            _socket.Bind(new IPEndPoint(local.ToIPAddress(), RelayPort));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>Messages the kernel did not take for a server: there is no route, or its queue was full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <inheritdoc/>
    public async ValueTask SendAsync(Dhcp6Message message, CancellationToken cancellationToken)
    {
        byte[] datagram = ArrayPool<byte>.Shared.Rent(Dhcp6RelayMessage.ForwardLength(_header, message));
        try
        {
            int length = Dhcp6RelayMessage.WriteForward(datagram, _header, message);
            foreach (var server in _servers)
                await SendAsync(datagram.AsMemory(0, length), server, cancellationToken);
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
                Take(buffer.AsSpan(0, received.ReceivedBytes), source, receiver);
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

    private async ValueTask SendAsync(ReadOnlyMemory<byte> datagram, IPEndPoint server, CancellationToken cancellationToken)
    {
        try
        {
            await _socket.SendToAsync(datagram, SocketFlags.None, server, cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
    }

    private void Take(ReadOnlySpan<byte> datagram, IPv6Address source, IDhcp6Receiver receiver)
    {
        if (!_allowed.Contains(source))
            receiver.Dropped(Dhcp6DropReason.RogueServer);
        else if (!Dhcp6RelayMessage.TryParseReply(datagram, out var header, out var message, out var reason))
            receiver.Dropped(reason);
        else if (!header.Equals(_header))
            receiver.Dropped(Dhcp6DropReason.OtherRelay);
        else
            receiver.Received(message, source);
    }
}
