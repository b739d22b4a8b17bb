using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// UDP port 67 of one address of this host, <c>giaddr</c>, of which there can be one: for any number of <see cref="RelayDhcpTransport"/>s, each of which
/// hears every answer. It receives from the first of them on, until it is disposed. Thread-safe.
/// </summary>
public sealed class RelaySocket : IAsyncDisposable
{
    private const int RelayPort = 67;
    private const int LargestMessage = 65_535;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly TimeProvider _time;
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private ImmutableList<IDhcpReceiver> _receivers = [];
    private Task? _loop;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Binds the socket; port 67 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="address">The address of this host that servers answer to and, unless told otherwise, choose the subnet by.</param>
    /// <param name="time">Clock for the pause after a fault of the link.</param>
    /// <exception cref="ArgumentException">The address is 0.0.0.0.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port 67 is taken by a DHCP server or another relay.</exception>
    public RelaySocket(IPv4Address address, TimeProvider time)
        : this(address, time, RelayPort, RelayPort)
    {
    }

    internal RelaySocket(IPv4Address address, TimeProvider time, int port, int serverPort)
    {
        if (address.IsAny)
            throw new ArgumentException("A relay needs an address of this host.", nameof(address));
        Address = address;
        ServerPort = serverPort;
        _time = time;
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.Bind(new IPEndPoint(address.ToIPAddress(), port));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary><c>giaddr</c>.</summary>
    public IPv4Address Address { get; }

    /// <summary>Messages the kernel did not take: the address is gone, there is no route, or its queue is full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Faults while receiving.</summary>
    public long ReceiveFaults => Volatile.Read(ref _receiveFaults);

    /// <summary>The port that is bound.</summary>
    internal int Port => ((IPEndPoint)_socket.LocalEndPoint!).Port;

    /// <summary>The servers' port.</summary>
    internal int ServerPort { get; }

    /// <summary>Ends receiving and frees the port.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _socket.Dispose();
        if (_loop is not null)
            await _loop;
        _stop.Dispose();
    }

    internal async ValueTask SendAsync(ReadOnlyMemory<byte> datagram, SocketAddress server, CancellationToken cancellationToken)
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

    internal void Add(IDhcpReceiver receiver)
    {
        lock (_lock)
        {
            _receivers = _receivers.Add(receiver);
            _loop ??= ReceiveAsync(_stop.Token);
        }
    }

    internal void Remove(IDhcpReceiver receiver)
    {
        lock (_lock)
            _receivers = _receivers.Remove(receiver);
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestMessage];
        var sender = new SocketAddress(AddressFamily.InterNetwork);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, sender, cancellationToken);
                Tell(buffer.AsSpan(0, length), sender);
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

    private void Tell(ReadOnlySpan<byte> datagram, SocketAddress sender)
    {
        foreach (var receiver in Volatile.Read(ref _receivers))
        {
            // A message of its own for each: who receives one may recycle it.
            var reason = Read(datagram, sender, out var reply);
            if (reason == DhcpDropReason.None)
            {
                receiver.Received(reply);
                continue;
            }
            // What is not for this relay counts once, however many listen.
            receiver.Dropped(reason);
            return;
        }
    }

    private DhcpDropReason Read(ReadOnlySpan<byte> datagram, SocketAddress sender, out DhcpReply reply)
    {
        reply = default;
        if (!DhcpMessage.TryParse(datagram, out var message, out var reason))
            return reason;
        if (!message.IsReply || message.RelayAddress != Address)
        {
            reason = message.IsReply ? DhcpDropReason.OtherRelay : DhcpDropReason.NotAReply;
            message.Recycle();
            return reason;
        }
        // Port and address, in network order, follow the two bytes of the family.
        var from = sender.Buffer.Span;
        reply = new DhcpReply(message, MacAddress.Zero, IPv4Address.Read(from[4..]), BinaryPrimitives.ReadUInt16BigEndian(from[2..]));
        return DhcpDropReason.None;
    }
}
