using System.Net.Sockets;

namespace DynamicLb.Lab.Networks;

/// <summary>Passes connections on, byte by byte: how a caller outside a namespace reaches a server inside.</summary>
internal static class Relay
{
    /// <summary>Runs until cancelled.</summary>
    public static async Task RunAsync(Socket listener, Func<CancellationToken, Task<Socket>> connect, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            var accepted = await listener.AcceptAsync(cancellationToken);
            _ = PassAsync(accepted, connect, cancellationToken);
        }
    }

    /// <summary>A listening Unix socket.</summary>
    public static Socket ListenUnix(string path)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        return listener;
    }

    /// <summary>A connection to a Unix socket.</summary>
    public static async Task<Socket> ConnectUnixAsync(string path, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
        return socket;
    }

    /// <summary>A connection over TCP.</summary>
    public static async Task<Socket> ConnectTcpAsync(string host, int port, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(host, port, cancellationToken);
        return socket;
    }

    private static async Task PassAsync(Socket accepted, Func<CancellationToken, Task<Socket>> connect, CancellationToken cancellationToken)
    {
        using (accepted)
        {
            try
            {
                using var target = await connect(cancellationToken);
                await using var near = new NetworkStream(accepted);
                await using var far = new NetworkStream(target);
                var there = CopyAsync(near, far, target, cancellationToken);
                var back = CopyAsync(far, near, accepted, cancellationToken);

                // A side that was reset ends the connection at once; a side that only has nothing more to say lets the other finish.
                await await Task.WhenAny(there, back);
                await Task.WhenAll(there, back);
            }
            catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
            {
                // The connection is over, for both sides.
            }
        }
    }

    private static async Task CopyAsync(NetworkStream from, NetworkStream to, Socket end, CancellationToken cancellationToken)
    {
        await from.CopyToAsync(to, cancellationToken);
        end.Shutdown(SocketShutdown.Send);
    }
}
