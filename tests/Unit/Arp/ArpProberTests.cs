using System.Net.Sockets;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Arp;

public sealed class ArpProberTests : IAsyncDisposable
{
    private static readonly MacAddress Host = MacAddress.Parse("02:00:00:00:00:42");
    private static readonly IPv4Address Address = IPv4Address.Parse("10.77.0.100");
    private readonly FakeChannel _channel = new();
    private readonly FakeTime _time = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Receiver _receiver = new();
    private readonly ArpProber _prober;
    private readonly Task _loop;

    public ArpProberTests()
    {
        _prober = new ArpProber(_channel, _time) { Watch = new AddressWatch<IPv4Address>(_time) };
        _loop = _prober.RunAsync(_receiver, _stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _loop;
        await _prober.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task A_probe_is_a_broadcast_request_from_the_interfaces_MAC_and_no_address()
    {
        await _prober.ProbeAsync(Address, CancellationToken.None);
        var frame = Assert.Single(_channel.Sent);
        Assert.Equal(ArpPacket.FrameLength, frame.Length);
        Assert.True(ArpPacket.TryParse(frame, out var destination, out var packet));
        Assert.Equal(MacAddress.Broadcast, destination);
        Assert.Equal(new ArpPacket(ArpOperation.Request, _channel.Link.Mac, IPv4Address.Any, MacAddress.Zero, Address), packet);
        Assert.Equal(_channel.Link.Mac, MacAddress.Read(frame.AsSpan(6)));
    }

    [Theory]
    [InlineData("reply of the owner", true)]
    [InlineData("announcement of the owner", true)]
    [InlineData("probe of another", true)]
    [InlineData("our own probe", false)]
    [InlineData("question for it", false)]
    [InlineData("reply for another address", false)]
    [InlineData("reply from no address", false)]
    public async Task What_counts_as_use_of_the_address(string what, bool counts)
    {
        var ours = _channel.Link.Mac;
        var other = IPv4Address.Parse("10.77.0.7");
        await _prober.ProbeAsync(Address, CancellationToken.None);
        _channel.Arrive(what switch
        {
            "reply of the owner" => new ArpPacket(ArpOperation.Reply, Host, Address, ours, IPv4Address.Any),
            "announcement of the owner" => new ArpPacket(ArpOperation.Request, Host, Address, MacAddress.Zero, Address),
            "probe of another" => new ArpPacket(ArpOperation.Request, Host, IPv4Address.Any, MacAddress.Zero, Address),
            "our own probe" => new ArpPacket(ArpOperation.Request, ours, IPv4Address.Any, MacAddress.Zero, Address),
            "question for it" => new ArpPacket(ArpOperation.Request, Host, other, MacAddress.Zero, Address),
            "reply for another address" => new ArpPacket(ArpOperation.Reply, Host, other, ours, IPv4Address.Any),
            _ => new ArpPacket(ArpOperation.Reply, Host, IPv4Address.Any, ours, Address),
        });
        await _channel.DrainAsync();
        Assert.Equal(counts ? [(Address, Host)] : [], _receiver.Heard);
    }

    [Fact]
    public async Task Nothing_is_heard_of_addresses_that_were_not_probed_or_long_ago()
    {
        var reply = new ArpPacket(ArpOperation.Reply, Host, Address, _channel.Link.Mac, IPv4Address.Any);
        _channel.Arrive(reply);
        await _channel.DrainAsync();
        await _prober.ProbeAsync(Address, CancellationToken.None);
        _time.Advance(TimeSpan.FromSeconds(4));
        _channel.Arrive(reply);
        await _channel.DrainAsync();
        Assert.Single(_receiver.Heard);
        _time.Advance(TimeSpan.FromSeconds(2));
        _channel.Arrive(reply);
        await _channel.DrainAsync();
        Assert.Single(_receiver.Heard);
    }

    [Fact]
    public async Task Whoever_uses_a_watched_address_is_told_every_ten_seconds_but_not_who_asks_for_it_or_may_use_it()
    {
        var watch = _prober.Watch!;
        var speaker = MacAddress.Parse("02:00:00:00:00:43");
        var question = new ArpPacket(ArpOperation.Request, Host, Address, MacAddress.Zero, IPv4Address.Parse("10.77.0.7"));
        _channel.Arrive(question);
        await _channel.DrainAsync();
        Assert.Empty(_receiver.Used);
        await _prober.ProbeAsync(IPv4Address.Parse("10.77.0.101"), CancellationToken.None);
        watch.Add(Address);
        watch.Trust(speaker);
        _channel.Arrive(question with { SenderMac = speaker });
        _channel.Arrive(question with { SenderMac = _channel.Link.Mac });
        _channel.Arrive(new ArpPacket(ArpOperation.Request, Host, IPv4Address.Any, MacAddress.Zero, Address));
        _channel.Arrive(new ArpPacket(ArpOperation.Request, Host, IPv4Address.Parse("10.77.0.7"), MacAddress.Zero, Address));
        await _channel.DrainAsync();
        Assert.Empty(_receiver.Used);
        _channel.Arrive(question);
        _channel.Arrive(question);
        await _channel.DrainAsync();
        Assert.Equal([(Address, Host)], _receiver.Used);
        _time.Advance(TimeSpan.FromSeconds(11));
        _channel.Arrive(question);
        await _channel.DrainAsync();
        Assert.Equal(2, _receiver.Used.Count);
        watch.Distrust(speaker);
        _channel.Arrive(question with { SenderMac = speaker });
        await _channel.DrainAsync();
        Assert.Equal(3, _receiver.Used.Count);
        watch.Remove(Address);
        _time.Advance(TimeSpan.FromSeconds(11));
        await _channel.DrainAsync();
        _channel.Arrive(question);
        await _channel.DrainAsync();
        Assert.Empty(_receiver.Heard);
        // Probed a moment ago and leased since.
        watch.Add(Address);
        await _prober.ProbeAsync(Address, CancellationToken.None);
        _channel.Arrive(question);
        await _channel.DrainAsync();
        Assert.Equal((1, 4), (_receiver.Heard.Count, _receiver.Used.Count));
    }

    [Fact]
    public void A_flood_of_hosts_is_told_of_up_to_a_number_and_again_when_it_is_over()
    {
        var watch = _prober.Watch!;
        watch.Add(Address);
        Assert.Equal(AddressWatch<IPv4Address>.Most, Enumerable.Range(0, 10_000).Count(i => watch.IsNews(Address, new MacAddress((ulong)i))));
        Assert.False(watch.IsNews(Address, Host));
        _time.Advance(AddressWatch<IPv4Address>.Interval);
        Assert.True(watch.IsNews(Address, Host));
    }

    [Fact]
    public async Task Garbage_and_faults_of_the_link_end_nothing()
    {
        _channel.SendFault = new SocketException((int)SocketError.NetworkDown);
        await _prober.ProbeAsync(Address, CancellationToken.None);
        Assert.Equal(1, _prober.SendFaults);
        _channel.Arrive(new byte[3]);
        _channel.Arrive(new byte[60]);
        await _channel.DrainAsync();
        _channel.Arrive(new SocketException((int)SocketError.NetworkDown));
        while (_time.PendingTimers == 0)
            await Task.Yield();
        _time.Advance(TimeSpan.FromSeconds(1));
        _channel.Arrive(new ArpPacket(ArpOperation.Reply, Host, Address, _channel.Link.Mac, IPv4Address.Any));
        await _channel.DrainAsync();
        Assert.Single(_receiver.Heard);
    }

    private sealed class Receiver : IArpReceiver
    {
        public List<(IPv4Address, MacAddress)> Heard { get; } = [];

        public List<(IPv4Address, MacAddress)> Used { get; } = [];

        void IArpReceiver.Heard(IPv4Address address, MacAddress host) => Heard.Add((address, host));

        void IArpReceiver.Used(IPv4Address address, MacAddress host) => Used.Add((address, host));
    }

    private sealed class FakeChannel : ILinkChannel
    {
        private readonly Channel<object> _arriving = Channel.CreateUnbounded<object>();
        private int _asked;
        private int _arrived;

        public LinkInfo Link { get; } = new(1, "eth0", MacAddress.Parse("02:11:11:11:11:11"));

        public List<byte[]> Sent { get; } = [];

        public Exception? SendFault { get; set; }

        public bool HasPending => _arriving.Reader.Count > 0;

        public void Arrive(object what)
        {
            if (what is ArpPacket packet)
            {
                var frame = new byte[60];
                packet.Write(frame, packet.SenderMac, Link.Mac);
                what = frame;
            }
            _arrived++;
            _arriving.Writer.TryWrite(what);
        }

        /// <summary>Waits until all that arrived is dealt with.</summary>
        public async Task DrainAsync()
        {
            while (Volatile.Read(ref _asked) <= _arrived)
                await Task.Yield();
        }

        public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
        {
            if (SendFault is { } fault)
                return ValueTask.FromException(fault);
            Sent.Add(frame.ToArray());
            return ValueTask.CompletedTask;
        }

        public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _asked);
            var what = await _arriving.Reader.ReadAsync(cancellationToken);
            if (what is Exception fault)
                throw fault;
            var bytes = (byte[])what;
            bytes.CopyTo(buffer);
            return bytes.Length;
        }

        public void JoinUnicast(MacAddress address)
        {
        }

        public void LeaveUnicast(MacAddress address)
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
