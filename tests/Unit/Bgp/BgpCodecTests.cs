using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Tests.Unit.Bgp;

public sealed class BgpCodecTests
{
    private static readonly BgpRouteAttributes Attributes = new(150, [0xFFFFFF01, (65000u << 16) | 7], [new(65000, 1, 2), new(4_200_000_000, 3, 4)]);

    [Fact]
    public void Open_with_all_capabilities_comes_back_as_it_was()
    {
        var open = new BgpOpen(4_200_000_001, 30, 0x0a000001)
        {
            Families = [BgpFamily.IPv4, BgpFamily.IPv6],
            FourOctetAs = true,
            RouteRefresh = true,
            EnhancedRouteRefresh = true,
            ExtendedMessage = true,
            ExtendedNextHop = true,
            GracefulRestart = new BgpGracefulRestart(true, true, 120, [(BgpFamily.IPv4, true), (BgpFamily.IPv6, false)]),
        };
        byte[] message = open.ToMessage();

        Assert.True(BgpWire.TryFrame(message, false, out int length, out _));
        Assert.Equal(message.Length, length);
        Assert.Equal(23456, BinaryPrimitives.ReadUInt16BigEndian(message.AsSpan(20)));
        Assert.Null(BgpOpen.TryParse(message, out var read));
        Assert.Equal(open.Families, read!.Families);
        Assert.Equal(open.GracefulRestart.Families, read.GracefulRestart!.Families);
        Assert.Equal(open with { Families = [], GracefulRestart = null }, read with { Families = [], GracefulRestart = null });
        Assert.Equal((true, true, 120), (read.GracefulRestart.IsRestarting, read.GracefulRestart.Notifications, read.GracefulRestart.Seconds));
    }

    [Fact]
    public void Open_without_capabilities_has_two_byte_as_and_no_families()
    {
        Assert.Null(BgpOpen.TryParse(new BgpOpen(65001, 90, 1).ToMessage(), out var open));
        Assert.Equal(new BgpOpen(65001, 90, 1), open! with { Families = new BgpOpen(1, 1, 1).Families });
        Assert.Empty(open.Families);
    }

    [Theory]
    [InlineData(0, 3, 2, 1)] // version 3
    [InlineData(9, 200, 2, 0)] // length of the parameters is beyond the message
    [InlineData(10, 9, 2, 4)] // a parameter other than capabilities
    [InlineData(13, 60, 2, 0)] // a capability longer than its parameter
    public void Open_with_a_fault_names_it(int at, byte value, byte code, byte subcode)
    {
        byte[] message = new BgpOpen(65001, 90, 1) { FourOctetAs = true }.ToMessage();
        message[BgpWire.HeaderLength + at] = value;
        var error = BgpOpen.TryParse(message, out _);
        Assert.Equal(((BgpErrorCode)code, subcode), (error!.Code, error.Subcode));
    }

    [Theory]
    [InlineData(0, 0, 1, 1)]
    [InlineData(18, 9, 1, 3)]
    [InlineData(17, 20, 1, 2)]
    public void Header_with_a_fault_names_it(int at, byte value, byte code, byte subcode)
    {
        byte[] message = BgpWire.Keepalive();
        message[at] = value;
        Assert.False(BgpWire.TryFrame(message, false, out _, out var error));
        Assert.Equal(((BgpErrorCode)code, subcode), (error!.Code, error.Subcode));
    }

    [Theory]
    [InlineData(true, true, 65010u)]
    [InlineData(false, true, 4_200_000_000u)]
    [InlineData(false, false, 65010u)]
    public void Update_for_ipv4_comes_back_as_it_was(bool isInternal, bool fourOctets, uint asn)
    {
        var encoding = new BgpEncoding(asn, isInternal, [BgpFamily.IPv4]) { FourOctetAs = fourOctets, NextHopV4 = IPv4Address.Parse("10.0.0.1") };
        BgpPrefix[] prefixes = [BgpPrefix.Parse("10.1.2.3/32"), BgpPrefix.Parse("10.1.0.0/17"), BgpPrefix.Parse("0.0.0.0/0")];
        var buffer = new byte[4096];
        int length = BgpUpdateWriter.WriteReach(buffer, encoding, BgpFamily.IPv4, Attributes, prefixes, out int taken);

        Assert.Equal(3, taken);
        Assert.Null(BgpUpdate.TryParse(buffer.AsSpan(0, length), encoding, out var update));
        Assert.Null(update!.TreatAsWithdraw);
        Assert.Equal(prefixes, update.Announced);
        Assert.Equal(isInternal ? [] : [asn], update.AsPath);
        Assert.Equal(isInternal ? 150u : null, update.LocalPref);
        Assert.Equal(encoding.NextHopV4, update.NextHop);
        Assert.Equal(Attributes.Communities.ToArray(), update.Communities);
        Assert.Equal(Attributes.LargeCommunities.ToArray(), update.LargeCommunities);
    }

    [Theory]
    [InlineData(BgpFamily.IPv6, "2001:db8::/127")]
    [InlineData(BgpFamily.IPv4, "10.9.8.7/32")]
    public void Update_with_an_ipv6_next_hop_comes_back_as_it_was(BgpFamily family, string prefix)
    {
        var encoding = new BgpEncoding(65001, false, [BgpFamily.IPv4, BgpFamily.IPv6]) { NextHopV6 = IPv6Address.Parse("fe80::1"), ExtendedNextHop = true };
        var buffer = new byte[4096];
        int length = BgpUpdateWriter.WriteReach(buffer, encoding, family, Attributes, [BgpPrefix.Parse(prefix)], out _);
        Assert.Null(BgpUpdate.TryParse(buffer.AsSpan(0, length), encoding, out var update));
        Assert.Null(update!.TreatAsWithdraw);
        Assert.Equal([BgpPrefix.Parse(prefix)], update.Announced);
        Assert.Equal(IPv6Address.Parse("fe80::1"), update.NextHopV6);

        length = BgpUpdateWriter.WriteUnreach(buffer, encoding, family, [BgpPrefix.Parse(prefix)], out _);
        Assert.Null(BgpUpdate.TryParse(buffer.AsSpan(0, length), encoding, out update));
        Assert.Equal([BgpPrefix.Parse(prefix)], update!.Withdrawn);
    }

    [Theory]
    [InlineData(BgpFamily.IPv4)]
    [InlineData(BgpFamily.IPv6)]
    public void End_of_rib_is_known(BgpFamily family)
    {
        var buffer = new byte[64];
        int length = BgpUpdateWriter.WriteEndOfRib(buffer, family);
        Assert.Null(BgpUpdate.TryParse(buffer.AsSpan(0, length), new BgpEncoding(1, true, [family]), out var update));
        Assert.Equal(family, update!.EndOfRib);
    }

    [Theory]
    [InlineData(BgpWire.LongestMessage, BgpFamily.IPv4)]
    [InlineData(BgpWire.LongestMessage, BgpFamily.IPv6)]
    [InlineData(BgpWire.LongestExtendedMessage, BgpFamily.IPv6)]
    public void Ten_thousand_prefixes_fill_their_messages(int longest, BgpFamily family)
    {
        var encoding = new BgpEncoding(65001, false, [family]) { LongestMessage = longest, NextHopV4 = new IPv4Address(1), NextHopV6 = IPv6Address.Parse("2001:db8::1") };
        var prefixes = Enumerable.Range(0, 10_000).Select(i => new BgpPrefix(family, (UInt128)(uint)i << (family == BgpFamily.IPv4 ? 96 : 0), family == BgpFamily.IPv4 ? 32 : 128)).ToArray();
        var buffer = new byte[longest];
        var read = new List<BgpPrefix>();
        int messages = 0;
        for (int done = 0; done < prefixes.Length; messages++)
        {
            int length = BgpUpdateWriter.WriteReach(buffer, encoding, family, Attributes, prefixes.AsSpan(done), out int taken);
            Assert.True(taken > 0 && length <= longest);
            Assert.True(BgpWire.TryFrame(buffer.AsSpan(0, length), longest > 4096, out _, out _));
            Assert.Null(BgpUpdate.TryParse(buffer.AsSpan(0, length), encoding, out var update));
            read.AddRange(update!.Announced);
            done += taken;
        }
        Assert.Equal(prefixes, read);
        int wire = prefixes[0].WireLength;
        Assert.InRange(messages, 1, 1 + (10_000 * wire / (longest - 200)));
    }

    [Fact]
    public void Communities_that_fit_in_no_message_leave_the_route_out()
    {
        var encoding = new BgpEncoding(65001, false, [BgpFamily.IPv4]) { NextHopV4 = new IPv4Address(1) };
        var many = new BgpRouteAttributes(0, Enumerable.Range(0, 1100).Select(static i => (uint)i), []);
        Assert.Equal(0, BgpUpdateWriter.WriteReach(new byte[4096], encoding, BgpFamily.IPv4, many, [BgpPrefix.Parse("10.0.0.0/8")], out int taken));
        Assert.Equal(0, taken);
    }

    [Theory]
    [InlineData(new byte[] { 0, 9, 0, 0 }, 3, 1)] // withdrawn routes beyond the message
    [InlineData(new byte[] { 0, 0, 0, 9 }, 3, 1)] // attributes beyond the message
    [InlineData(new byte[] { 0, 2, 33, 1, 0, 0 }, 3, 10)] // a prefix of 33 bits
    [InlineData(new byte[] { 0, 0, 0, 0, 24, 10 }, 3, 10)] // a prefix without its end
    [InlineData(new byte[] { 0, 0, 0, 7, 0x80, 14, 4, 0, 1, 1, 200 }, 3, 9)] // MP_REACH_NLRI whose next hop is beyond it
    [InlineData(new byte[] { 0, 0, 0, 12, 0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1 }, 3, 1)] // MP_UNREACH_NLRI twice
    public void Update_beyond_repair_ends_the_session(byte[] body, byte code, byte subcode)
    {
        var error = BgpUpdate.TryParse(Message(body), new BgpEncoding(65001, false, [BgpFamily.IPv4]), out _);
        Assert.Equal(((BgpErrorCode)code, subcode), (error!.Code, error.Subcode));
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 4, 0x40, 1, 1, 7, 8, 10 })] // ORIGIN 7
    [InlineData(new byte[] { 0, 0, 0, 4, 0xC0, 1, 1, 0, 8, 10 })] // ORIGIN with wrong flags
    [InlineData(new byte[] { 0, 0, 0, 4, 0x40, 2, 1, 2, 8, 10 })] // AS_PATH cut off
    [InlineData(new byte[] { 0, 0, 0, 4, 0x40, 3, 1, 2, 8, 10 })] // NEXT_HOP of one byte
    [InlineData(new byte[] { 0, 0, 0, 4, 0xC0, 8, 1, 2, 8, 10 })] // COMMUNITIES of one byte
    [InlineData(new byte[] { 0, 0, 0, 4, 0x40, 1, 9, 0, 8, 10 })] // an attribute beyond the attributes
    [InlineData(new byte[] { 0, 0, 0, 0, 8, 10 })] // no attributes at all
    public void Update_with_a_bad_attribute_is_treated_as_withdraw(byte[] body)
    {
        Assert.Null(BgpUpdate.TryParse(Message(body), new BgpEncoding(65001, false, [BgpFamily.IPv4]), out var update));
        Assert.NotNull(update!.TreatAsWithdraw);
        Assert.Equal([BgpPrefix.Parse("10.0.0.0/8")], update.Announced);
    }

    [Theory]
    [InlineData(2, 2, "OPEN message error: bad peer AS")]
    [InlineData(2, 6, "OPEN message error: unacceptable hold time")]
    [InlineData(4, 0, "hold timer expired")]
    [InlineData(6, 10, "cease: BFD down")]
    [InlineData(6, 77, "cease: subcode 77")]
    [InlineData(99, 1, "error 99/1")]
    public void Notifications_are_told_in_words(byte code, byte subcode, string words) => Assert.Equal(words, new BgpNotification((BgpErrorCode)code, subcode).ToString());

    [Fact]
    public void Shutdown_message_comes_back_as_it_was_also_within_a_hard_reset()
    {
        var cease = BgpNotification.Cease(BgpCease.AdministrativeShutdown, "Wartung bis 17:00 – Rückfragen: Netzteam");
        Assert.True(BgpNotification.TryParse(BgpWire.Notification(cease.AsHardReset()).AsSpan(BgpWire.HeaderLength), out var read));
        Assert.True(read!.IsHardReset);
        Assert.Equal("Wartung bis 17:00 – Rückfragen: Netzteam", read.Communication);
        Assert.Equal("cease: administrative shutdown (\"Wartung bis 17:00 – Rückfragen: Netzteam\"), as hard reset", read.ToString());
        Assert.True(BgpNotification.Cease(BgpCease.AdministrativeReset, new string('ä', 500)).Data.Length <= 256);
    }

    private static byte[] Message(byte[] body)
    {
        byte[] message = new byte[BgpWire.HeaderLength + body.Length];
        BgpWire.WriteHeader(message, BgpMessageType.Update, message.Length);
        body.CopyTo(message, BgpWire.HeaderLength);
        return message;
    }
}
