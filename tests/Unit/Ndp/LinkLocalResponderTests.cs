using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Tests.Unit.Dhcp6;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Ndp;

/// <summary>IPv6 on a VLAN by its tag, where the kernel has no address.</summary>
public sealed class LinkLocalResponderTests
{
    private const ushort Vlan = 100;
    private static readonly MacAddress Other = MacAddress.Parse("02:00:00:00:00:01");

    // Of the fake channel's MAC, 02:00:00:00:00:07.
    private static readonly IPv6Address Own = IPv6Address.Parse("fe80::ff:fe00:7");

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public void A_link_local_address_follows_from_the_hardware_address()
    {
        Assert.Equal(Own, IPv6Address.LinkLocalOf(MacAddress.Parse("02:00:00:00:00:07")));
        Assert.Equal("fe80::5074:f2ff:feb1:a87f", IPv6Address.LinkLocalOf(MacAddress.Parse("52:74:f2:b1:a8:7f")).ToString());
    }

    [Fact]
    public async Task A_server_that_asks_for_the_address_on_the_VLAN_is_answered_by_unicast_with_the_tag()
    {
        var server = IPv6Address.Parse("fe80::1");
        var answer = await AnswerAsync(Solicitation(server, Own));
        Assert.Equal(86 + 4, answer.Length);
        Assert.Equal("020000000001" + "020000000007" + "81000064" + "86dd", Convert.ToHexStringLower(answer.AsSpan(0, 18)));
        var untagged = Untag(answer);
        Assert.True(NeighborMessage.TryParse(untagged, out var message));
        Assert.Equal(new NeighborMessage(NeighborMessageType.Advertisement, MacAddress.Parse("02:00:00:00:00:07"), Own, Own), message with { DestinationMac = default, AnswerTo = default });
        Assert.Equal(server, IPv6Address.Read(untagged.AsSpan(38)));
        // Solicited, override; the target's hardware address.
        Assert.Equal("60", Convert.ToHexStringLower(untagged.AsSpan(58, 1)));
        Assert.Equal("0201020000000007", Convert.ToHexStringLower(untagged.AsSpan(78)));
    }

    [Fact]
    public async Task Who_is_about_to_take_the_address_itself_is_told_with_all_nodes()
    {
        var asked = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(asked, Other, Own);
        var untagged = Untag(await AnswerAsync(asked));
        Assert.Equal("333300000001", Convert.ToHexStringLower(untagged.AsSpan(0, 6)));
        Assert.True(NeighborMessage.TryParse(untagged, out var message));
        Assert.Equal(Own, message.Target);
    }

    [Fact]
    public async Task Other_addresses_our_own_solicitations_and_what_is_malformed_are_not_answered()
    {
        var link = new FakeLinkChannel();
        await using var responder = new LinkLocalResponder(link, new FakeTime());
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var running = responder.RunAsync(stop.Token);
        link.Arrive(Solicitation(IPv6Address.Parse("fe80::1"), IPv6Address.Parse("fe80::ff:fe00:8")));
        var ours = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(ours, link.Link.Mac, Own);
        link.Arrive(ours);
        var broken = Solicitation(IPv6Address.Parse("fe80::1"), Own);
        broken[57] ^= 1;
        link.Arrive(broken);
        link.Arrive([]);
        // The last one is: when its answer is there, the others have none.
        var last = IPv6Address.Parse("fe80::2");
        link.Arrive(Solicitation(last, Own));
        while (link.Sent.Count == 0)
            await Task.Yield();
        await stop.CancelAsync();
        await running;
        Assert.Equal(last, IPv6Address.Read(Assert.Single(link.Sent).AsSpan(38)));
    }

    [Fact]
    public async Task DHCPv6_and_duplicate_address_detection_send_with_the_tag_from_that_address()
    {
        var link = new FakeLinkChannel();
        await using var transport = new PacketDhcp6Transport(new TaggedLinkChannel(link, Vlan), new FakeTime(), _ => IPv6Address.LinkLocalOf(link.Link.Mac));
        await transport.SendAsync(
            new Dhcp6Message { Type = Dhcp6MessageType.Solicit, TransactionId = 1, ClientId = Dhcp6Lab.Duid, ElapsedTime = 0, Associations = [new Dhcp6Association(1, 0, 0, [])] }, Cancelled);
        var sent = link.Sent.Single();
        Assert.Equal("81000064" + "86dd", Convert.ToHexStringLower(sent.AsSpan(12, 6)));
        Assert.Equal(Own, IPv6Address.Read(sent.AsSpan(26)));

        var time = new FakeTime();
        await using var detector = new DuplicateAddressDetector(new TaggedLinkChannel(link, Vlan), time, joinGroups: false);
        var candidate = IPv6Address.Parse("fd77::1:0");
        var probing = detector.ProbeAsync(candidate, TimeSpan.FromSeconds(1), Cancelled);
        Assert.Equal("81000064" + "86dd", Convert.ToHexStringLower(link.Sent[1].AsSpan(12, 6)));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var running = detector.RunAsync(null, stop.Token);
        // The kernel's filter lets frames of this VLAN alone through, without their tag.
        var rival = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(rival, Other, candidate);
        link.Arrive(rival);
        Assert.Equal(Other, await probing);
        await stop.CancelAsync();
        await running;
    }

    private static async Task<byte[]> AnswerAsync(byte[] asked)
    {
        var link = new FakeLinkChannel();
        await using var responder = new LinkLocalResponder(new TaggedLinkChannel(link, Vlan), new FakeTime());
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        var running = responder.RunAsync(stop.Token);
        link.Arrive(asked);
        while (link.Sent.Count == 0)
        {
            Cancelled.ThrowIfCancellationRequested();
            await Task.Yield();
        }
        await stop.CancelAsync();
        await running;
        return Assert.Single(link.Sent);
    }

    private static byte[] Untag(byte[] frame) => [.. frame.AsSpan(0, 12), .. frame.AsSpan(16)];

    private static byte[] Solicitation(IPv6Address source, IPv6Address target)
    {
        var frame = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(frame, Other, target);
        source.Write(frame.AsSpan(22));
        frame.AsSpan(56, 2).Clear();
        ushort checksum = InternetChecksum.OfIPv6(frame.AsSpan(22, 32), 58, frame.AsSpan(54));
        (frame[56], frame[57]) = ((byte)(checksum >> 8), (byte)checksum);
        return frame;
    }
}
