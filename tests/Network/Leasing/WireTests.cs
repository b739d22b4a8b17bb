using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>What the frames look like, ours and those of real servers.</summary>
public sealed class WireTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("dnsmasq")]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("udhcpd")]
    public async Task Case01_on_the_wire_the_REQUEST_repeats_the_DISCOVER_and_all_is_padded(string kind)
    {
        await using var lab = await AddressLab.StartAsync(kind);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await capture.FirstAsync(DhcpMessageType.Ack);
        var frames = capture.Frames();
        var discover = Assert.Single(frames, f => f.Type == DhcpMessageType.Discover);
        var request = Assert.Single(frames, f => f.Type == DhcpMessageType.Request);
        var ours = new[] { discover, request };

        Assert.Equal(discover.Message.TransactionId, request.Message.TransactionId);
        Assert.Equal(discover.Message.Seconds, request.Message.Seconds);
        Assert.Equal(discover.Message.HardwareAddress, request.Message.HardwareAddress);
        Assert.Equal(Option(discover, DhcpOptionCode.ClientId), Option(request, DhcpOptionCode.ClientId));
        Assert.Equal(Option(discover, DhcpOptionCode.HostName), Option(request, DhcpOptionCode.HostName));
        Assert.True(request.Message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var wanted));
        Assert.True(request.Message.Options.TryGetAddress(DhcpOptionCode.ServerId, out var server));
        Assert.Equal((answer.Ip, "10.20.0.1"), (wanted.ToString(), server.ToString()));
        Assert.False(discover.Message.Options.TryGet(DhcpOptionCode.ServerId, out _));
        Assert.All(ours, f => Assert.InRange(f.Length, 300, 576));
        Assert.All(ours, f => Assert.Equal((MacAddress.Broadcast, IPv4Address.Any, IPv4Address.Broadcast, true), (f.Destination, f.SourceAddress, f.DestinationAddress, f.ChecksumIsRight)));
    }

    [Theory]
    [InlineData("nic")]
    [InlineData("chaddr")]
    public async Task Case34_Kea_answers_to_the_MAC_that_it_was_asked_from_and_the_answer_is_received(string transport)
    {
        await using var lab = await AddressLab.StartAsync("kea", null, "--transport", transport);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await capture.FirstAsync(DhcpMessageType.Ack);
        var discover = capture.Frames().First(f => f.Type == DhcpMessageType.Discover);
        var offer = capture.Frames().First(f => f.Type == DhcpMessageType.Offer);
        Assert.True(discover.Message.Broadcast);
        Assert.Equal(transport == "nic" ? await lab.Network["node1"].MacAsync(Cancelled) : answer.Mac, discover.Source.ToString(), ignoreCase: true);
        // By the broadcast flag it should be a broadcast frame; it is one only on the IP layer.
        Assert.Equal((discover.Source, IPv4Address.Broadcast), (offer.Destination, offer.DestinationAddress));
    }

    [Theory]
    [InlineData("nic")]
    [InlineData("chaddr")]
    public async Task Case39_answers_whose_checksum_the_sender_left_to_its_card_are_received(string transport)
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq", null, "--transport", transport);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await capture.FirstAsync(DhcpMessageType.Ack);
        Assert.All(capture.Frames().Where(f => f.Type is DhcpMessageType.Offer or DhcpMessageType.Ack), f => Assert.False(f.ChecksumIsRight));
        Assert.NotNull(await Wait.ForAsync(() => lab.Server.LeaseOfAsync(answer.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled));
    }

    [Fact]
    public async Task Case20_an_ACK_with_another_servers_identifier_is_not_taken()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        var rogue = await lab.Network.AddHostAsync("rogue", 66, Cancelled);
        await lab.StartRogueAsync(rogue);

        for (int i = 0; i < 10; i++)
        {
            var answer = await lab.Service.AcquireAsync($"demo/s{i}", Cancelled);
            Assert.Equal("10.20.0.1", answer.Server);
            Assert.NotEqual("10.20.0.99", answer.Ip);
        }
        // Each REQUEST got one, sooner or later.
        await Wait.UntilAsync(
            () => Task.FromResult(capture.Frames().Where(static f => f.Type == DhcpMessageType.Ack && f.SourceAddress.ToString() == "10.20.0.66")
                .DistinctBy(static f => f.Message.TransactionId).Count() == 10),
            TimeSpan.FromSeconds(60), "ten forged ACKs", Cancelled);
        Assert.All((await lab.Service.StatusAsync(Cancelled)).Allocations, l => Assert.Equal(("10.20.0.1", "bound"), (l.Server, l.State)));
    }

    [Theory]
    [InlineData("isc", "dnsmasq")]
    [InlineData("udhcpd", "kea")]
    public async Task Case19_the_other_servers_NAKs_in_REBINDING_do_not_count(string first, string second)
    {
        await using var lab = await AddressLab.StartAsync(first, new DhcpServerOptions { First = 100, Last = 149, Lease = TimeSpan.FromSeconds(40) });
        var answer = await lab.Service.AcquireAsync("demo/web", Cancelled);
        var other = await lab.Network.AddHostAsync("router2", 2, Cancelled);
        await lab.AddServerAsync(second, other, new DhcpServerOptions { First = 150, Last = 199, Name = "dhcp2" });
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        // It neither answers nor forgets.
        lab.Server.Signal("STOP");
        await lab.WaitForLeaseAsync("demo/web", l => l.State == "rebinding", 60, "REBINDING");
        await Wait.UntilAsync(
            () => Task.FromResult(capture.Frames().Any(f => f.Type == DhcpMessageType.Nak && f.SourceAddress.ToString() == "10.20.0.2")), TimeSpan.FromSeconds(60), "a foreign NAK", Cancelled);
        Assert.Equal("rebinding", (await lab.LeaseAsync("demo/web"))!.State);
        lab.Server.Signal("CONT");
        var lease = await lab.WaitForLeaseAsync("demo/web", l => l.State == "bound", 60, "the ACK");
        Assert.Equal((answer.Ip, "10.20.0.1"), (lease.Ip, lease.Server));
        Assert.Equal(0, capture.Count(DhcpMessageType.Discover));
    }

    private static string Option(DhcpFrameSeen frame, DhcpOptionCode code) =>
        frame.Message.Options.TryGet(code, out var value) ? Convert.ToHexString(value) : "";
}
