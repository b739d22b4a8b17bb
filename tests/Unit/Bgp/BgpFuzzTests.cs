using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bgp;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Bgp;

/// <summary>Messages of peers that are broken, or mean harm.</summary>
public sealed class BgpFuzzTests : IBgpEffects
{
    private static readonly BgpEncoding Encoding = new(65001, false, [BgpFamily.IPv4, BgpFamily.IPv6])
    {
        NextHopV4 = new IPv4Address(1),
        NextHopV6 = IPv6Address.Parse("fe80::1"),
        ExtendedNextHop = true,
    };

    private static readonly BgpOpen PeerOpen = new(65002, 90, 0x0a000002)
    {
        Families = [BgpFamily.IPv4, BgpFamily.IPv6],
        FourOctetAs = true,
        RouteRefresh = true,
        ExtendedNextHop = true,
        GracefulRestart = new BgpGracefulRestart(true, true, 1, [(BgpFamily.IPv4, true)]),
    };

    private int _notifications;
    private int _ups;

    [Fact]
    public void Mutated_messages_are_refused_or_read_and_never_throw()
    {
        var random = new Random(4271);
        var corpus = Corpus();
        int read = 0;
        var scratch = new byte[300];
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Fuzzing.Rounds; i++)
        {
            int length = Fuzzing.Mutate(corpus[i % corpus.Count], scratch, BgpWire.HeaderLength, random);
            BinaryPrimitives.WriteUInt16BigEndian(scratch.AsSpan(16), (ushort)length);
            if (!BgpWire.TryFrame(scratch.AsSpan(0, length), false, out int framed, out _))
                continue;
            var message = scratch.AsSpan(0, framed);
            read += BgpWire.TypeOf(message) switch
            {
                BgpMessageType.Open => BgpOpen.TryParse(message, out _) is null ? 1 : 0,
                BgpMessageType.Update => BgpUpdate.TryParse(message, Encoding, out _) is null ? 1 : 0,
                BgpMessageType.RouteRefresh => BgpWire.ParseRouteRefresh(message, out _, out _) is null ? 1 : 0,
                BgpMessageType.Notification => BgpNotification.TryParse(message[BgpWire.HeaderLength..], out var notification) && notification!.ToString().Length > 0 ? 1 : 0,
                _ => 0,
            };
        }
        Assert.True(read > Fuzzing.Rounds / 20, $"only {read} of {Fuzzing.Rounds} messages were read: the mutations are too wild to test what comes after the header");
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / Fuzzing.Rounds, 0, 8192);
    }

    [Fact]
    public void Machine_that_is_fed_mutated_messages_in_every_state_goes_on()
    {
        var random = new Random(7606);
        var corpus = Corpus();
        var settings = new BgpSettings(65001, BgpPeerAs.Configured, 65002, [BgpFamily.IPv4, BgpFamily.IPv6]) { RestartSeconds = 120 };
        var machine = new BgpFsm(settings, this, new Random(1));
        var now = TimeSpan.Zero;
        machine.Start(now);
        int connection = 0;
        var scratch = new byte[300];
        for (int i = 0; i < Fuzzing.Rounds; i++)
        {
            now += TimeSpan.FromMilliseconds(1);
            if (machine.State is BgpState.Connect or BgpState.Active)
            {
                if (machine.State == BgpState.Active)
                    machine.Tick(now = machine.NextDue!.Value);
                machine.Connected(++connection, 0x0a000001, now);
                // Some from the start, some in the midst of it, most when established.
                if (random.Next(8) != 0)
                    machine.Received(connection, PeerOpen.ToMessage(), now);
                if (random.Next(8) != 0)
                    machine.Received(connection, BgpWire.Keepalive(), now);
            }
            int length = Fuzzing.Mutate(corpus[i % corpus.Count], scratch, BgpWire.HeaderLength, random);
            BinaryPrimitives.WriteUInt16BigEndian(scratch.AsSpan(16), (ushort)length);
            if (BgpWire.TryFrame(scratch.AsSpan(0, length), machine.TakesExtended(connection), out int framed, out var error))
                machine.Received(connection, scratch.AsSpan(0, framed), now);
            else if (error is not null)
                machine.BadFrame(connection, error, now);
            machine.Tick(now);
        }
        Assert.InRange(_ups, Fuzzing.Rounds / 100, Fuzzing.Rounds);
        Assert.InRange(_notifications, Fuzzing.Rounds / 100, Fuzzing.Rounds);
    }

    private static List<byte[]> Corpus()
    {
        var buffer = new byte[4096];
        List<byte[]> corpus =
        [
            PeerOpen.ToMessage(), BgpWire.Keepalive(), BgpWire.RouteRefresh(BgpFamily.IPv6, BgpRefreshKind.Request),
            BgpWire.Notification(BgpNotification.Cease(BgpCease.AdministrativeReset, "words")),
        ];
        var attributes = new BgpRouteAttributes(150, [0xffffff01, 0xfc010007], [new BgpLargeCommunity(64513, 1, 2)]);
        foreach (var family in new[] { BgpFamily.IPv4, BgpFamily.IPv6 })
        {
            BgpPrefix[] prefixes = [BgpPrefix.Parse(family == BgpFamily.IPv4 ? "10.0.0.0/9" : "2001:db8::/61")];
            corpus.Add(buffer[..BgpUpdateWriter.WriteReach(buffer, Encoding, family, attributes, prefixes, out _)]);
            corpus.Add(buffer[..BgpUpdateWriter.WriteUnreach(buffer, Encoding, family, prefixes, out _)]);
            corpus.Add(buffer[..BgpUpdateWriter.WriteEndOfRib(buffer, family)]);
        }
        return corpus;
    }

    void IBgpEffects.Connect()
    {
    }

    void IBgpEffects.CancelConnect()
    {
    }

    void IBgpEffects.Send(int connection, byte[] message) => Assert.True(BgpWire.TryFrame(message, false, out _, out _));

    void IBgpEffects.Close(int connection)
    {
    }

    void IBgpEffects.Up(BgpEstablished session) => _ups++;

    void IBgpEffects.Down(string cause, bool wasEstablished) => Assert.NotEmpty(cause);

    void IBgpEffects.Refresh(BgpFamily family)
    {
    }

    void IBgpEffects.Received(BgpUpdate update)
    {
    }

    void IBgpEffects.Notified(BgpNotification notification, bool isSent) => _notifications += isSent ? 1 : 0;
}
