using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Bgp;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Bgp;

/// <summary>Sessions over TCP on the loopback interface: two of ours with each other, and one with a scripted peer.</summary>
public sealed class BgpSessionTests : IBgpSessionObserver
{
    private static readonly BgpRouteAttributes Attributes = new(100, [1], []);
    private readonly List<string> _told = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Ten_thousand_routes_reach_the_peer_and_a_stop_withdraws_them_first()
    {
        using var listener = Listen();
        // The session's patience with a peer that takes nothing more does not run out here, however busy the machine is.
        var session = Start(listener, Settings(), new FakeTime());
        session.Want(Enumerable.Range(0, 10_000).ToDictionary(static i => new BgpPrefix(BgpFamily.IPv4, (UInt128)(0x0a000000u + (uint)i) << 96, 32), static _ => Attributes));
        using var peer = await Peer.AcceptAsync(listener);
        var seen = new HashSet<BgpPrefix>();
        await peer.ReadUntilAsync(seen, static update => update.EndOfRib is not null);
        Assert.Equal(10_000, seen.Count);
        await UntilAsync(() => session.Status is { Told: 10_000, Pending: 0 });

        var stopping = session.StopAsync(BgpNotification.Cease(BgpCease.AdministrativeShutdown, "bye"), true);
        await peer.ReadUntilAsync(seen, _ => seen.Count == 0);
        Assert.Equal("cease: administrative shutdown (\"bye\")", (await peer.ReadNotificationAsync()).ToString());
        peer.Dispose();
        await stopping;
        Assert.Equal(BgpState.Idle, session.Status.State);
    }

    [Fact]
    public async Task Malformed_header_ends_the_session_with_the_right_notification_and_it_comes_back()
    {
        using var listener = Listen();
        var time = new FakeTime();
        await using var session = Start(listener, Settings(), time);
        using (var peer = await Peer.AcceptAsync(listener))
        {
            await UntilAsync(() => session.Status.State == BgpState.Established);
            await peer.SendAsync(new byte[19]);
            Assert.Equal("message header error: connection not synchronized", (await peer.ReadNotificationAsync()).ToString());
        }
        await UntilAsync(() => session.Status.State == BgpState.Active);
        time.Advance(TimeSpan.FromMilliseconds(200));
        using var again = await Peer.AcceptAsync(listener);
        await UntilAsync(() => session.Status.State == BgpState.Established);
        Assert.Contains("sent message header error: connection not synchronized", _told);
    }

    [Fact]
    public async Task Messages_in_pieces_and_in_heaps_are_the_same()
    {
        using var listener = Listen();
        await using var session = Start(listener, Settings());
        using var peer = await Peer.AcceptAsync(listener);
        await UntilAsync(() => session.Status.State == BgpState.Established);
        byte[] refresh = BgpWire.RouteRefresh(BgpFamily.IPv4, BgpRefreshKind.Request);
        byte[] heap = [.. Enumerable.Repeat(refresh, 50).SelectMany(static message => message)];
        foreach (byte one in refresh)
            await peer.SendAsync([one]);
        await peer.SendAsync(heap);
        await UntilAsync(() => session.Counters.Received(BgpMessageType.RouteRefresh) == 51);
        Assert.Equal(BgpState.Established, session.Status.State);
    }

    [Fact]
    public async Task Refused_connection_is_told_in_words()
    {
        // A port that is taken, so that nobody else gets it, and on which nobody listens.
        using var deaf = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        deaf.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await using var session = Start(deaf, Settings());
        await UntilAsync(() => session.Status.LastError.Length > 0);
        Assert.Equal("the router refuses connections on the port", session.Status.LastError);
    }

    void IBgpSessionObserver.Up(BgpEstablished session, string local) => Tell("up");

    void IBgpSessionObserver.Down(string cause, bool wasEstablished) => Tell($"down {cause}");

    void IBgpSessionObserver.Notified(BgpNotification notification, bool isSent) => Tell($"{(isSent ? "sent" : "received")} {notification}");

    private void Tell(string what)
    {
        lock (_told)
            _told.Add(what);
    }

    private static BgpSettings Settings() => new(65001, BgpPeerAs.Configured, 65002, [BgpFamily.IPv4]) { ConnectRetry = TimeSpan.FromMilliseconds(100) };

    private static Socket Listen()
    {
        var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        return listener;
    }

    private BgpSession Start(Socket listener, BgpSettings settings, TimeProvider? time = null)
    {
        int port = ((IPEndPoint)listener.LocalEndPoint!).Port;
        return new BgpSession(
            settings,
            async cancellationToken => new BgpTcpConnection(await BgpTcp.ConnectAsync(new BgpTransportSettings(IPAddress.Loopback, port), cancellationToken), 7, 7),
            this, time ?? TimeProvider.System, new Random(1));
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        for (int i = 0; i < 6000 && !condition(); i++)
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, Cancelled);
        Assert.True(condition());
    }

    private sealed class Peer(Socket socket) : IDisposable
    {
        private readonly byte[] _buffer = new byte[65536];
        private int _filled;

        public static async Task<Peer> AcceptAsync(Socket listener)
        {
            var peer = new Peer(await listener.AcceptAsync(Cancelled).AsTask().WaitAsync(TimeSpan.FromMinutes(1), Cancelled));
            await peer.SendAsync(new BgpOpen(65002, 90, 9) { Families = [BgpFamily.IPv4], FourOctetAs = true, RouteRefresh = true }.ToMessage());
            await peer.SendAsync(BgpWire.Keepalive());
            return peer;
        }

        public async Task SendAsync(byte[] bytes) => await socket.SendAsync(bytes, SocketFlags.None, Cancelled);

        public async Task ReadUntilAsync(HashSet<BgpPrefix> seen, Func<BgpUpdate, bool> isEnough)
        {
            var encoding = new BgpEncoding(65002, false, [BgpFamily.IPv4]);
            while (true)
            {
                byte[] message = await NextAsync();
                if (BgpWire.TypeOf(message) != BgpMessageType.Update)
                    continue;
                Assert.Null(BgpUpdate.TryParse(message, encoding, out var update));
                seen.UnionWith(update!.Announced);
                seen.ExceptWith(update.Withdrawn);
                if (isEnough(update))
                    return;
            }
        }

        public async Task<BgpNotification> ReadNotificationAsync()
        {
            while (true)
            {
                byte[] message = await NextAsync();
                if (BgpWire.TypeOf(message) != BgpMessageType.Notification)
                    continue;
                Assert.True(BgpNotification.TryParse(message.AsSpan(BgpWire.HeaderLength), out var notification));
                return notification!;
            }
        }

        public void Dispose() => socket.Dispose();

        private async Task<byte[]> NextAsync()
        {
            while (true)
            {
                if (BgpWire.TryFrame(_buffer.AsSpan(0, _filled), false, out int length, out _))
                {
                    byte[] message = _buffer[..length];
                    _buffer.AsSpan(length, _filled - length).CopyTo(_buffer);
                    _filled -= length;
                    return message;
                }
                int read = await socket.ReceiveAsync(_buffer.AsMemory(_filled), SocketFlags.None, Cancelled).AsTask().WaitAsync(TimeSpan.FromMinutes(1), Cancelled);
                Assert.NotEqual(0, read);
                _filled += read;
            }
        }
    }
}
