using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class DhcpFuzzTests
{
    public static TheoryData<string> Offers => new(Samples.Names.Where(name => name.Contains("offer", StringComparison.Ordinal)));

    [Theory]
    [MemberData(nameof(Offers))]
    public void Case06_an_offer_cut_anywhere_never_throws_and_counts_only_with_its_required_options_whole(string name)
    {
        int whole = EndOfRequiredOptions(Samples.Payload(name));
        for (int length = 0; length <= Samples.Payload(name).Length; length++)
        {
            var lab = new DhcpLab();
            var client = lab.NewClient(Samples.Identity(name));
            client.Acquire(lab.Now, null);
            var payload = Samples.Payload(name, lab.Sent[0].Message.TransactionId);
            lab.Inject(payload.AsMemory(0, length), Samples.ServerMac, Samples.Server);
            lab.Run(TimeSpan.FromMilliseconds(10));

            bool taken = client.State == DhcpClientState.Requesting;
            Assert.True(!taken || length >= whole, $"taken with {length} of {payload.Length} bytes");
            Assert.Equal(taken ? 0 : 1, lab.Drops.Values.Sum());
            if (length == payload.Length)
                Assert.Equal(name != "kea-offer-truncated-noend", taken);
        }
    }

    public static TheoryData<string> Malformed => new(MalformedSamples.Payloads.Keys);

    [Theory]
    [MemberData(nameof(Malformed))]
    public void Case06_a_faulty_message_of_the_other_cases_cut_anywhere_never_throws(string name)
    {
        var payload = MalformedSamples.Payloads[name];
        for (int length = 0; length <= payload.Length; length++)
        {
            var lab = new DhcpLab();
            var client = lab.NewClient(Samples.Identity("isc-offer"));
            client.Acquire(lab.Now, null);
            System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(payload.AsSpan(4), lab.Sent[0].Message.TransactionId);
            lab.Inject(payload.AsMemory(0, length), Samples.ServerMac, Samples.Server);
            lab.Run(TimeSpan.FromMilliseconds(10));
            Assert.True(client.State is DhcpClientState.Selecting or DhcpClientState.Requesting);
        }
    }

    [Fact]
    public void Case07_a_million_mutated_messages_never_throw()
    {
        var random = DhcpRandom.Seeded(7);
        var seeds = Samples.Names.Select(Samples.Payload).Concat(MalformedSamples.Payloads.Values).ToArray();
        var buffer = new byte[1600];
        int parsed = 0;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1_000_000; i++)
        {
            var seed = seeds[random.NextUInt32() % (uint)seeds.Length];
            seed.CopyTo(buffer, 0);
            int length = Mutate(buffer, seed.Length, random);
            if (DhcpMessage.TryParse(buffer.AsSpan(0, length), out var message, out var reason))
            {
                parsed++;
                Assert.Equal(DhcpDropReason.None, reason);
                Assert.True(message.Options.EncodedLength < 4096);
                _ = message.Options.GetText(DhcpOptionCode.HostName);
            }
        }
        Assert.InRange(parsed, 100_000, 900_000);
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 1_000_000, 0, 4096);
    }

    [Fact]
    public void Case07_a_client_that_is_fed_mutated_messages_still_gets_and_keeps_its_lease()
    {
        var lab = new DhcpLab(new FakeDhcpServer());
        var settings = DhcpClientSettings.Default with { AllowedServers = [new(Samples.Server, 32)] };
        var client = lab.NewClient(settings);
        lab.Servers[0].IsSilent = true;
        client.Acquire(lab.Now, null);
        var random = DhcpRandom.Seeded(77);
        var seeds = Samples.Names.Select(Samples.Payload).Concat(MalformedSamples.Payloads.Values).ToArray();
        var buffer = new byte[1600];
        for (int i = 0; i < 50_000; i++)
        {
            var seed = seeds[random.NextUInt32() % (uint)seeds.Length];
            seed.CopyTo(buffer, 0);
            int length = Mutate(buffer, seed.Length, random);
            if (DhcpMessage.TryParse(buffer.AsSpan(0, length), out var message, out _))
            {
                // Half of them with the right transaction id, so that the machine itself is reached.
                if (i % 2 == 0 && lab.Sent.Count > 0)
                    message.TransactionId = lab.Sent[^1].Message.TransactionId;
                client.Receive(new DhcpReply(message, Samples.ServerMac, Samples.Server), lab.Now);
            }
            if (i % 100 == 0)
                lab.Run(TimeSpan.FromSeconds(1));
        }
        lab.Servers[0].IsSilent = false;
        Assert.True(lab.RunUntil(() => client.State == DhcpClientState.Bound && client.Lease!.Address.Value >= lab.Servers[0].First.Value, lab.Now + TimeSpan.FromHours(1)));
    }

    private static int Mutate(byte[] buffer, int length, DhcpRandom random)
    {
        for (uint changes = random.NextUInt32() % 6; changes > 0; changes--)
        {
            switch (random.NextUInt32() % 5)
            {
                case 0:
                    buffer[random.NextUInt32() % (uint)length] = (byte)random.NextUInt32();
                    break;
                case 1:
                    buffer[240 + (random.NextUInt32() % 60)] = (byte)random.NextUInt32();
                    break;
                case 2:
                    buffer[random.NextUInt32() % (uint)length] ^= (byte)(1 << (int)(random.NextUInt32() % 8));
                    break;
                case 3:
                    length = Math.Max(1, (int)(random.NextUInt32() % (uint)length));
                    break;
                default:
                    uint from = random.NextUInt32() % (uint)length;
                    uint count = Math.Min(random.NextUInt32() % 32, (uint)length - from);
                    Array.Copy(buffer, from, buffer, random.NextUInt32() % ((uint)length - count + 1), count);
                    break;
            }
        }
        return length;
    }

    /// <summary>Where the last of options 51, 53, 54 ends in the main field, by a walk of its own.</summary>
    private static int EndOfRequiredOptions(byte[] payload)
    {
        int end = payload.Length + 1;
        int found = 0;
        for (int at = 240; at < payload.Length && payload[at] != 255;)
        {
            if (payload[at] == 0)
            {
                at++;
                continue;
            }
            int next = at + 2 + payload[at + 1];
            if (payload[at] is 51 or 53 or 54 && ++found == 3)
                end = next;
            at = next;
        }
        return end;
    }
}
