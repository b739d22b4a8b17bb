using System.Text.RegularExpressions;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Kubernetes;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class Layer2AnnouncerTests
{
    private static readonly IPv4Address Ip = IPv4Address.Parse("10.0.0.1");
    private static readonly MacAddress Client = MacAddress.Parse("02:00:00:00:00:99");
    private readonly SpeakerParts _parts = new();

    [Theory]
    [InlineData("eth0", true)]
    [InlineData("enp3s0", true)]
    [InlineData("bond0", true)]
    [InlineData("br-lan", true)]
    [InlineData("eth0.100", true)]
    [InlineData("lo", false)]
    [InlineData("docker0", false)]
    [InlineData("cbr0", false)]
    [InlineData("dummy1", false)]
    [InlineData("virbr0", false)]
    [InlineData("lxcbr0", false)]
    [InlineData("veth12ab", false)]
    [InlineData("cali1234", false)]
    [InlineData("tunl0", false)]
    [InlineData("flannel.1", false)]
    [InlineData("kube-ipvs0", false)]
    [InlineData("cni0", false)]
    [InlineData("nodelocaldns", false)]
    [InlineData("lxc_health", false)]
    public void Interfaces_of_containers_take_no_part_by_default(string name, bool eligible) =>
        Assert.Equal(eligible, Layer2Announcer.IsEligible(State(name), Excluded(SpeakerCommand.DefaultExcluded)));

    [Fact]
    public void Interfaces_that_are_down_enslaved_or_cannot_do_arp_take_no_part()
    {
        var none = Excluded("^$");
        Assert.True(Layer2Announcer.IsEligible(State("eth0"), none));
        Assert.False(Layer2Announcer.IsEligible(State("eth0") with { IsUp = false }, none));
        Assert.False(Layer2Announcer.IsEligible(State("eth0") with { IsBroadcast = false }, none));
        Assert.False(Layer2Announcer.IsEligible(State("eth0") with { UsesArp = false }, none));
        Assert.False(Layer2Announcer.IsEligible(State("eth0") with { IsEnslaved = true }, none));
        // Without a cable it waits for one.
        Assert.True(Layer2Announcer.IsEligible(State("eth0") with { HasCarrier = false }, none));
    }

    [Fact]
    public async Task What_is_told_asked_and_answered_is_counted_by_address()
    {
        using var counted = new CounterSums(_parts.Meters);
        using var stop = new CancellationTokenSource();
        _parts.Links.Set(State("eth0"));
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0"));
        await WaitForChannelsAsync(1);
        var eth0 = _parts.Channels["eth0"];
        for (int i = 0; i < 2; i++)
            await eth0.NextAsync();
        eth0.Deliver(Request(Ip));
        await eth0.NextAsync();

        await Kubernetes.Eventually.TrueAsync(() => counted["metallb_layer2_responses_sent{ip=10.0.0.1}"] == 1);
        Assert.Equal(1, counted["metallb_layer2_requests_received{ip=10.0.0.1}"]);
        Assert.True(counted["metallb_layer2_gratuitous_sent{ip=10.0.0.1}"] >= 1);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task Neighbours_on_all_interfaces_are_told_and_their_requests_answered()
    {
        using var stop = new CancellationTokenSource();
        _parts.Links.Set(State("eth0", 2), State("eth1", 3), State("veth1", 4));
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0", 2), State("eth1", 3), State("veth1", 4));

        await WaitForChannelsAsync(2);
        foreach (var channel in _parts.Channels.Values)
        {
            Assert.Equal((ArpOperation.Request, Ip, MacAddress.Broadcast), Read(await channel.NextAsync()));
            Assert.Equal((ArpOperation.Reply, Ip, MacAddress.Broadcast), Read(await channel.NextAsync()));
        }

        var eth1 = _parts.Channels["eth1"];
        eth1.Deliver(Request(Ip));
        Assert.Equal((ArpOperation.Reply, Ip, Client), Read(await eth1.NextAsync()));

        await stop.CancelAsync();
        await running;
        Assert.All(_parts.Channels.Values, static channel => Assert.True(channel.IsDisposed));
    }

    [Fact]
    public async Task Requests_that_waited_while_the_process_stood_still_are_not_answered()
    {
        using var stop = new CancellationTokenSource();
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        _parts.Time.Advance(TimeSpan.FromHours(1));
        Assert.True(_parts.Guard.Tick());
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0", 2));
        await WaitForChannelsAsync(1);
        var channel = _parts.Channels["eth0"];

        // One loop takes frames in order: when the malformed one behind it has been counted, the request was judged.
        using var counted = new FrameCount(_parts.Meters, "Malformed");
        channel.Deliver(Request(Ip));
        channel.Deliver(new byte[10]);
        await counted.Seen;
        _parts.Guard.Resume();
        channel.Deliver(Request(Ip, "02:00:00:00:00:98"));
        // Announcements are sent by a loop of their own and may come in between.
        var answered = MacAddress.Broadcast;
        while (answered == MacAddress.Broadcast)
            answered = Read(await channel.NextAsync()).To;
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:98"), answered);

        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public void A_responder_that_comes_after_a_pause_answers_the_first_question()
    {
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        _parts.Guard.Pause();
        _parts.Guard.Resume();
        var link = new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02"));
        var responder = new Responder(ArpProtocol.Instance, new FakeChannel(link), _parts.Context, NullLogger.Instance);
        Assert.NotNull(responder.Handle(Request(Ip), new byte[ArpPacket.FrameLength]).Item);
        // What waits through another one is not answered.
        _parts.Guard.Pause();
        _parts.Guard.Resume();
        Assert.Null(responder.Handle(Request(Ip), new byte[ArpPacket.FrameLength]).Item);
    }

    [Fact]
    public async Task The_first_question_after_a_pause_in_which_nobody_asked_is_answered()
    {
        using var stop = new CancellationTokenSource();
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0", 2));
        await WaitForChannelsAsync(1);
        var channel = _parts.Channels["eth0"];
        await Eventually.TrueAsync(() => channel.Receives == 1 && _parts.Ndp["eth0"].Receives == 1);

        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        _parts.Guard.Pause();
        _parts.Guard.Resume();
        _parts.Announcer.Tell([]);
        await Eventually.TrueAsync(() => channel.Receives == 2 && _parts.Ndp["eth0"].Receives == 2);
        channel.Deliver(Request(Ip));
        Assert.Equal((ArpOperation.Reply, Ip, Client), Read(await channel.NextAsync()));

        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public void Another_machine_with_the_address_on_a_LAN_where_it_is_not_announced_claims_nothing()
    {
        _parts.Table.Replace(
            new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null }, new Dictionary<HostAddress, IReadOnlySet<string>> { [Ip] = new HashSet<string> { "eth1" } });
        var claims = new List<HostAddress>();
        _parts.Context.Claimed = (address, _) => claims.Add(address);
        var claim = new byte[ArpPacket.FrameLength];
        ArpRules.WriteGratuitous(claim, ArpOperation.Request, Ip, Client);

        ResponderOn("eth0").Handle(claim, new byte[ArpPacket.FrameLength]);
        Assert.Empty(claims);
        ResponderOn("eth1").Handle(claim, new byte[ArpPacket.FrameLength]);
        Assert.Equal([Ip], claims);

        Responder ResponderOn(string name) => new(ArpProtocol.Instance, new FakeChannel(State(name).Link), _parts.Context, NullLogger.Instance);
    }

    [Fact]
    public async Task Groups_are_joined_anew_when_an_interface_loses_its_ipv6_and_gets_it_back()
    {
        using var stop = new CancellationTokenSource();
        var six = IPv6Address.Parse("fd20::1:2:3");
        var state = State("eth0", 2) with { IPv6Networks = [new IPv6Network(IPv6Address.Parse("fe80::"), 64)] };
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [six] = null });
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(state);
        await WaitForChannelsAsync(1);
        var first = _parts.Groups["eth0"];
        await Eventually.TrueAsync(() => first.Addresses.Count == 1);

        _parts.Links.Set(state with { IPv6Networks = [] });
        await Eventually.TrueAsync(() => _parts.Groups["eth0"] != first && _parts.Groups["eth0"].Addresses.Count == 1);
        Assert.Empty(first.Addresses);
        Assert.False(_parts.Ndp["eth0"].IsDisposed);

        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_renamed_interface_goes_on_announcing_under_its_new_name()
    {
        using var stop = new CancellationTokenSource();
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null });
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0", 2));
        await WaitForChannelsAsync(1);

        _parts.Links.Set(State("lan0", 2));
        await Eventually.TrueAsync(() => _parts.Channels.ContainsKey("lan0"));
        Assert.Equal((ArpOperation.Request, Ip, MacAddress.Broadcast), Read(await _parts.Channels["lan0"].NextAsync()));
        Assert.True(_parts.Channels["eth0"].IsDisposed);

        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task An_ipv6_address_is_announced_and_answered_and_its_group_joined_on_interfaces_that_come_later()
    {
        var six = IPv6Address.Parse("fd20::1:2:3");
        using var stop = new CancellationTokenSource();
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(State("eth0", 2));
        await WaitForChannelsAsync(1);
        // An address that comes later.
        _parts.Announcer.Tell([.. _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [six] = null })]);
        Assert.True(NeighborMessage.TryParse(await _parts.Ndp["eth0"].NextAsync(), out var told));
        Assert.Equal((NeighborMessageType.Advertisement, six, MacAddress.Parse("33:33:00:00:00:01")), (told.Type, told.Target, told.DestinationMac));
        Assert.Equal([six], _parts.Groups["eth0"].Addresses);

        // An interface that comes later.
        _parts.Links.Set(State("eth0", 2), State("eth1", 3));
        await WaitForChannelsAsync(2);
        Assert.True(NeighborMessage.TryParse(await _parts.Ndp["eth1"].NextAsync(), out _));
        Assert.Equal([six], _parts.Groups["eth1"].Addresses);

        // Who looks whether it may use it itself is told by way of all nodes that it may not.
        var detection = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(detection, Client, six);
        _parts.Ndp["eth1"].Deliver(detection);
        Assert.True(NeighborMessage.TryParse(await _parts.Ndp["eth1"].NextAsync(), out var defence));
        Assert.Equal((six, MacAddress.Parse("33:33:00:00:00:01")), (defence.Target, defence.DestinationMac));

        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?>());
        while (_parts.Groups["eth0"].Addresses.Count > 0)
            await Task.Yield();
        await stop.CancelAsync();
        await running;
        Assert.All(_parts.Ndp.Values, static channel => Assert.True(channel.IsDisposed));
    }

    [Fact]
    public async Task A_responder_takes_in_a_frame_and_answers_it_without_allocating()
    {
        var six = IPv6Address.Parse("fd20::1:2:3");
        var end = _parts.Time.GetUtcNow().AddDays(1);
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = end, [six] = end });
        var link = new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02"));
        foreach (var (protocol, frame) in new (INeighborProtocol, byte[])[] { (ArpProtocol.Instance, Request(Ip)), (NdpProtocol.Instance, NdpRulesTests.Solicitation(six)) })
        {
            await using var responder = new Responder(protocol, new FakeChannel(link), _parts.Context, NullLogger.Instance);
            var answer = new byte[protocol.FrameLength];
            int answered = 0;
            long allocated = Allocations.LeastOf(() =>
            {
                for (int i = 0; i < 10_000; i++)
                    answered += responder.Handle(frame, answer).AnswerLength > 0 ? 1 : 0;
            });
            Assert.Equal(50_000, answered);
            Assert.InRange(allocated, 0, 1000);
        }
        Assert.Equal(Client, _parts.Table.Snapshot[Ip].Traffic.LastAsker);
        Assert.Equal(_parts.Time.GetUtcNow(), _parts.Table.Snapshot[Ip].Traffic.LastAsked);
    }

    private static Regex Excluded(string pattern) => SpeakerCommand.Pattern(pattern);

    private static InterfaceState State(string name, int index = 2) =>
        new(new LinkInfo(index, name, new MacAddress(0x020000000000u + (ulong)index)), true, true, true, false) { HasCarrier = true };

    private static byte[] Request(IPv4Address target, string from = "02:00:00:00:00:99")
    {
        var frame = new byte[ArpPacket.FrameLength];
        var sender = MacAddress.Parse(from);
        new ArpPacket(ArpOperation.Request, sender, IPv4Address.Parse("10.0.0.99"), default, target).Write(frame, sender, MacAddress.Broadcast);
        return frame;
    }

    private static (ArpOperation Operation, IPv4Address Sender, MacAddress To) Read(byte[] frame)
    {
        Assert.True(ArpPacket.TryParse(frame, out var destination, out var packet));
        return (packet.Operation, packet.SenderAddress, destination);
    }

    private async Task WaitForChannelsAsync(int count)
    {
        while (_parts.Announcer.InterfaceCount < count)
            await Task.Yield();
    }

    /// <summary>Completes when a frame with a verdict was counted.</summary>
    private sealed class FrameCount : IDisposable
    {
        private readonly System.Diagnostics.Metrics.MeterListener _listener = new();
        private readonly TaskCompletionSource _seen = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public FrameCount(object scope, string verdict)
        {
            _listener.InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Scope == scope && instrument.Name == "dynamiclb_layer2_frames_total")
                    listener.EnableMeasurementEvents(instrument);
            };
            _listener.SetMeasurementEventCallback<long>((_, _, tags, _) =>
            {
                if (tags.Length == 1 && verdict.Equals(tags[0].Value))
                    _seen.TrySetResult();
            });
            _listener.Start();
        }

        public Task Seen => _seen.Task.WaitAsync(TimeSpan.FromMinutes(1), TimeProvider.System);

        public void Dispose() => _listener.Dispose();
    }
}
