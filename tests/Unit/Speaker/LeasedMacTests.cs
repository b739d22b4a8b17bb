using System.Collections.Frozen;
using System.Globalization;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Kubernetes;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Addresses that are announced with the MAC of their lease.</summary>
public sealed class LeasedMacTests
{
    private const string Yaml = "address-services: [{name: dhcp, protocol: layer2, url: http://x, announced-mac: lease}]";
    private static readonly IPv4Address Ip = IPv4Address.Parse("10.0.0.1");
    private static readonly MacAddress Leased = MacAddress.Parse("02:4c:42:00:00:01");
    private static readonly MacAddress Own = MacAddress.Parse("02:00:00:00:00:0a");
    private static readonly MacAddress Client = MacAddress.Parse("02:00:00:00:00:99");
    private readonly SpeakerParts _parts = new();

    [Fact]
    public async Task Neighbours_hear_of_the_leased_MAC_once_the_kernel_uses_it()
    {
        using var stop = new CancellationTokenSource();
        _parts.Links.Set(Eth0);
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(Eth0);
        Announce(Leased.ToString());

        var eth0 = await ChannelAsync();
        Assert.Equal((Leased, Leased), Senders(await eth0.NextAsync()));
        Assert.Equal((Leased, Leased), Senders(await eth0.NextAsync()));
        Assert.Equal(Leased, Assert.Single(_parts.Macs.Applied!, static entry => entry.Key == Ip).Value);
        Assert.Equal("eth0", Assert.Single(_parts.Macs.Interfaces));
        Assert.Contains(Leased, eth0.Joined);

        // Who knows it asks for it there; who does not, everybody.
        foreach (var destination in new[] { Leased, MacAddress.Broadcast })
        {
            eth0.Deliver(Request(destination));
            Assert.Equal((Leased, Leased), Senders(await eth0.NextAsync()));
        }

        Silence();
        while (_parts.Macs.Applied is not { Count: 0 } || eth0.Joined.Count > 0)
            await Task.Yield();
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_renewal_from_the_leased_MAC_elsewhere_is_followed_by_a_gratuitous_packet()
    {
        using var stop = new CancellationTokenSource();
        _parts.Links.Set(Eth0);
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(Eth0);
        Announce(Leased.ToString());
        var eth0 = await ChannelAsync();
        await AllRoundsAsync(eth0);

        foreach (var source in new[] { Client, Leased })
        {
            var frame = new byte[64];
            MacAddress.Broadcast.Write(frame);
            source.Write(frame.AsSpan(MacAddress.Length));
            _parts.Dhcp["eth0"].Deliver(frame);
        }
        Assert.Equal((Leased, Leased), Senders(await NextAsync(eth0)));
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public void Without_the_kernel_nothing_is_answered()
    {
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null }, macs: new Dictionary<HostAddress, MacAddress> { [Ip] = Leased });
        var responder = new Responder(ArpProtocol.Instance, new FakeChannel(Eth0.Link), _parts.Context, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);
        Assert.Null(responder.Handle(Request(MacAddress.Broadcast), new byte[ArpPacket.FrameLength]).Item);

        InPlace("eth0");
        Assert.NotNull(responder.Handle(Request(MacAddress.Broadcast), new byte[ArpPacket.FrameLength]).Item);
        Assert.Null(responder.Handle(Request(Client), new byte[ArpPacket.FrameLength]).Item);
        InPlace("eth1");
        Assert.Null(responder.Handle(Request(MacAddress.Broadcast), new byte[ArpPacket.FrameLength]).Item);

        void InPlace(string link) => _parts.Context.MacsInPlace = new Dictionary<IPv4Address, MacInPlace> { [Ip] = new(Leased, new[] { link }.ToFrozenSet()) }.ToFrozenDictionary();
    }

    [Fact]
    public async Task A_node_that_comes_to_be_able_announces_and_tells_neighbours()
    {
        using var stop = new CancellationTokenSource();
        _parts.Macs.Fault = "another process owns the table";
        _parts.Links.Set(Eth0);
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(Eth0);
        Announce(Leased.ToString());
        Assert.Empty(_parts.Table.Snapshot);
        var eth0 = await ChannelAsync();

        _parts.Macs.Fault = null;
        await Eventually.TrueAsync(() => Works().Count == 1, Tick);
        Assert.Equal((Leased, Leased), Senders(await NextAsync(eth0)));

        // And the other way round, such as when the kernel's answer did not come and the table is another's now.
        _parts.Macs.Fault = "another process owns the table";
        _parts.Links.Set(Eth0);
        await Eventually.TrueAsync(() => Works().Count == 0, Tick);
        await stop.CancelAsync();
        await running;

        System.Collections.Frozen.FrozenDictionary<HostAddress, Announced> Works()
        {
            _parts.Reconciler.Work();
            return _parts.Table.Snapshot;
        }
    }

    [Fact]
    public async Task Neighbours_are_told_when_the_kernel_uses_the_MAC_after_the_rounds_are_over()
    {
        using var stop = new CancellationTokenSource();
        _parts.Macs.Refuses = true;
        _parts.DhcpFaults = 1;
        _parts.Links.Set(Eth0);
        var running = _parts.Announcer.RunAsync(stop.Token);
        _parts.Links.Set(Eth0);
        Announce(Leased.ToString());
        var eth0 = await ChannelAsync();
        var end = _parts.Time.Elapsed + (GratuitousSchedule.RoundEvery * (2 * GratuitousSchedule.Rounds));
        await Eventually.TrueAsync(() => _parts.Time.Elapsed >= end, Tick);
        Assert.Empty(_parts.Context.MacsInPlace);

        _parts.Macs.Refuses = false;
        Assert.Equal((Leased, Leased), Senders(await NextAsync(eth0)));
        // Whose socket could not be opened at first.
        Assert.Contains("eth0", _parts.Dhcp.Keys);
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task What_comes_back_by_another_interface_on_the_same_LAN_is_no_claim_and_that_of_another_speaker_is()
    {
        _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null }, macs: new Dictionary<HostAddress, MacAddress> { [Ip] = Leased });
        int claims = 0;
        _parts.Context.Claimed = (_, _) => claims++;
        var eth1 = Eth0.Link with { Index = 3, Name = "eth1" };
        var (one, other) = (ResponderOn(Eth0.Link), ResponderOn(eth1));
        var gratuitous = new byte[ArpPacket.FrameLength];
        ArpRules.WriteGratuitous(gratuitous, ArpOperation.Request, Ip, Leased);
        var asking = new byte[ArpPacket.FrameLength];
        new ArpPacket(ArpOperation.Request, Leased, Ip, MacAddress.Zero, IPv4Address.Parse("10.0.0.9")).Write(asking, Leased, MacAddress.Broadcast);
        InPlace("eth0", "eth1");

        await one.SendGratuitousAsync(_parts.Table.Snapshot[Ip], CancellationToken.None);
        _parts.Time.Advance(TimeSpan.FromMilliseconds(100));
        Hear(gratuitous, asking);
        Assert.Equal(0, claims);

        // Told by somebody else; and our own kernel's questions are as much as to say that we use it.
        _parts.Time.Advance(Responder.EchoTime);
        Hear(gratuitous, asking);
        Assert.Equal(1, claims);

        // By its only interface nothing comes back.
        InPlace("eth1");
        await other.SendGratuitousAsync(_parts.Table.Snapshot[Ip], CancellationToken.None);
        Hear(gratuitous);
        Assert.Equal(2, claims);

        void Hear(params byte[][] frames)
        {
            foreach (var frame in frames)
                other.Handle(frame, new byte[ArpPacket.FrameLength]);
        }

        Responder ResponderOn(LinkInfo link) => new(ArpProtocol.Instance, new FakeChannel(link), _parts.Context, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance);

        void InPlace(params string[] links) => _parts.Context.MacsInPlace = new Dictionary<IPv4Address, MacInPlace> { [Ip] = new(Leased, links.ToFrozenSet()) }.ToFrozenDictionary();
    }

    [Theory]
    [InlineData("10.0.0.5/24", "10.9.0.5/24", "eth0")]
    [InlineData("10.0.0.5/24", "10.0.0.6/24", "eth0 eth1")]
    [InlineData("10.8.0.5/24", "10.9.0.5/24", "eth0 eth1")]
    [InlineData(null, null, "eth0 eth1")]
    [InlineData("10.0.0.5/24", "10.0.0.1/32", "eth0")]
    public void Only_ports_on_the_network_of_the_address_see_its_MAC(string? eth0, string? eth1, string expected)
    {
        var states = new[] { On("eth0", eth0), On("eth1", eth1) };
        var item = new Announced(Ip, null, long.MaxValue, "") { Mac = Leased };
        Assert.Equal(expected.Split(' '), Layer2Announcer.LinksFor(item, states));
        Assert.Equal(["eth1"], Layer2Announcer.LinksFor(item with { Interfaces = new HashSet<string> { "eth1" } }, states));

        static InterfaceState On(string name, string? network) => Eth0 with
        {
            Link = Eth0.Link with { Name = name },
            Addresses = network is null ? [] : [new InterfaceAddress(IPv4Address.Parse(network[..^3]), int.Parse(network[^2..], CultureInfo.InvariantCulture))],
        };
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("ff:ff:ff:ff:ff:ff")]
    [InlineData("00:00:00:00:00:00")]
    public void An_address_without_a_MAC_of_its_lease_is_not_announced_and_that_is_told(string? mac)
    {
        Announce(mac);

        Assert.Empty(_parts.Table.Snapshot);
        Assert.Equal(["web announceFailed"], _parts.Events.Told);
        Announce(Leased.ToString());
        Assert.Equal(Leased, _parts.Table.Snapshot[Ip].Mac);
    }

    [Fact]
    public void A_node_that_cannot_do_it_says_why()
    {
        _parts.Macs.Fault = "the capability NET_ADMIN is needed";
        Announce(Leased.ToString());

        Assert.Empty(_parts.Table.Snapshot);
        Assert.Equal(["web announceFailed"], _parts.Events.Told);
        Assert.Equal("the capability NET_ADMIN is needed", _parts.Reconciler.DecisionOf(new NamespacedName("demo", "web"))!.Detail);
    }

    [Fact]
    public void Another_MAC_is_told_anew_and_by_default_that_of_the_node_is_used()
    {
        Announce(Leased.ToString());
        Assert.Empty(_parts.Table.Replace(Wanted, macs: Macs(Leased)));
        Assert.Equal([Ip], _parts.Table.Replace(Wanted, macs: Macs(Client)));
        Assert.Equal([Ip], _parts.Table.Replace(Wanted));

        Announce(Leased.ToString(), Yaml.Replace(", announced-mac: lease", "", StringComparison.Ordinal));
        Assert.Null(_parts.Table.Snapshot[Ip].Mac);
    }

    [Fact]
    public void Another_speaker_with_the_same_MAC_is_no_conflict()
    {
        Announce(Leased.ToString());
        for (int i = 0; i < 10; i++)
        {
            _parts.Claim(Ip, Leased);
            _parts.Reconciler.Work();
            _parts.Time.Advance(TimeSpan.FromSeconds(1));
        }
        Assert.Empty(_parts.Conditions);
    }

    private void Tick() => _parts.Time.Advance(TimeSpan.FromMilliseconds(50));

    private static InterfaceState Eth0 => new(new LinkInfo(2, "eth0", Own), true, true, true, false) { HasCarrier = true };

    private static Dictionary<HostAddress, DateTimeOffset?> Wanted => new() { [Ip] = null };

    private static Dictionary<HostAddress, MacAddress> Macs(MacAddress mac) => new() { [Ip] = mac };

    private void Announce(string? mac, string yaml = Yaml)
    {
        var annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "dhcp" };
        if (mac is not null)
            annotations[Annotations.LeaseMacs] = $"{Ip}={mac}";
        _parts.Slices.Set(new EndpointSlice
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = "web-1", Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = "web" } },
            Endpoints = [new Endpoint { Addresses = ["10.1.0.1"] }],
        });
        _parts.Services.Set(new Service
        {
            Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = annotations },
            Spec = new ServiceSpec { Type = "LoadBalancer" },
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = Ip.ToString() }] } },
        });
        _parts.Configure(yaml);
        _parts.Reconciler.Work();
    }

    /// <summary>The next frame that tells of the address, while time passes.</summary>
    private async Task<byte[]> NextAsync(FakeChannel channel)
    {
        while (true)
        {
            var next = channel.NextAsync();
            while (!next.IsCompleted)
            {
                _parts.Time.Advance(TimeSpan.FromMilliseconds(20));
                await Task.Yield();
            }
            var frame = await next;
            if (ArpPacket.TryParse(frame, out _, out var packet) && packet.SenderAddress == Ip)
                return frame;
        }
    }

    /// <summary>Lets the first announcement come to its end. How many frames that takes depends on what the announcer knew when it began.</summary>
    private async Task AllRoundsAsync(FakeChannel channel)
    {
        // Time stands still until the kernel uses the MAC: rounds before that are of no use to anybody.
        await channel.NextAsync();
        bool told = true;
        for (uint i = 0; told; i++)
        {
            told = false;
            _parts.Time.Advance(GratuitousSchedule.RoundEvery);
            // What is due is sent before an address is asked for: a round that is left has been seen when the question is.
            var sought = new IPv4Address(IPv4Address.Parse("10.0.9.0").Value + i);
            _parts.Announcer.Probe(sought, null, TimeSpan.Zero);
            while (true)
            {
                Assert.True(ArpPacket.TryParse(await channel.NextAsync(), out _, out var packet));
                if (packet.TargetAddress == sought)
                    break;
                told |= packet.SenderAddress == Ip;
            }
        }
    }

    private void Silence()
    {
        _parts.Services.Remove(_parts.Services.Items.Single());
        _parts.Reconciler.Work();
    }

    private async Task<FakeChannel> ChannelAsync()
    {
        while (_parts.Announcer.InterfaceCount == 0)
            await Task.Yield();
        return _parts.Channels["eth0"];
    }

    private static byte[] Request(MacAddress destination)
    {
        var frame = new byte[ArpPacket.FrameLength];
        new ArpPacket(ArpOperation.Request, Client, IPv4Address.Parse("10.0.0.9"), MacAddress.Zero, Ip).Write(frame, Client, destination);
        return frame;
    }

    /// <summary>Who sent a frame: by its header, and by what it says.</summary>
    private static (MacAddress Frame, MacAddress Arp) Senders(byte[] frame)
    {
        Assert.True(ArpPacket.TryParse(frame, out _, out var packet));
        Assert.Equal(Ip, packet.SenderAddress);
        return (MacAddress.Read(frame.AsSpan(6)), packet.SenderMac);
    }
}
