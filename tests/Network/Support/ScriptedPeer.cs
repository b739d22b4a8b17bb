using System.Net;
using System.Net.Sockets;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Tests.Network.Support;

/// <summary>A host where a test itself plays the router: it takes the connections and says what it likes.</summary>
internal sealed class ScriptedPeer(LabHost host) : IDisposable
{
    private readonly Socket _listener = host.Namespace.Inside(static () =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Any, BgpWire.Port));
        socket.Listen();
        return socket;
    });

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>The next connection.</summary>
    public async Task<ScriptedSession> AcceptAsync() => new(await _listener.AcceptAsync(Cancelled).AsTask().WaitAsync(BgpLab.Patience, Cancelled));

    public void Dispose() => _listener.Dispose();
}

/// <summary>A connection of a <see cref="ScriptedPeer"/>.</summary>
internal sealed class ScriptedSession(Socket socket) : IDisposable
{
    private readonly byte[] _buffer = new byte[2 * BgpWire.LongestExtendedMessage];
    private int _filled;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Sends some bytes; a speaker that has hung up already is none of our business.</summary>
    public async Task SendAsync(byte[] bytes)
    {
        try
        {
            await socket.SendAsync(bytes, SocketFlags.None, Cancelled);
        }
        catch (SocketException)
        {
            // The NOTIFICATION is what counts.
        }
    }

    /// <summary>Reads up to a message of a type.</summary>
    public async Task<byte[]> ReadAsync(BgpMessageType type)
    {
        while (true)
        {
            byte[] message = await NextAsync();
            if (BgpWire.TypeOf(message) == type)
                return message;
            if (BgpWire.TypeOf(message) == BgpMessageType.Notification && BgpNotification.TryParse(message.AsSpan(BgpWire.HeaderLength), out var notification))
                Assert.Fail($"a {type} was waited for, and {notification} came");
        }
    }

    /// <summary>Reads up to the NOTIFICATION that ends the session.</summary>
    public async Task<BgpNotification> ReadNotificationAsync()
    {
        Assert.True(BgpNotification.TryParse((await ReadAsync(BgpMessageType.Notification)).AsSpan(BgpWire.HeaderLength), out var notification));
        return notification!;
    }

    public void Dispose() => socket.Dispose();

    private async Task<byte[]> NextAsync()
    {
        while (true)
        {
            if (BgpWire.TryFrame(_buffer.AsSpan(0, _filled), true, out int length, out _))
            {
                byte[] message = _buffer[..length];
                _buffer.AsSpan(length, _filled - length).CopyTo(_buffer);
                _filled -= length;
                return message;
            }
            int read = await socket.ReceiveAsync(_buffer.AsMemory(_filled), SocketFlags.None, Cancelled).AsTask().WaitAsync(BgpLab.Patience, Cancelled);
            Assert.NotEqual(0, read);
            _filled += read;
        }
    }
}
