using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// UDP port 547 of one address of this host, of which there can be one: for any number of <see cref="RelayDhcp6Transport"/>s, each of which hears what
/// bears its own relay header. It receives from the first of them on, until it is disposed. Thread-safe.
/// </summary>
public sealed class Relay6Socket : IAsyncDisposable
{
    private const int RelayPort = 547;
    private const int LargestMessage = 65_535;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private ImmutableList<Listener> _listeners = [];
    private Task? _loop;
    private long _sendFaults;
    private long _receiveFaults;

    /// <summary>Binds the socket; port 547 needs CAP_NET_BIND_SERVICE.</summary>
    /// <param name="address">This host's address that the servers answer to; not link-local.</param>
    /// <param name="time">Clock for the pause after a fault.</param>
    /// <exception cref="ArgumentException">The address is :: or link-local.</exception>
    /// <exception cref="SocketException">The address is not this host's, or its port taken by a server or another relay agent.</exception>
    public Relay6Socket(IPv6Address address, TimeProvider time)
        : this(address, time, RelayPort, RelayPort)
    {
    }

    internal Relay6Socket(IPv6Address address, TimeProvider time, int port, int serverPort)
    {
        if (address.IsAny || address.IsLinkLocal)
            throw new ArgumentException("A relay agent needs an address of this host that is not link-local.", nameof(address));
        Address = address;
        ServerPort = serverPort;
        _time = time;
        _socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            _socket.DualMode = false;
            _socket.Bind(new IPEndPoint(address.ToIPAddress(), port));
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>The address that servers answer to.</summary>
    public IPv6Address Address { get; }

    /// <summary>Messages the kernel did not take for a server: there is no route, or its queue was full.</summary>
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

    internal async ValueTask SendAsync(ReadOnlyMemory<byte> datagram, IPEndPoint server, CancellationToken cancellationToken)
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

    internal void Add(Listener listener)
    {
        lock (_lock)
        {
            _listeners = _listeners.Add(listener);
            _loop ??= ReceiveAsync(_stop.Token);
        }
    }

    internal void Remove(Listener listener)
    {
        lock (_lock)
            _listeners = _listeners.Remove(listener);
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestMessage];
        var anybody = new IPEndPoint(IPAddress.IPv6Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var received = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, anybody, cancellationToken);
                _ = IPv6Address.TryFrom((received.RemoteEndPoint as IPEndPoint)?.Address, out var source);
                Take(buffer.AsSpan(0, received.ReceivedBytes), source);
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

    private void Take(ReadOnlySpan<byte> datagram, IPv6Address source)
    {
        var listeners = Volatile.Read(ref _listeners);
        if (listeners.IsEmpty)
            return;
        var reason = Dhcp6DropReason.OtherRelay;
        Dhcp6Message? message = null;
        var addressee = Dhcp6RelayMessage.TryParseReply(datagram, out var header, out var parsed, out var fault)
            ? listeners.Find(listener => listener.Header.Equals(header)) : null;
        if (parsed is null)
            reason = fault;
        else if (addressee?.Servers.Contains(source) == false)
            reason = Dhcp6DropReason.RogueServer;
        else if (addressee is not null)
            message = parsed;
        if (message is not null)
            addressee!.Receiver.Received(message, source);
        else
            // Once, however many listen.
            (addressee ?? listeners[0]).Receiver.Dropped(reason);
    }

    internal sealed record Listener(Dhcp6RelayHeader Header, IReadOnlySet<IPv6Address> Servers, IDhcp6Receiver Receiver);
}
