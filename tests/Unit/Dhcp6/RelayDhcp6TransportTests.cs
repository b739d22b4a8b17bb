using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Dhcp6;

/// <summary>Relay agents that share an address of this host, with a server's socket on the loopback.</summary>
public sealed class RelayDhcp6TransportTests
{
    private static readonly IPv6Address Loopback = IPv6Address.Parse("::1");
    private static readonly IPv6Address Peer = IPv6Address.Parse("fe80::7");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_of_two_that_share_a_socket_hears_what_bears_its_link_and_what_is_for_neither_counts_once()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6, "there is no IPv6");
        using var server = Bind();
        await using var socket = new Relay6Socket(Loopback, TimeProvider.System, 0, Port(server));
        await using var near = new RelayDhcp6Transport(socket, Header("fd77::1"), [Loopback]);
        await using var far = new RelayDhcp6Transport(socket, Header("fd88::1"), [Loopback]);
        var (nearby, farther) = (new Inbox(), new Inbox());
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var running = Task.WhenAll(near.RunAsync(nearby, stop.Token), far.RunAsync(farther, stop.Token));

        await far.SendAsync(Question(7), Cancelled);
        byte[] forwarded = await ReceiveAsync(server);
        Assert.Equal(Convert.ToHexString(IPv6Address.Parse("fd88::1").ToIPAddress().GetAddressBytes()), Convert.ToHexString(forwarded.AsSpan(2, 16)));
        await AnswerAsync(server, socket, forwarded);
        await farther.UntilAsync(1);
        Assert.Equal((7u, Loopback), farther.Received[0]);

        // For a link that nobody leases on, and no message at all.
        var foreign = (byte[])forwarded.Clone();
        foreign[3] ^= 1;
        await AnswerAsync(server, socket, foreign);
        await AnswerAsync(server, socket, [13, 0]);
        await near.SendAsync(Question(8), Cancelled);
        await AnswerAsync(server, socket, await ReceiveAsync(server));
        await nearby.UntilAsync(1);
        Assert.Equal([(8u, Loopback)], nearby.Received);
        Assert.Single(farther.Received);
        Assert.Equal([Dhcp6DropReason.OtherRelay, Dhcp6DropReason.TooShort], nearby.Drops.Concat(farther.Drops));
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task An_answer_of_a_host_that_is_not_among_the_servers_is_dropped()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6, "there is no IPv6");
        using var server = Bind();
        Assert.Throws<ArgumentException>(() => new Relay6Socket(Peer, TimeProvider.System));
        var socket = new Relay6Socket(Loopback, TimeProvider.System, 0, Port(server));
        await using var other = new RelayDhcp6Transport(socket, Header("fd77::1"), [IPv6Address.Parse("fd77::5")], ownsSocket: true);
        var inbox = new Inbox();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var running = other.RunAsync(inbox, stop.Token);
        var bytes = new byte[Dhcp6RelayMessage.ForwardLength(Header("fd77::1"), Question(9))];
        Dhcp6RelayMessage.WriteForward(bytes, Header("fd77::1"), Question(9));
        await AnswerAsync(server, socket, bytes);
        while (inbox.Drops.Count == 0)
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, Cancelled);
        Assert.Equal([Dhcp6DropReason.RogueServer], inbox.Drops);
        Assert.Empty(inbox.Received);
        await stop.CancelAsync();
        await running;
    }

    private static Dhcp6RelayHeader Header(string link) => new(IPv6Address.Parse(link), Peer, default);

    private static Dhcp6Message Question(uint transaction) => new()
    {
        Type = Dhcp6MessageType.Solicit,
        TransactionId = transaction,
        ClientId = Dhcp6Lab.Duid,
        ElapsedTime = 0,
        Associations = [new Dhcp6Association(1, 0, 0, [])],
    };

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
        return socket;
    }

    private static int Port(Socket socket) => ((IPEndPoint)socket.LocalEndPoint!).Port;

    private static async Task<byte[]> ReceiveAsync(Socket server)
    {
        var buffer = new byte[2048];
        int length = await server.ReceiveAsync(buffer, SocketFlags.None, Cancelled);
        return buffer[..length];
    }

    private static async Task AnswerAsync(Socket server, Relay6Socket socket, byte[] message)
    {
        message[0] = 13;
        await server.SendToAsync(message, SocketFlags.None, new IPEndPoint(IPAddress.IPv6Loopback, socket.Port), Cancelled);
    }

    private sealed class Inbox : IDhcp6Receiver
    {
        private readonly Lock _lock = new();
        private readonly List<(uint, IPv6Address)> _received = [];
        private readonly List<Dhcp6DropReason> _drops = [];

        public IReadOnlyList<(uint Transaction, IPv6Address Source)> Received
        {
            get
            {
                lock (_lock)
                    return [.. _received];
            }
        }

        public IReadOnlyList<Dhcp6DropReason> Drops
        {
            get
            {
                lock (_lock)
                    return [.. _drops];
            }
        }

        void IDhcp6Receiver.Received(Dhcp6Message message, IPv6Address source)
        {
            lock (_lock)
                _received.Add((message.TransactionId, source));
        }

        public void Dropped(Dhcp6DropReason reason)
        {
            lock (_lock)
                _drops.Add(reason);
        }

        public async Task UntilAsync(int count)
        {
            while (Received.Count < count)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, Cancelled);
            }
        }
    }
}
