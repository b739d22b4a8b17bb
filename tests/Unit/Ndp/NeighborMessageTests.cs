using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Ndp;

namespace DynamicLb.Tests.Unit.Ndp;

public sealed class NeighborMessageTests
{
    internal static readonly IPv6Address Target = IPv6Address.Parse("fd77::1:2:345");

    // What Linux 6.1 sends: an advertisement of fd77::1:0 to all nodes, with the target's hardware address.
    private const string Advertisement =
        "333300000001" + "92c1a01b2c3d" + "86dd" + "60000000" + "0020" + "3a" + "ff" + "fd770000000000000000000000010000" + "ff020000000000000000000000000001"
        + "8800" + "0000" + "20000000" + "fd770000000000000000000000010000" + "0201" + "92c1a01b2c3d";

    [Fact]
    public void A_detection_asks_the_solicited_node_group_from_the_unspecified_address()
    {
        var frame = new byte[NeighborMessage.DetectionLength];
        Assert.Equal(frame.Length, NeighborMessage.WriteDetection(frame, MacAddress.Parse("02:00:00:00:00:07"), Target));
        Assert.Equal("3333ff020345" + "020000000007" + "86dd", Convert.ToHexStringLower(frame.AsSpan(0, 14)));
        Assert.Equal("ff02000000000000" + "00000001ff020345", Convert.ToHexStringLower(frame.AsSpan(38, 16)));
        Assert.True(NeighborMessage.TryParse(frame, out var seen));
        var self = MacAddress.Parse("02:00:00:00:00:07");
        Assert.Equal(
            new NeighborMessage(NeighborMessageType.Solicitation, self, IPv6Address.Any, Target) { DestinationMac = MacAddress.Parse("33:33:ff:02:03:45"), AnswerTo = self }, seen);
    }

    [Fact]
    public void An_advertisement_says_where_the_address_is_whatever_neighbours_knew()
    {
        var (self, asker) = (MacAddress.Parse("02:00:00:00:00:07"), (Address: IPv6Address.Parse("fe80::9"), Mac: MacAddress.Parse("02:00:00:00:00:09")));
        var frame = new byte[NeighborMessage.AdvertisementLength];
        Assert.Equal(frame.Length, NeighborMessage.WriteAdvertisement(frame, self, Target, asker));
        Assert.True(NeighborMessage.TryParse(frame, out var answer));
        Assert.Equal(new NeighborMessage(NeighborMessageType.Advertisement, self, Target, Target) { DestinationMac = asker.Mac, AnswerTo = self }, answer);
        // Solicited and Override (RFC 4861 §4.4), and the target's link-layer address.
        Assert.Equal("60000000", Convert.ToHexStringLower(frame.AsSpan(58, 4)));
        Assert.Equal("0201" + "020000000007", Convert.ToHexStringLower(frame.AsSpan(78)));

        NeighborMessage.WriteAdvertisement(frame, self, Target, null);
        Assert.True(NeighborMessage.TryParse(frame, out var toAll));
        Assert.Equal(MacAddress.Parse("33:33:00:00:00:01"), toAll.DestinationMac);
        Assert.Equal("20000000", Convert.ToHexStringLower(frame.AsSpan(58, 4)));
    }

    [Fact]
    public void An_advertisement_to_all_nodes_is_read()
    {
        Assert.True(NeighborMessage.TryParse(Right(Convert.FromHexString(Advertisement)), out var seen));
        Assert.Equal(NeighborMessageType.Advertisement, seen.Type);
        Assert.Equal(IPv6Address.Parse("fd77::1:0"), seen.Target);
        Assert.Equal(MacAddress.Parse("92:c1:a0:1b:2c:3d"), seen.SourceMac);
    }

    [Theory]
    [InlineData("hop limit", 21, 64)]
    [InlineData("code", 55, 1)]
    [InlineData("type", 54, 134)]
    [InlineData("next header", 20, 17)]
    [InlineData("version", 14, 0x40)]
    [InlineData("payload beyond the frame", 19, 40)]
    [InlineData("payload too short", 19, 20)]
    [InlineData("multicast target", 62, 0xff)]
    [InlineData("option of length zero", 79, 0)]
    [InlineData("option too long", 79, 2)]
    [InlineData("solicited answer to a group", 58, 0x60)]
    public void A_message_that_breaks_a_rule_is_dropped(string rule, int offset, byte value)
    {
        var frame = Convert.FromHexString(Advertisement);
        frame[offset] = value;
        Assert.False(NeighborMessage.TryParse(Right(frame), out _), rule);
    }

    [Fact]
    public void A_wrong_checksum_or_a_solicitation_from_nobody_to_another_group_is_dropped()
    {
        var frame = Right(Convert.FromHexString(Advertisement));
        frame[^1] ^= 1;
        Assert.False(NeighborMessage.TryParse(frame, out _));
        frame = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(frame, MacAddress.Parse("02:00:00:00:00:07"), Target);
        frame[53] ^= 1;
        Assert.False(NeighborMessage.TryParse(Right(frame), out _));
    }

    [Fact]
    public void Cut_and_mutated_frames_never_throw()
    {
        var random = DhcpRandom.Seeded(4861);
        var seed = Right(Convert.FromHexString(Advertisement));
        for (int length = 0; length < seed.Length; length++)
            Assert.False(NeighborMessage.TryParse(seed.AsSpan(0, length), out _));
        for (int i = 0; i < 100_000; i++)
        {
            var frame = seed.ToArray();
            for (int change = 0; change < 3; change++)
                frame[random.NextUInt32() % (uint)frame.Length] = (byte)random.NextUInt32();
            if (i % 2 == 0)
                Right(frame);
            _ = NeighborMessage.TryParse(frame, out _);
        }
    }

    /// <summary>Puts the right checksum into a frame, so that other faults are looked at.</summary>
    internal static byte[] Right(byte[] frame)
    {
        int length = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(18)), frame.Length - 54);
        if (length < 4)
            return frame;
        frame[56] = frame[57] = 0;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(56), InternetChecksum.OfIPv6(frame.AsSpan(22, 32), frame[20], frame.AsSpan(54, length)));
        return frame;
    }
}
