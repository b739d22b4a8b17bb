using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Dhcp6;

public sealed class Dhcp6MessageTests
{
    [Theory]
    [InlineData("2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a")]
    [InlineData("2001:0:0:1:0:0:0:1", "2001:0:0:1::1")]
    [InlineData("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1")]
    [InlineData("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1")]
    [InlineData("0:0:0:0:0:0:0:0", "::")]
    [InlineData("0:0:0:0:0:0:0:1", "::1")]
    [InlineData("fe80:0:0:0:0:0:0:0", "fe80::")]
    [InlineData("::ffff:192.0.2.1", "::ffff:192.0.2.1")]
    public void Address_is_written_in_its_canonical_form(string text, string canonical) =>
        Assert.Equal(canonical, IPv6Address.Parse(text).ToString());

    [Theory]
    [InlineData("fe80::1%eth0")]
    [InlineData("[::1]")]
    [InlineData("::1/128")]
    [InlineData("192.0.2.1")]
    [InlineData("")]
    [InlineData(null)]
    public void Address_refuses_other_notations(string? text) => Assert.False(IPv6Address.TryParse(text, out _));

    [Fact]
    public void Network_contains_its_own_addresses_only()
    {
        foreach (var (network, inside, outside) in new[] { ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"), ("fd77::/64", "fd77::ffff", "fd77:0:0:1::"), ("fd77::8/125", "fd77::f", "fd77::10"), ("fd77::1", "fd77::1", "fd77::2") })
        {
            var parsed = IPv6Network.Parse(network);
            Assert.True(parsed.Contains(IPv6Address.Parse(inside)));
            Assert.False(parsed.Contains(IPv6Address.Parse(outside)));
        }
        Assert.True(IPv6Network.Parse("::/0").Contains(IPv6Address.Parse("ff02::1")));
        Assert.False(IPv6Network.TryParse("fd77::1/64", out _));
        Assert.False(IPv6Network.TryParse("fd77::/129", out _));
    }

    [Fact]
    [Trait("Fault", "A12")]
    public void Duid_of_a_uuid_has_type_4_and_network_order()
    {
        Assert.Equal("00040123456789abcdef0123456789abcdef", Dhcp6Lab.Duid.ToString());
        Assert.True(Dhcp6Duid.TryParse(Dhcp6Lab.Duid.ToString(), out var again));
        Assert.Equal(Dhcp6Lab.Duid, again);
        Assert.False(Dhcp6Duid.TryRead(new byte[2], out _));
        Assert.False(Dhcp6Duid.TryRead(new byte[131], out _));
    }

    [Fact]
    public void A_message_that_is_written_is_read_back_whole()
    {
        var seen = Dhcp6Lab.Recode(Full());
        Assert.Equal(Dhcp6MessageType.Reply, seen.Type);
        Assert.Equal(0xabcdefu, seen.TransactionId);
        Assert.Equal(Dhcp6Lab.Server, seen.ServerId);
        Assert.Equal(255, seen.Preference);
        Assert.Equal(120u, seen.SolMaxRt);
        Assert.True(seen.RapidCommit);
        Assert.Equal(new Dhcp6Status(Dhcp6StatusCode.UseMulticast, "text"), seen.Status);
        var association = Assert.Single(seen.Associations);
        Assert.Equal(new Dhcp6Address(Dhcp6Lab.First, 300, 600, new Dhcp6Status(Dhcp6StatusCode.NotOnLink, "here")), Assert.Single(association.Addresses));
        Assert.Equal((1u, 150u, 240u), (association.Iaid, association.T1, association.T2));
    }

    [Fact]
    public void Case51_a_message_cut_anywhere_never_throws_and_is_read_only_at_the_end_of_an_option()
    {
        var bytes = Bytes(Full());
        var ends = new HashSet<int> { 4 };
        for (int at = 4; at < bytes.Length;)
            ends.Add(at += 4 + (bytes[at + 2] << 8) + bytes[at + 3]);
        for (int length = 0; length <= bytes.Length; length++)
            Assert.Equal(ends.Contains(length), Dhcp6Message.TryParse(bytes.AsSpan(0, length), out _, out _));
    }

    public static TheoryData<string> WrongLengths =>
    [
        "07000001" + "000700020000",
        "07000001" + "0008000100",
        "07000001" + "000e000100",
        "07000001" + "000d000100",
        "07000001" + "00010002" + "0001",
        "07000001" + "0003000b" + "0000000100000000000000",
        "07000001" + "00030010" + "000000010000000000000000" + "00050001",
        "07000001" + "00070001" + "01" + "00070001" + "02",
        "07000001" + "0052000300003c",
    ];

    [Theory]
    [MemberData(nameof(WrongLengths))]
    public void Case51_wrong_option_lengths_make_the_message_unusable(string hex)
    {
        Assert.False(Dhcp6Message.TryParse(Convert.FromHexString(hex), out _, out var reason));
        Assert.Equal(Dhcp6DropReason.MalformedOptions, reason);
    }

    [Fact]
    public void Case51_half_a_million_mutated_messages_never_throw_in_codec_or_client()
    {
        var random = DhcpRandom.Seeded(51);
        var lab = new Dhcp6Lab().Bind();
        lab.Answer = _ => null;
        var other = Full();
        other.ClientId = Dhcp6Lab.Server;
        // What is right, and each fault of the case.
        byte[][] seeds =
        [
            Bytes(Full()), Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Advertise, Dhcp6Lab.Granted())), Bytes(Dhcp6Lab.Usual(new Dhcp6Message { Type = Dhcp6MessageType.Renew, ClientId = Dhcp6Lab.Duid })!),
            Bytes(other), Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Reply, Dhcp6Lab.Granted(t1: 300, t2: 200))),
            Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Reply, Dhcp6Lab.Granted(preferred: 700, valid: 600))), Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Reply, Dhcp6Lab.Granted(preferred: 0, valid: 0))),
            Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Reply, Dhcp6Lab.Failed(Dhcp6StatusCode.NoBinding))), Bytes(Dhcp6Lab.Reply(Full(), Dhcp6MessageType.Advertise, Dhcp6Lab.Failed(Dhcp6StatusCode.NoAddrsAvail))),
            .. WrongLengths.Select(row => Convert.FromHexString(row.Data)),
        ];
        var buffer = new byte[512];
        int parsed = 0;
        for (int i = 0; i < 500_000; i++)
        {
            var seed = seeds[i % seeds.Length];
            seed.CopyTo(buffer, 0);
            int length = random.NextUInt32() % 4 == 0 ? (int)(random.NextUInt32() % (uint)seed.Length) : seed.Length;
            for (uint changes = random.NextUInt32() % 4; changes > 0; changes--)
                buffer[random.NextUInt32() % (uint)seed.Length] = (byte)random.NextUInt32();
            if (!Dhcp6Message.TryParse(buffer.AsSpan(0, length), out var message, out _))
                continue;
            parsed++;
            if (i % 2 == 0 && lab.Sent.Count > 0)
                message.TransactionId = lab.Last.TransactionId;
            lab.Client.Receive(message, Dhcp6Lab.ServerAddress, lab.Now);
            if (i % 1000 == 0)
                lab.Run(30);
        }
        Assert.InRange(parsed, 50_000, 450_000);
        Assert.True(lab.Ids.Count <= 1);
    }

    private static Dhcp6Message Full() => new()
    {
        Type = Dhcp6MessageType.Reply,
        TransactionId = 0xabcdef,
        ClientId = Dhcp6Lab.Duid,
        ServerId = Dhcp6Lab.Server,
        ElapsedTime = 7,
        Preference = 255,
        RapidCommit = true,
        SolMaxRt = 120,
        Fqdn = new byte[] { 1, 1, (byte)'a' },
        RequestedOptions = [Dhcp6OptionCode.SolMaxRt],
        Status = new Dhcp6Status(Dhcp6StatusCode.UseMulticast, "text"),
        Associations = [new Dhcp6Association(1, 150, 240, [new Dhcp6Address(Dhcp6Lab.First, 300, 600, new Dhcp6Status(Dhcp6StatusCode.NotOnLink, "here"))])],
    };

    private static byte[] Bytes(Dhcp6Message message)
    {
        var bytes = new byte[message.EncodedLength];
        message.Write(bytes);
        return bytes;
    }
}
