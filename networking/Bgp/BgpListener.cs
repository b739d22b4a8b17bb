using System.Net;
using System.Net.Sockets;

namespace DynamicLb.Networking.Bgp;

/// <summary>A socket that routers connect to, once it listens. Keys can be set at any time, by any thread: those set before hold from the first connection on. There is one accept at a time.</summary>
public sealed class BgpListener : IDisposable
{
    private const int Backlog = 64;
    private readonly Socket _socket;

    private BgpListener(Socket socket) => _socket = socket;

    /// <summary>Where routers connect to.</summary>
    public int Port => ((IPEndPoint)_socket.LocalEndPoint!).Port;

    /// <summary>Binds a socket to the port; <see cref="Listen"/> makes it take connections.</summary>
    /// <param name="family">IPv4, or IPv6 alone.</param>
    /// <param name="port">The port; 0 for any.</param>
    /// <param name="device">VRF device that the socket is bound to; null for none.</param>
    /// <exception cref="SocketException">The port is taken, or needs a privilege.</exception>
    /// <exception cref="NotSupportedException">The socket cannot be bound to the device.</exception>
    public static BgpListener Open(AddressFamily family, int port, string? device)
    {
        bool isV4 = family == AddressFamily.InterNetwork;
        var any = isV4 ? IPAddress.Any : IPAddress.IPv6Any;
        var socket = new Socket(family, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (!isV4)
                socket.DualMode = false;
            BgpTcp.Configure(socket, new BgpTransportSettings(any, port) { Device = device });
            socket.Bind(new IPEndPoint(any, port));
            return new BgpListener(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>From now on connections are taken.</summary>
    /// <exception cref="SocketException">The port is taken.</exception>
    public void Listen() => _socket.Listen(Backlog);

    /// <summary>From now on connections of the peer must be signed with its MD5 key (RFC 2385).</summary>
    /// <exception cref="NotSupportedException">The kernel cannot do that; the message says why.</exception>
    public void SetKey(BgpTransportSettings peer) => BgpTcp.SetKey(_socket, peer);

    /// <summary>From now on connections of the peer need not be signed.</summary>
    public void RemoveKey(IPAddress peer) => BgpTcp.RemoveMd5Key(_socket, peer);

    /// <summary>The next connection.</summary>
    /// <exception cref="SocketException">There will be none, such as when the device is gone.</exception>
    public async Task<Socket> AcceptAsync(CancellationToken cancellationToken)
    {
        var accepted = await _socket.AcceptAsync(cancellationToken);
        accepted.NoDelay = true;
        return accepted;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
