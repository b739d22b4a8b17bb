using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

public sealed class BfdAuthenticationTests
{
    public static TheoryData<BfdAuthenticationType> Types => [.. Enum.GetValues<BfdAuthenticationType>()];

    [Theory]
    [MemberData(nameof(Types))]
    public void Two_sides_with_the_same_key_come_up(BfdAuthenticationType type)
    {
        var world = new BfdWorld(With(type), With(type));
        world.Run(3);

        Assert.True(world.BothUp);
        Assert.Equal(0, world.Dropped);
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Two_sides_with_different_keys_do_not(BfdAuthenticationType type)
    {
        var world = new BfdWorld(With(type), With(type) with { Authentication = new BfdAuthentication(type, 3, "other") });
        world.Run(3);

        Assert.Equal(BfdState.Down, world.Left.State);
        Assert.Equal(BfdState.Down, world.Right.State);
        Assert.True(world.Dropped > 0);
    }

    [Fact]
    public void One_side_without_authentication_is_not_heard()
    {
        var rig = new BfdRig(With(BfdAuthenticationType.KeyedSha1));
        Assert.Equal(BfdDropReason.AuthenticationPresence, rig.Receive(BfdRig.Packet(BfdState.Down, 0)));

        var plain = new BfdRig();
        Assert.Equal(BfdDropReason.AuthenticationPresence, Receive(plain, With(BfdAuthenticationType.KeyedSha1).Authentication!, BfdRig.Packet(BfdState.Down, 0), 1));
    }

    [Fact]
    public void Each_changed_byte_breaks_a_digest()
    {
        foreach (var type in Enum.GetValues<BfdAuthenticationType>().Where(static t => t != BfdAuthenticationType.SimplePassword))
        {
            var authentication = With(type).Authentication!;
            var bytes = Sign(authentication, BfdRig.Packet(BfdState.Up), 7);
            Assert.True(authentication.Verify(bytes, out uint sequence));
            Assert.Equal(7u, sequence);
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] ^= 0x10;
                Assert.False(authentication.Verify(bytes, out _), $"{type} byte {i}");
                bytes[i] ^= 0x10;
            }
        }
    }

    [Theory]
    [InlineData(BfdAuthenticationType.KeyedMd5, 0u, BfdDropReason.None)]
    [InlineData(BfdAuthenticationType.MeticulousKeyedMd5, 0u, BfdDropReason.Authentication)]
    [InlineData(BfdAuthenticationType.MeticulousKeyedMd5, 1u, BfdDropReason.None)]
    [InlineData(BfdAuthenticationType.KeyedSha1, 9u, BfdDropReason.None)]
    [InlineData(BfdAuthenticationType.KeyedSha1, 10u, BfdDropReason.Authentication)]
    [InlineData(BfdAuthenticationType.KeyedSha1, uint.MaxValue, BfdDropReason.Authentication)]
    public void A_sequence_number_must_be_ahead_by_at_most_three_times_the_multiplier(BfdAuthenticationType type, uint ahead, BfdDropReason expected)
    {
        var authentication = With(type).Authentication!;
        var rig = new BfdRig(With(type));
        Assert.Equal(BfdDropReason.None, Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), uint.MaxValue - 3));

        Assert.Equal(expected, Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), unchecked(uint.MaxValue - 3 + ahead)));
    }

    [Fact]
    public void A_sequence_number_is_forgotten_after_twice_the_detection_time()
    {
        var authentication = With(BfdAuthenticationType.KeyedSha1).Authentication!;
        var rig = new BfdRig(With(BfdAuthenticationType.KeyedSha1));
        Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), 1000);
        rig.Pass(1790);
        Assert.Equal(BfdDropReason.Authentication, Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), 5));
        rig.Pass(20);

        Assert.Equal(BfdDropReason.None, Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), 5));
    }

    [Fact]
    public void A_forged_packet_moves_no_sequence_number()
    {
        var authentication = With(BfdAuthenticationType.KeyedSha1).Authentication!;
        var rig = new BfdRig(With(BfdAuthenticationType.KeyedSha1));
        Assert.Equal(BfdDropReason.Authentication, Receive(rig, new BfdAuthentication(BfdAuthenticationType.KeyedSha1, 3, "wrong"), BfdRig.Packet(BfdState.Down, 0), 4_000_000));

        Assert.Equal(BfdDropReason.None, Receive(rig, authentication, BfdRig.Packet(BfdState.Down, 0), 5));
    }

    [Theory]
    [InlineData(BfdAuthenticationType.MeticulousKeyedSha1)]
    [InlineData(BfdAuthenticationType.KeyedSha1)]
    public void Sequence_numbers_rise_with_each_packet_or_with_what_is_new(BfdAuthenticationType type)
    {
        var rig = new BfdRig(With(type));
        rig.Pass(5000);
        var numbers = rig.Sent.Select(sent => With(type).Authentication!.Verify(sent.Bytes, out uint n) ? n : 0).ToList();

        Assert.True(numbers.Count > 3);
        Assert.All(numbers.Zip(numbers.Skip(1)), pair => Assert.Equal(pair.First + (type == BfdAuthenticationType.KeyedSha1 ? 0u : 1u), pair.Second));
    }

    [Theory]
    [InlineData(BfdAuthenticationType.SimplePassword, 17)]
    [InlineData(BfdAuthenticationType.KeyedMd5, 17)]
    [InlineData(BfdAuthenticationType.KeyedSha1, 21)]
    [InlineData(BfdAuthenticationType.KeyedSha1, 0)]
    public void A_key_of_the_wrong_length_is_refused(BfdAuthenticationType type, int length) =>
        Assert.Throws<ArgumentException>(() => new BfdAuthentication(type, 1, new string('k', length)));

    private static BfdSettings With(BfdAuthenticationType type) => new() { Authentication = new BfdAuthentication(type, 3, "secret") };

    private static byte[] Sign(BfdAuthentication authentication, BfdPacket packet, uint sequence)
    {
        var bytes = new byte[BfdPacket.MaxLength];
        (packet with { HasAuthentication = true }).Write(bytes);
        return bytes[..authentication.Write(bytes, sequence)];
    }

    private static BfdDropReason Receive(BfdRig rig, BfdAuthentication authentication, BfdPacket packet, uint sequence)
    {
        var bytes = Sign(authentication, packet, sequence);
        Assert.True(BfdPacket.TryParse(bytes, out var read, out int length, out _));
        return rig.Session.Receive(read, bytes.AsSpan(0, length), rig.Now);
    }
}
