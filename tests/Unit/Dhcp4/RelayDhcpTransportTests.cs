using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>The relay's socket, on loopback addresses.</summary>
public sealed class RelayDhcpTransportTests : IAsyncDisposable
{
    private static readonly IPv4Address Relay = IPv4Address.Parse("127.0.0.11");
    private static readonly IPv4Address First = IPv4Address.Parse("127.0.0.1");
    private static readonly IPv4Address Second = IPv4Address.Parse("127.0.0.2");
    private static readonly MacAddress ChAddr = MacAddress.Parse("02:4c:42:00:00:01");
    private readonly Socket _first;
    private readonly Socket _second;
    private readonly int _port;
    private RelaySocket? _socket;

    public RelayDhcpTransportTests()
    {
        while (true)
        {
            _first = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            _second = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            _first.Bind(new IPEndPoint(First.ToIPAddress(), 0));
            _port = ((IPEndPoint)_first.LocalEndPoint!).Port;
            try
            {
                _second.Bind(new IPEndPoint(Second.ToIPAddress(), _port));
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // A port that is free at the one address need not be so at the other.
                _first.Dispose();
                _second.Dispose();
            }
        }
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        if (_socket is not null)
            await _socket.DisposeAsync();
        _first.Dispose();
        _second.Dispose();
    }

    [Theory]
    [InlineData(null, null)]
    [InlineData("10.30.0.0", null)]
    [InlineData(null, "10.30.0.0")]
    public async Task Case37_every_message_names_the_relay_and_the_subnet_RELEASE_included(string? link, string? subnet)
    {
        var transport = Open([First], link, subnet);
        var identity = new DhcpClientIdentity(ChAddr, DhcpClientIdentity.HardwareClientId(ChAddr), "web-demo", null);
        var address = IPv4Address.Parse("10.30.0.9");
        DhcpMessage[] messages =
        [
            DhcpMessages.Discover(identity, DhcpClientSettings.Default, 1, 0, default),
            DhcpMessages.RequestSelecting(identity, DhcpClientSettings.Default, 1, 0, address, First),
            DhcpMessages.RequestInitReboot(identity, DhcpClientSettings.Default, 1, 0, address),
            DhcpMessages.RequestClientAddress(identity, DhcpClientSettings.Default, 1, 0, address),
            DhcpMessages.Release(identity, 1, address, First, "service deleted"),
        ];
        foreach (var sent in messages)
        {
            await transport.SendAsync(sent, DhcpDestination.Broadcast, Cancelled);
            var (bytes, from) = await ReceiveAsync(_first);
            Assert.Equal(Relay.ToIPAddress(), from.Address);
            Assert.True(DhcpMessage.TryParse(bytes, out var message, out _));
            Assert.Equal((1, Relay, false, ChAddr), (message.Hops, message.RelayAddress, message.Broadcast, message.HardwareAddress));
            Assert.Equal(subnet is not null, message.Options.TryGetAddress(DhcpOptionCode.SubnetSelection, out var selected));
            if (subnet is not null)
                Assert.Equal(subnet, selected.ToString());
            Assert.Equal(link is not null, message.Options.TryGet(DhcpOptionCode.RelayAgentInformation, out var information));
            if (link is not null)
            {
                Assert.Equal([5, 4, 10, 30, 0, 0], information.ToArray());
                Assert.Equal(DhcpOptionCode.RelayAgentInformation, message.Options.Codes.Last());
            }
        }
    }

    [Fact]
    public async Task What_is_for_all_goes_to_every_server_what_is_for_one_to_that_one()
    {
        var transport = Open([First, Second]);
        await transport.SendAsync(Discover(1), DhcpDestination.Broadcast, Cancelled);
        await ReceiveAsync(_first);
        await ReceiveAsync(_second);
        await transport.SendAsync(Discover(2), DhcpDestination.Unicast(default, Second, MacAddress.Zero), Cancelled);
        await ReceiveAsync(_second);
        Assert.Equal(0, _first.Available);
    }

    [Fact]
    public async Task A_server_that_names_itself_by_another_address_is_found_once_it_has_answered()
    {
        var transport = Open([First, Second]);
        var unreachable = IPv4Address.Parse("192.0.2.1");
        var receiver = new Receiver();
        using var stop = new CancellationTokenSource();
        var loop = transport.RunAsync(receiver, stop.Token);
        await transport.SendAsync(Discover(1), DhcpDestination.Unicast(default, unreachable, MacAddress.Zero), Cancelled);
        await ReceiveAsync(_first);
        await ReceiveAsync(_second);

        await AnswerAsync(_second, Relay, unreachable);
        await receiver.WaitAsync(1);
        await transport.SendAsync(Discover(2), DhcpDestination.Unicast(default, unreachable, MacAddress.Zero), Cancelled);
        await ReceiveAsync(_second);
        Assert.Equal(0, _first.Available);
        await stop.CancelAsync();
        await loop;
    }

    [Fact]
    public async Task Case37_an_answer_to_another_relay_is_dropped_and_counted()
    {
        var transport = Open([First]);
        var receiver = new Receiver();
        using var stop = new CancellationTokenSource();
        var loop = transport.RunAsync(receiver, stop.Token);
        await AnswerAsync(_first, IPv4Address.Parse("10.20.0.12"), First);
        await AnswerAsync(_first, default, First);
        await _first.SendToAsync(new byte[12], new IPEndPoint(Relay.ToIPAddress(), _socket!.Port));
        await AnswerAsync(_first, Relay, First);
        await receiver.WaitAsync(4);
        Assert.Equal([DhcpDropReason.OtherRelay, DhcpDropReason.OtherRelay, DhcpDropReason.TooShort], receiver.Drops);
        var reply = Assert.Single(receiver.Replies);
        Assert.Equal((First, _port, MacAddress.Zero), (reply.SourceAddress, reply.SourcePort, reply.SourceMac));
        await stop.CancelAsync();
        await loop;
    }

    [Fact]
    public async Task Transports_for_several_subnets_share_the_socket_and_each_goes_and_comes_by_itself()
    {
        var near = Open([First]);
        var far = Open([First], link: "10.30.0.0");
        Receiver nearby = new(), distant = new();
        using var stop = new CancellationTokenSource();
        using var early = new CancellationTokenSource();
        var loops = new[] { near.RunAsync(nearby, stop.Token), far.RunAsync(distant, early.Token) };
        await near.SendAsync(Discover(1), DhcpDestination.Broadcast, Cancelled);
        await far.SendAsync(Discover(2), DhcpDestination.Broadcast, Cancelled);
        var seen = new Dictionary<uint, bool>();
        for (int i = 0; i < 2; i++)
        {
            Assert.True(DhcpMessage.TryParse((await ReceiveAsync(_first)).Bytes, out var message, out _));
            seen[message.TransactionId] = message.Options.Contains(DhcpOptionCode.RelayAgentInformation);
        }
        Assert.Equal((false, true), (seen[1], seen[2]));
        await AnswerAsync(_first, Relay, First);
        await nearby.WaitAsync(1);
        await distant.WaitAsync(1);
        Assert.NotSame(nearby.Replies[0].Message, distant.Replies[0].Message);
        await early.CancelAsync();
        await loops[1];
        await AnswerAsync(_first, Relay, First);
        await nearby.WaitAsync(1);
        Assert.Equal((2, 1), (nearby.Replies.Count, distant.Replies.Count));
        await stop.CancelAsync();
        await loops[0];
    }

    [Fact]
    public void A_relay_without_servers_or_with_an_address_that_is_not_ours_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Open([]));
        Assert.Throws<SocketException>(() => new RelaySocket(IPv4Address.Parse("192.0.2.7"), TimeProvider.System, 0, _port));
        Assert.Throws<ArgumentException>(() => new RelaySocket(IPv4Address.Any, TimeProvider.System, 0, _port));
    }

    private RelayDhcpTransport Open(IReadOnlyList<IPv4Address> servers, string? link = null, string? subnet = null) => new(
        _socket ??= new RelaySocket(Relay, TimeProvider.System, 0, _port),
        new DhcpRelaySettings
        {
            Servers = servers,
            LinkSelection = link is null ? null : IPv4Address.Parse(link),
            SubnetSelection = subnet is null ? null : IPv4Address.Parse(subnet),
        });

    private static DhcpMessage Discover(uint xid) => new() { Type = DhcpMessageType.Discover, TransactionId = xid, HardwareAddress = ChAddr };

    private async Task AnswerAsync(Socket server, IPv4Address relay, IPv4Address id)
    {
        var reply = new DhcpMessage { IsReply = true, Type = DhcpMessageType.Offer, HardwareAddress = ChAddr, RelayAddress = relay };
        reply.Options.SetAddress(DhcpOptionCode.ServerId, id);
        var bytes = new byte[reply.EncodedLength];
        reply.Write(bytes);
        await server.SendToAsync(bytes, new IPEndPoint(Relay.ToIPAddress(), _socket!.Port));
    }

    private static async Task<(byte[] Bytes, IPEndPoint From)> ReceiveAsync(Socket socket)
    {
        var buffer = new byte[2048];
        var received = await socket.ReceiveFromAsync(buffer, SocketFlags.None, new IPEndPoint(IPAddress.Any, 0), Cancelled)
            .AsTask().WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancelled);
        return (buffer[..received.ReceivedBytes], (IPEndPoint)received.RemoteEndPoint);
    }

    private sealed class Receiver : IDhcpReceiver
    {
        private readonly Channel<bool> _seen = Channel.CreateUnbounded<bool>();

        public List<DhcpReply> Replies { get; } = [];

        public List<DhcpDropReason> Drops { get; } = [];

        public void Received(in DhcpReply reply)
        {
            Replies.Add(reply);
            _seen.Writer.TryWrite(true);
        }

        public void Dropped(DhcpDropReason reason)
        {
            Drops.Add(reason);
            _seen.Writer.TryWrite(true);
        }

        public async Task WaitAsync(int count)
        {
            for (int i = 0; i < count; i++)
                await _seen.Reader.ReadAsync(Cancelled).AsTask().WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, Cancelled);
        }
    }
}
