using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Networking.Icmp;

/// <summary>
/// Asks by ICMP echo whether addresses are in use: where messages travel through a relay, so that the link of the addresses may be one this host is not
/// on, and ARP reaches nobody. What answers has no MAC here: it is reported with the zero one. Hosts that do not answer are not found. Thread-safe.
/// </summary>
public sealed class IcmpProber : IAddressProber
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    private readonly ConcurrentDictionary<IPv4Address, long> _probed = new();
    private readonly Socket _socket;
    private readonly bool _isRaw;
    private readonly ulong _token;
    private readonly TimeProvider _time;
    private long _sendFaults;
    private int _sequence;

    private IcmpProber(Socket socket, bool isRaw, ulong token, TimeProvider time) => (_socket, _isRaw, _token, _time) = (socket, isRaw, token, time);

    /// <summary>Nothing but the answers to probes is heard.</summary>
    public AddressWatch<IPv4Address>? Watch => null;

    /// <summary>Probes the kernel did not take: there is no route, or its queue is full.</summary>
    public long SendFaults => Volatile.Read(ref _sendFaults);

    /// <summary>Opens a socket for ICMP, a raw one only if the kernel grants no other.</summary>
    /// <param name="source">This host's address that probes come from.</param>
    /// <param name="random">For what makes replies known as such.</param>
    /// <param name="time">Clock.</param>
    /// <exception cref="SocketException">The address is not this host's; or neither the capability NET_RAW is there, nor is the group in
    /// <c>net.ipv4.ping_group_range</c>.</exception>
    public static IcmpProber Open(IPv4Address source, DhcpRandom random, TimeProvider time)
    {
        ulong token = ((ulong)random.NextUInt32() << 32) | random.NextUInt32();
        var socket = TryNewPingSocket();
        bool isRaw = socket is null;
        socket ??= new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Icmp);
        try
        {
            socket.Bind(new IPEndPoint(source.ToIPAddress(), 0));
            return new IcmpProber(socket, isRaw, token, time);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask ProbeAsync(IPv4Address address, CancellationToken cancellationToken)
    {
        foreach (var (asked, at) in _probed)
        {
            if (_time.GetElapsedTime(at) > Window)
                _probed.TryRemove(new KeyValuePair<IPv4Address, long>(asked, at));
        }
        _probed[address] = _time.GetTimestamp();
        byte[] request = new byte[IcmpEcho.Length];
        IcmpEcho.WriteRequest(request, (ushort)Interlocked.Increment(ref _sequence), _token);
        try
        {
            await _socket.SendToAsync(request, SocketFlags.None, new IPEndPoint(address.ToIPAddress(), 0), cancellationToken);
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            Interlocked.Increment(ref _sendFaults);
        }
    }

    /// <inheritdoc/>
    public async Task RunAsync(IArpReceiver receiver, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[2048];
        var anybody = new IPEndPoint(IPAddress.Any, 0);
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var received = await _socket.ReceiveFromAsync(buffer, SocketFlags.None, anybody, cancellationToken);
                if (IcmpEcho.TryReadReply(buffer.AsSpan(0, received.ReceivedBytes), _isRaw, out ulong token) && token == _token
                    && IPv4Address.TryFrom((received.RemoteEndPoint as IPEndPoint)?.Address, out var address)
                    && _probed.TryGetValue(address, out long at) && _time.GetElapsedTime(at) <= Window)
                    receiver.Heard(address, MacAddress.Zero);
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
                // Routers' complaints about probes come as faults of the socket.
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

    private static Socket? TryNewPingSocket()
    {
        try
        {
            return new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Icmp);
        }
        catch (SocketException)
        {
            return null;
        }
    }
}
