using System.Buffers;
using System.Net;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// DHCPv6 as a relay agent (RFC 8415 §19): every message is wrapped and sent from this host's own address, port 547, to each of the configured
/// servers, which may be any number of routers away; the link the addresses are for may be one this host is not on. One socket for all transports
/// that relay from one address. Thread-safe.
/// </summary>
public sealed class RelayDhcp6Transport : IDhcp6Transport
{
    private readonly Relay6Socket _socket;
    private readonly Dhcp6RelayHeader _header;
    private readonly SocketAddress[] _servers;
    private readonly HashSet<IPv6Address> _allowed;
    private readonly bool _ownsSocket;

    /// <param name="socket">This host's address that the servers answer to.</param>
    /// <param name="header">What the servers are told, and give back: by it transports that share a socket are told apart. The peer is any link-local
    /// address.</param>
    /// <param name="servers">The servers, one at least. Answers of others are dropped.</param>
    /// <param name="ownsSocket">Whether the socket is disposed with the transport.</param>
    /// <exception cref="ArgumentException">No server.</exception>
    public RelayDhcp6Transport(Relay6Socket socket, Dhcp6RelayHeader header, IReadOnlyCollection<IPv6Address> servers, bool ownsSocket = false)
    {
        if (servers.Count == 0)
            throw new ArgumentException("A relay needs a server to send to.", nameof(servers));
        _socket = socket;
        _header = header;
        _servers = [.. servers.Select(server => new IPEndPoint(server.ToIPAddress(), socket.ServerPort).Serialize())];
        _allowed = [.. servers];
        _ownsSocket = ownsSocket;
    }

    /// <inheritdoc/>
    public async ValueTask SendAsync(Dhcp6Message message, CancellationToken cancellationToken)
    {
        byte[] datagram = ArrayPool<byte>.Shared.Rent(Dhcp6RelayMessage.ForwardLength(_header, message));
        try
        {
            int length = Dhcp6RelayMessage.WriteForward(datagram, _header, message);
            foreach (var server in _servers)
                await _socket.SendAsync(datagram.AsMemory(0, length), server, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(datagram);
        }
    }

    /// <inheritdoc/>
    public Task RunAsync(IDhcp6Receiver receiver, CancellationToken cancellationToken) =>
        _socket.ListenAsync(new Relay6Listener(_header, _allowed, receiver), cancellationToken);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _ownsSocket ? _socket.DisposeAsync() : ValueTask.CompletedTask;
}
