using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class DhcpFrameTests
{
    private static readonly MacAddress Nic = MacAddress.Parse("02:11:11:11:11:11");

    public static TheoryData<string> AllSamples => new(Samples.Names);

    [Theory]
    [MemberData(nameof(AllSamples))]
    public void Captured_frames_are_read(string name)
    {
        Assert.Equal(DhcpDropReason.None, DhcpFrame.TryRead(Samples.Frame(name), out var reply));
        Assert.Equal((Samples.ServerMac, Samples.Server, 67), (reply.SourceMac, reply.SourceAddress, reply.SourcePort));
        Assert.Equal(Samples.Message(name).TransactionId, reply.Message.TransactionId);
    }

    [Theory]
    [MemberData(nameof(AllSamples))]
    public void Case06_frames_cut_anywhere_never_throw_and_are_dropped(string name)
    {
        var frame = Samples.Frame(name);
        for (int length = 0; length < frame.Length; length++)
            Assert.NotEqual(DhcpDropReason.None, DhcpFrame.TryRead(frame.AsSpan(0, length), out _));
    }

    [Fact]
    public void Case07_mutated_frames_never_throw()
    {
        var random = DhcpRandom.Seeded(70);
        var seeds = Samples.Names.Select(Samples.Frame).Concat(MalformedSamples.Frames()).ToArray();
        var buffer = new byte[1600];
        for (int i = 0; i < 200_000; i++)
        {
            var seed = seeds[random.NextUInt32() % (uint)seeds.Length];
            seed.CopyTo(buffer, 0);
            for (int change = 0; change < 3; change++)
                buffer[random.NextUInt32() % 60] = (byte)random.NextUInt32();
            // A right header checksum lets the mutation reach what is behind it.
            if ((buffer[14] & 15) == 5)
            {
                BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(24), 0);
                BinaryPrimitives.WriteUInt16BigEndian(buffer.AsSpan(24), Checksum(buffer.AsSpan(14, 20)));
            }
            _ = DhcpFrame.TryRead(buffer.AsSpan(0, seed.Length), out _);
        }
    }

    public static TheoryData<string, DhcpDropReason> Faults => new()
    {
        { "ethertype", DhcpDropReason.BadIpHeader },
        { "version", DhcpDropReason.BadIpHeader },
        { "ihl", DhcpDropReason.BadIpHeader },
        { "total", DhcpDropReason.BadIpHeader },
        { "checksum", DhcpDropReason.BadIpHeader },
        { "more fragments", DhcpDropReason.Fragment },
        { "offset", DhcpDropReason.Fragment },
        { "tcp", DhcpDropReason.OtherPort },
        { "port", DhcpDropReason.OtherPort },
        { "udp long", DhcpDropReason.BadUdpLength },
        { "udp short", DhcpDropReason.BadUdpLength },
        { "udp tiny", DhcpDropReason.TooShort },
        { "request", DhcpDropReason.NotAReply },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Case40_fragments_and_damaged_headers_are_dropped(string what, DhcpDropReason reason)
    {
        var frame = Samples.Frame("isc-offer");
        switch (what)
        {
            case "ethertype": frame[12] = 0x86; break;
            case "version": frame[14] = 0x65; break;
            case "ihl": frame[14] = 0x44; break;
            case "total": frame[16] = 0xff; break;
            case "checksum": break;
            case "more fragments": frame[20] = 0x20; break;
            case "offset": frame[21] = 1; break;
            case "tcp": frame[23] = 6; break;
            case "port": frame[37] = 67; break;
            case "udp long": frame[38] = 9; break;
            case "udp short": (frame[38], frame[39]) = (0, 7); break;
            case "udp tiny": (frame[38], frame[39]) = (0, 247); break;
            default: frame[42] = 1; break;
        }
        FixChecksum(frame);
        if (what == "checksum")
            frame[24] ^= 1;
        Assert.Equal(reason, DhcpFrame.TryRead(frame, out _));
    }

    [Fact]
    public void Case40_ip_options_are_skipped()
    {
        var frame = Samples.Frame("isc-offer");
        byte[] longer = [.. frame[..34], 1, 1, 1, 0, .. frame[34..]];
        longer[14] = 0x46;
        BinaryPrimitives.WriteUInt16BigEndian(longer.AsSpan(16), (ushort)(BinaryPrimitives.ReadUInt16BigEndian(longer.AsSpan(16)) + 4));
        FixChecksum(longer);
        Assert.Equal(DhcpDropReason.None, DhcpFrame.TryRead(longer, out var reply));
        Assert.Equal("10.77.0.100", reply.Message.YourAddress.ToString());
    }

    [Fact]
    public void Case39_a_wrong_udp_checksum_is_accepted_and_padding_behind_the_packet_ignored()
    {
        var frame = Samples.Frame("dnsmasq-offer");
        frame[40] ^= 0x55;
        Assert.Equal(DhcpDropReason.None, DhcpFrame.TryRead((byte[])[.. frame, .. new byte[20]], out _));
    }

    [Fact]
    public void Broadcast_frames_come_from_no_address_with_right_checksums()
    {
        var frame = Written(DhcpDestination.Broadcast);
        Assert.Equal(MacAddress.Broadcast, MacAddress.Read(frame));
        Assert.Equal(Nic, MacAddress.Read(frame.AsSpan(6)));
        Assert.Equal((IPv4Address.Any, IPv4Address.Broadcast), (IPv4Address.Read(frame.AsSpan(26)), IPv4Address.Read(frame.AsSpan(30))));
        Assert.Equal([0, 68, 0, 67], frame[34..38]);
        Assert.Equal(342, frame.Length);
        AssertChecksums(frame);
    }

    [Fact]
    public void Unicast_frames_go_from_the_address_to_the_server_by_the_next_hop()
    {
        var server = IPv4Address.Parse("10.77.0.1");
        var address = IPv4Address.Parse("10.77.0.100");
        var frame = Written(DhcpDestination.Unicast(address, server, Samples.ServerMac));
        Assert.Equal(Samples.ServerMac, MacAddress.Read(frame));
        Assert.Equal((address, server), (IPv4Address.Read(frame.AsSpan(26)), IPv4Address.Read(frame.AsSpan(30))));
        AssertChecksums(frame);
    }

    private static byte[] Written(in DhcpDestination destination)
    {
        var buffer = new byte[1500];
        buffer.AsSpan().Fill(0xee);
        var message = new DhcpMessage { Type = DhcpMessageType.Discover, HardwareAddress = MacAddress.Parse("02:4c:42:00:00:01"), TransactionId = 7 };
        return buffer[..DhcpFrame.Write(buffer, Nic, destination, message)];
    }

    private static void AssertChecksums(byte[] frame)
    {
        Assert.Equal(0, Checksum(frame.AsSpan(14, 20)));
        byte[] pseudo = [.. frame[26..34], 0, 17, .. frame[38..40], .. frame[34..]];
        Assert.Equal(0, Checksum(pseudo));
        Assert.Equal(frame.Length - 14, BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(16)));
        Assert.Equal(frame.Length - 34, BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(38)));
    }

    private static void FixChecksum(byte[] frame)
    {
        int length = (frame[14] & 15) * 4;
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(24), 0);
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(24), Checksum(frame.AsSpan(14, length)));
    }

    private static ushort Checksum(ReadOnlySpan<byte> bytes)
    {
        ulong sum = 0;
        for (int i = 0; i < bytes.Length; i++)
            sum += i % 2 == 0 ? (ulong)bytes[i] << 8 : bytes[i];
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }
}
