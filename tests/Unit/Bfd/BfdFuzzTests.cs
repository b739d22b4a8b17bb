using System.Net;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bfd;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>Packets of hosts that are broken, or mean harm.</summary>
public sealed class BfdFuzzTests : IBfdEffects
{
    [Fact]
    public void Mutated_packets_are_dropped_by_reason_or_taken_and_never_throw_nor_make_garbage()
    {
        var random = new Random(5880);
        var table = new BfdSessionTable(new Random(1), this);
        var peer = IPAddress.Parse("10.0.0.1");
        var authentication = new BfdAuthentication(BfdAuthenticationType.MeticulousKeyedSha1, 3, "secret");
        var now = TimeSpan.FromHours(1);
        BfdSession[] sessions =
        [
            table.Add(new BfdSettings { UsesEcho = true }, new BfdPath(peer), now),
            table.Add(new BfdSettings { Authentication = authentication }, new BfdPath(IPAddress.Parse("10.0.0.2")), now),
        ];
        var arrivals = new[] { "10.0.0.1", "10.0.0.2", "10.0.0.3" }.Select(static from => new BfdArrival(Mapped(from), Mapped("10.0.0.9"), 2, 255, false, null)).ToArray();
        var seed = new byte[52];
        BfdRig.Bytes(BfdRig.Packet(BfdState.Up)).CopyTo(seed, 0);
        (seed[24], seed[25], seed[26]) = (5, 28, 3);
        var scratch = new byte[80];
        var reasons = new HashSet<BfdDropReason>();
        long before = 0;
        for (int i = 0; i < Fuzzing.Rounds; i++)
        {
            if (i == Fuzzing.Rounds / 2)
                before = GC.GetAllocatedBytesForCurrentThread();
            var session = sessions[i & 1];
            seed[1] = (byte)((random.Next(1, 4) << 6) | ((i & 1) << 2));
            seed[3] = (byte)((i & 1) == 0 ? 24 : 52);
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(seed.AsSpan(8), random.Next(8) == 0 ? 0 : session.LocalDiscriminator);
            int length = Fuzzing.Mutate(seed.AsSpan(0, seed[3]), scratch, 0, random);
            reasons.Add(table.Receive(arrivals[random.Next(arrivals.Length)], scratch.AsSpan(0, length), now, out _));
            if (random.Next(4) == 0)
                table.ReceiveEcho(random.Next(256), scratch.AsSpan(0, length), now);
            now += TimeSpan.FromMilliseconds(1);
            table.Advance(now);
        }
        Assert.Equal(2, table.Count);
        Assert.Contains(BfdDropReason.None, reasons);
        Assert.Contains(BfdDropReason.Authentication, reasons);
        Assert.Contains(BfdDropReason.Truncated, reasons);
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / (Fuzzing.Rounds - Fuzzing.Rounds / 2), 0, 512);
    }

    private static IPv6Address Mapped(string address) => new(0, 0xffff_0000_0000UL | IPv4Address.Parse(address).Value);

    void IBfdEffects.Send(BfdSession session, ReadOnlySpan<byte> packet) => Assert.InRange(packet.Length, BfdPacket.Length, BfdPacket.MaxLength);

    bool IBfdEffects.SendEcho(BfdSession session, ReadOnlySpan<byte> packet) => true;

    void IBfdEffects.Changed(BfdSession session, BfdState before)
    {
    }
}
