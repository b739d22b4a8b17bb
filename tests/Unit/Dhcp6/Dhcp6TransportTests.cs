using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Networking.Netlink;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp6;

public sealed class Dhcp6TransportTests
{
    private static readonly IPv6Address Own = IPv6Address.Parse("fe80::7");
    private static readonly Dhcp6RelayHeader Header = new(IPv6Address.Parse("fd77::1"), Own, "vlan7"u8.ToArray());

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_message_leaves_from_the_link_local_address_to_all_servers_with_a_right_checksum()
    {
        var link = new FakeLinkChannel();
        await using var transport = new PacketDhcp6Transport(link, new FakeTime(), index => index == 7 ? Own : null);
        var message = Question();
        await transport.SendAsync(message, Cancelled);
        var frame = Assert.Single(link.Sent);
        Assert.Equal("333300010002" + "020000000007" + "86dd", Convert.ToHexStringLower(frame.AsSpan(0, 14)));
        Assert.Equal("fe800000000000000000000000000007" + "ff020000000000000000000000010002", Convert.ToHexStringLower(frame.AsSpan(22, 32)));
        Assert.Equal("02220223", Convert.ToHexStringLower(frame.AsSpan(54, 4)));
        Assert.Equal(0, InternetChecksum.OfIPv6(frame.AsSpan(22, 32), 17, frame.AsSpan(54)));
        Assert.True(Dhcp6Message.TryParse(frame.AsSpan(62), out var seen, out _));
        Assert.Equal((message.Type, message.TransactionId), (seen.Type, seen.TransactionId));
    }

    [Fact]
    public async Task Without_a_link_local_address_nothing_leaves_until_there_is_one()
    {
        var link = new FakeLinkChannel();
        IPv6Address? own = null;
        await using var transport = new PacketDhcp6Transport(link, new FakeTime(), _ => own);
        await transport.SendAsync(Question(), Cancelled);
        Assert.Equal((0, 1), (link.Sent.Count, transport.SendFaults));
        own = Own;
        await transport.SendAsync(Question(), Cancelled);
        Assert.Single(link.Sent);
    }

    [Fact]
    public void A_frame_cut_anywhere_or_of_another_kind_is_dropped()
    {
        var frame = Answer();
        Assert.Equal(Dhcp6DropReason.None, Dhcp6Frame.TryRead(frame, out _, out var source));
        Assert.Equal(Own, source);
        for (int length = 0; length < frame.Length; length++)
            Assert.NotEqual(Dhcp6DropReason.None, Dhcp6Frame.TryRead(frame.AsSpan(0, length), out _, out _));
        foreach (var (offset, value) in new[] { (12, 0x08), (14, 0x45), (19, 7), (20, 44), (57, 0x23), (59, 7), (59, 0xff) })
        {
            var other = Answer();
            other[offset] = (byte)value;
            Assert.Equal(Dhcp6DropReason.BadHeader, Dhcp6Frame.TryRead(other, out _, out _));
        }
    }

    [Fact]
    public void A_relayed_message_bears_link_peer_and_interface_and_its_answer_is_unwrapped()
    {
        var message = Question();
        var bytes = new byte[Dhcp6RelayMessage.ForwardLength(Header, message)];
        Assert.Equal(bytes.Length, Dhcp6RelayMessage.WriteForward(bytes, Header, message));
        Assert.Equal("0c00" + "fd770000000000000000000000000001" + "fe800000000000000000000000000007" + "00120005" + "766c616e37" + "0009", Convert.ToHexStringLower(bytes.AsSpan(0, 45)));
        bytes[0] = 13;
        Assert.True(Dhcp6RelayMessage.TryParseReply(bytes, out var header, out var seen, out _));
        Assert.Equal(Header, header);
        Assert.Equal(message.TransactionId, seen.TransactionId);
    }

    [Fact]
    public void A_relayed_answer_cut_anywhere_or_with_two_messages_is_dropped()
    {
        var bytes = new byte[Dhcp6RelayMessage.ForwardLength(Header, Question())];
        Dhcp6RelayMessage.WriteForward(bytes, Header, Question());
        Assert.False(Dhcp6RelayMessage.TryParseReply(bytes, out _, out _, out var reason));
        Assert.Equal(Dhcp6DropReason.UnexpectedMessageType, reason);
        bytes[0] = 13;
        for (int length = 0; length < bytes.Length; length++)
            Assert.False(Dhcp6RelayMessage.TryParseReply(bytes.AsSpan(0, length), out _, out _, out _));
        Assert.False(Dhcp6RelayMessage.TryParseReply([.. bytes, .. bytes.AsSpan(43)], out _, out _, out reason));
        Assert.Equal(Dhcp6DropReason.MalformedOptions, reason);
    }

    [Fact]
    public void Addresses_are_read_as_the_kernel_lists_them()
    {
        var read = LocalIPv6Addresses.Parse([
            "fe800000000000000042acfffe110002 02 40 20 80     eth0",
            "fd770000000000000000000000000002 0a 40 00 c0     eth1",
            "fe80000000000000000000000000000b 0b 40 20 48     eth2",
            "nonsense", ""]);
        Assert.Equal(3, read.Count);
        Assert.Equal(new LocalIPv6Address(IPv6Address.Parse("fe80::42:acff:fe11:2"), 2, 64, true), read[0]);
        Assert.Equal((10, false), (read[1].InterfaceIndex, read[1].IsUsable));
        Assert.False(read[2].IsUsable);
    }

    private static Dhcp6Message Question() => new()
    {
        Type = Dhcp6MessageType.Solicit,
        TransactionId = 0x123456,
        ClientId = Dhcp6Lab.Duid,
        ElapsedTime = 0,
        Associations = [new Dhcp6Association(1, 0, 0, [])],
    };

    private static byte[] Answer()
    {
        var frame = new byte[Dhcp6Frame.HeadersLength + Question().EncodedLength];
        Dhcp6Frame.Write(frame, MacAddress.Parse("02:00:00:00:00:01"), Own, Question());
        // From the server's port to the client's.
        (frame[55], frame[57]) = (frame[57], frame[55]);
        return frame;
    }
}
