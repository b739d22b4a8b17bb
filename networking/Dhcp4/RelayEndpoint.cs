using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// A relay agent's UDP port at one address of this host, for all transports that relay from there: what the two families have in common. It receives
/// from the first listener on, until it is disposed. Thread-safe.
/// </summary>
/// <typeparam name="TListener">Who hears what is received.</typeparam>
public abstract class RelayEndpoint<TListener> : IAsyncDisposable
{
    private const int LargestMessage = 65_535;
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly TimeProvider _time;
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _lock = new();
    private ImmutableList<TListener> _listeners = [];
    private Task? _loop;
    private long _sendFaults;
    private long _receiveFaults;

    private protected RelayEndpoint(IPEndPoint local, int serverPort, TimeProvider time)
    {
        ServerPort = serverPort;
        _time = time;
        _socket = new Socket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            if (local.AddressFamily == AddressFamily.InterNetworkV6)
                _socket.DualMode = false;
            _socket.Bind(local);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

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
        GC.SuppressFinalize(this);
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

    /// <summary>Listens until it is told to end.</summary>
    internal async Task ListenAsync(TListener listener, CancellationToken cancellationToken)
    {
        var end = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _listeners = _listeners.Add(listener);
            _loop ??= ReceiveAsync(_stop.Token);
        }
        await using (cancellationToken.Register(end.SetResult))
            await end.Task;
        lock (_lock)
            _listeners = _listeners.Remove(listener);
    }

    /// <summary>Takes a datagram for those that listen; one at least.</summary>
    private protected abstract void Take(ReadOnlySpan<byte> datagram, SocketAddress sender, ImmutableList<TListener> listeners);

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestMessage];
        var sender = new SocketAddress(_socket.AddressFamily);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, sender, cancellationToken);
                if (Volatile.Read(ref _listeners) is { IsEmpty: false } listeners)
                    Take(buffer.AsSpan(0, length), sender, listeners);
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
}
