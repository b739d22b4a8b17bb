using System.Buffers.Binary;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.Tests.Unit.Netlink;

public sealed class RouteMessagesTests
{
    private const uint Up = 0x1, Broadcast = 0x2, Running = 0x40, NoArp = 0x80;
    private readonly RouteTables _tables = new();

    [Fact]
    public void Links_are_read_with_their_flags_and_master()
    {
        byte[] datagram =
        [
            .. Link(2, "eth0", Up | Broadcast | Running), .. Link(3, "eth1", Broadcast, master: 9), .. Link(4, "wg0", Up | NoArp), .. Message(3, 0, []),
        ];

        Assert.Equal(DumpProgress.Done, Read(datagram));
        Assert.Equal(["eth0", "eth1", "wg0"], Links.Select(static link => link.Link.Name));
        Assert.True(Links[0] is { IsUp: true, IsBroadcast: true, UsesArp: true, IsEnslaved: false, HasCarrier: true });
        Assert.True(Links[1] is { IsUp: false, IsEnslaved: true, HasCarrier: false });
        Assert.True(Links[2] is { UsesArp: false, IsBroadcast: false });
        Assert.Equal(MacAddress.Parse("02:00:00:00:00:02"), Links[0].Link.Mac);
    }

    [Fact]
    public void What_is_no_ethernet_or_has_no_address_is_left_out()
    {
        byte[] datagram = [.. Link(1, "lo", Up, type: 772), .. Link(5, "tun0", Up, type: 65534), .. Link(6, "odd", Up, mac: "00:00:00:00:00:00")];

        Assert.Equal(DumpProgress.Continues, Read(datagram));
        Assert.Empty(Links);
    }

    [Fact]
    public void Addresses_prefer_the_local_one_to_the_peer()
    {
        byte[] body = [2, 24, 0, 0, 2, 0, 0, 0, .. Attribute(1, [10, 0, 0, 9]), .. Attribute(2, [10, 0, 0, 1])];
        Read([.. Link(2, "eth0", Up), .. Message(20, 0, body), .. Message(20, 0, [2, 33, 0, 0, 2, 0, 0, 0, .. Attribute(2, [10, 0, 0, 2])])]);

        Assert.Equal([new InterfaceAddress(IPv4Address.Parse("10.0.0.1"), 24)], Links[0].Addresses);
    }

    [Fact]
    public void Networks_of_IPv6_are_read_once_with_the_prefix_of_the_peer()
    {
        var (first, second, peer) = (IPv6Bytes("2001:db8::1"), IPv6Bytes("2001:db8::2"), IPv6Bytes("2001:db8:1::9"));
        Read(
        [
            .. Link(2, "eth0", Up), .. Message(20, 0, [10, 64, 0, 0, 2, 0, 0, 0, .. Attribute(1, first)]), .. Message(20, 0, [10, 64, 0, 0, 2, 0, 0, 0, .. Attribute(1, second)]),
            .. Message(20, 0, [10, 127, 0, 0, 2, 0, 0, 0, .. Attribute(2, first), .. Attribute(1, peer)]), .. Message(20, 0, [10, 129, 0, 0, 2, 0, 0, 0, .. Attribute(1, first)]),
            .. Message(20, 0, [10, 64, 0, 0, 2, 0, 0, 0, .. Attribute(1, [10, 0, 0, 1])]),
        ]);

        Assert.Equal([IPv6Network.Parse("2001:db8::/64"), IPv6Network.Parse("2001:db8:1::8/127")], Links[0].IPv6Networks);
        Assert.Empty(Links[0].Addresses);
    }

    [Fact]
    public void Answers_to_other_requests_are_skipped()
    {
        Assert.Equal(DumpProgress.Continues, Read([.. Link(2, "eth0", Up, sequence: 8), .. Message(3, 0, [], sequence: 8)]));
        Assert.Empty(Links);
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(16, 0x10)]
    [InlineData(3, 0x10)]
    public void An_error_or_a_dump_that_was_interrupted_is_asked_again(ushort type, ushort flags) =>
        Assert.Equal(DumpProgress.Broken, Read(Message(type, flags, new byte[16])));

    [Fact]
    public void Whatever_is_cut_or_changed_nothing_throws()
    {
        byte[] datagram = [.. Link(2, "eth0", Up | Broadcast), .. Message(20, 0, [2, 24, 0, 0, 2, 0, 0, 0, .. Attribute(2, [10, 0, 0, 1])]), .. Message(3, 0, [])];
        for (int length = 0; length <= datagram.Length; length++)
            Read(datagram[..length]);
        var random = new Random(1);
        for (int i = 0; i < 20_000; i++)
        {
            var changed = datagram.ToArray();
            for (int flips = random.Next(1, 4); flips > 0; flips--)
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
            Read(changed);
        }
    }

    [Fact]
    public void The_interfaces_of_this_machine_can_be_read()
    {
        // Other programs may make, change and remove interfaces meanwhile: what counts is one by one between two lists that are the same.
        IReadOnlyList<InterfaceState> all;
        List<InterfaceState?> single;
        int looks = 0;
        do
        {
            Assert.InRange(++looks, 1, 1000);
            all = NetworkInterfaces.Read();
            single = [.. all.Select(static state => NetworkInterfaces.TryRead(state.Link.Name))];
        }
        while (!all.Select(WithoutAddresses).SequenceEqual(NetworkInterfaces.Read().Select(WithoutAddresses)));

        Assert.Equal(all.Select(WithoutAddresses), single.Select(WithoutAddresses));
        Assert.All(all, static state => Assert.NotEqual(MacAddress.Zero, state.Link.Mac));
        Assert.Null(NetworkInterfaces.TryRead("no-such-link"));

        static InterfaceState? WithoutAddresses(InterfaceState? state) => state is null ? null : state with { Addresses = [], IPv6Networks = [] };
    }

    [Theory]
    [InlineData("eth1", "eth0\t00000000\t0101140A\t0003\t0\t0\t100\t00000000\t0\t0\t0", "eth1\t00000000\t0101140A\t0003\t0\t0\t50\t00000000\t0\t0\t0")]
    [InlineData("eth0", "eth0\t00000000\t0101140A\t0003\t0\t0\t0\t00000000\t0\t0\t0", "eth1\t0000140A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0")]
    [InlineData(null, "eth0\t00000000\t0101140A\t0002\t0\t0\t0\t00000000\t0\t0\t0", "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0")]
    [InlineData(null, "", "garbage")]
    public void The_default_route_of_the_lowest_metric_counts(string? expected, params string[] lines) => Assert.Equal(expected, DefaultRoute.FindInterface(lines));

    private IReadOnlyList<InterfaceState> Links => _tables.ToStates();

    private static byte[] IPv6Bytes(string text) => IPv6Address.Parse(text).ToIPAddress().GetAddressBytes();

    private DumpProgress Read(byte[] datagram) => RouteMessages.Read(datagram, 7, _tables);

    private static byte[] Link(
        int index, string name, uint flags, int master = 0, ushort type = 1, string? mac = null, uint sequence = 7)
    {
        var header = new byte[16];
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(2), type);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(4), index);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), flags);
        var address = new byte[6];
        MacAddress.Parse(mac ?? $"02:00:00:00:00:{index:x2}").Write(address);
        return Message(
            16, 2,
            [
                .. header, .. Attribute(3, [.. Encoding.UTF8.GetBytes(name), 0]), .. Attribute(1, address),
                .. master == 0 ? [] : Attribute(10, BitConverter.GetBytes(master)),
            ],
            sequence);
    }

    private static byte[] Attribute(ushort type, byte[] value)
    {
        var attribute = new byte[(4 + value.Length + 3) & ~3];
        BinaryPrimitives.WriteUInt16LittleEndian(attribute, (ushort)(4 + value.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(attribute.AsSpan(2), type);
        value.CopyTo(attribute, 4);
        return attribute;
    }

    private static byte[] Message(ushort type, ushort flags, byte[] body, uint sequence = 7)
    {
        var message = new byte[16 + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), type);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), flags);
        BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(8), sequence);
        body.CopyTo(message, 16);
        return message;
    }
}
