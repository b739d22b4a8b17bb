using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

public sealed class BfdPacketTests
{
    [Fact]
    public void A_packet_is_written_as_the_standard_draws_it()
    {
        var packet = new BfdPacket
        {
            Diagnostic = BfdDiagnostic.NeighborSignaledSessionDown,
            State = BfdState.Up,
            IsPoll = true,
            IsControlPlaneIndependent = true,
            DetectMultiplier = 5,
            MyDiscriminator = 0x01020304,
            YourDiscriminator = 0x05060708,
            DesiredMinTx = 300_000,
            RequiredMinRx = 10_000,
            RequiredMinEchoRx = 50_000,
        };

        Assert.Equal("23E8051801020304050607080" + "00493E0" + "00002710" + "0000C350", Convert.ToHexString(BfdRig.Bytes(packet)));
    }

    [Fact]
    public void What_is_written_is_read_back()
    {
        var random = new Random(7);
        for (int i = 0; i < 10_000; i++)
        {
            var packet = new BfdPacket
            {
                Diagnostic = (BfdDiagnostic)random.Next(32),
                State = (BfdState)random.Next(4),
                IsPoll = random.Next(2) == 0,
                IsFinal = random.Next(2) == 0,
                IsControlPlaneIndependent = random.Next(2) == 0,
                IsDemand = random.Next(2) == 0,
                DetectMultiplier = (byte)random.Next(1, 256),
                MyDiscriminator = (uint)random.NextInt64(1, 1L << 32),
                YourDiscriminator = (uint)random.NextInt64(1L << 32),
                DesiredMinTx = (uint)random.NextInt64(1L << 32),
                RequiredMinRx = (uint)random.NextInt64(1L << 32),
                RequiredMinEchoRx = (uint)random.NextInt64(1L << 32),
            };

            Assert.True(BfdPacket.TryParse(BfdRig.Bytes(packet), out var read, out int length, out _));
            Assert.Equal(packet, read);
            Assert.Equal(BfdPacket.Length, length);
        }
    }

    [Theory]
    [InlineData(0, 0x40, BfdDropReason.Version)]
    [InlineData(0, 0x00, BfdDropReason.Version)]
    [InlineData(3, 23, BfdDropReason.Length)]
    [InlineData(3, 25, BfdDropReason.Truncated)]
    [InlineData(3, 255, BfdDropReason.Truncated)]
    [InlineData(2, 0, BfdDropReason.DetectMultiplier)]
    [InlineData(1, 0xc1, BfdDropReason.Multipoint)]
    [InlineData(1, 0xc4, BfdDropReason.Length)]
    public void A_malformed_packet_is_refused_by_reason(int at, byte value, BfdDropReason expected)
    {
        var bytes = BfdRig.Bytes(BfdRig.Packet(BfdState.Up));
        bytes[at] = value;

        Assert.False(BfdPacket.TryParse(bytes, out _, out _, out var reason));
        Assert.Equal(expected, reason);
    }

    [Fact]
    public void A_packet_without_discriminator_is_refused()
    {
        Assert.False(BfdPacket.TryParse(BfdRig.Bytes(BfdRig.Packet(BfdState.Up) with { MyDiscriminator = 0 }), out _, out _, out var reason));
        Assert.Equal(BfdDropReason.MyDiscriminator, reason);
    }

    [Fact]
    public void Every_shorter_datagram_is_refused_as_truncated()
    {
        var bytes = BfdRig.Bytes(BfdRig.Packet(BfdState.Up));
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(BfdPacket.TryParse(bytes.AsSpan(0, length), out _, out _, out var reason));
            Assert.Equal(BfdDropReason.Truncated, reason);
        }
    }

    [Fact]
    public void The_first_rule_that_is_broken_names_the_reason()
    {
        var bytes = BfdRig.Bytes(BfdRig.Packet(BfdState.Up));
        bytes[0] = 0;
        bytes[2] = 0;
        bytes[1] |= 1;

        Assert.False(BfdPacket.TryParse(bytes, out _, out _, out var reason));
        Assert.Equal(BfdDropReason.Version, reason);
    }

    [Fact]
    public void What_lies_behind_the_packet_is_ignored()
    {
        byte[] bytes = [.. BfdRig.Bytes(BfdRig.Packet(BfdState.Up)), 1, 2, 3];

        Assert.True(BfdPacket.TryParse(bytes, out _, out int length, out _));
        Assert.Equal(24, length);
    }
}
