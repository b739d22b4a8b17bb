using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class ArpRulesTests
{
    private static readonly MacAddress Own = MacAddress.Parse("02:00:00:00:00:01");
    private static readonly MacAddress OwnSecond = MacAddress.Parse("02:00:00:00:00:02");
    private static readonly MacAddress Client = MacAddress.Parse("02:00:00:00:00:99");
    private static readonly IPv4Address ClientAddress = IPv4Address.Parse("10.0.0.99");
    private static readonly IPv4Address Ours = IPv4Address.Parse("10.0.0.1");
    private static readonly IPv4Address Leased = IPv4Address.Parse("10.0.0.2");
    private static readonly IPv4Address Other = IPv4Address.Parse("10.0.0.3");

    private readonly FakeTime _time = new();
    private readonly AnnouncementTable _table;

    public ArpRulesTests()
    {
        _table = new AnnouncementTable(_time);
        _table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ours] = null, [Leased] = _time.GetUtcNow().AddSeconds(5) });
    }

    public static TheoryData<string, string> Frames => new()
    {
        { "broadcast request", nameof(FrameVerdict.Answer) },
        { "unicast request", nameof(FrameVerdict.Answer) },
        { "probe", nameof(FrameVerdict.Answer) },
        { "padded request", nameof(FrameVerdict.Answer) },
        { "request to another station", nameof(FrameVerdict.ForAnotherStation) },
        { "multicast request", nameof(FrameVerdict.ForAnotherStation) },
        { "request for another address", nameof(FrameVerdict.NotAnnounced) },
        { "reply", nameof(FrameVerdict.NotARequest) },
        { "gratuitous request of another machine", nameof(FrameVerdict.Claim) },
        { "request of another machine with our address", nameof(FrameVerdict.Claim) },
        { "own gratuitous request by another interface", nameof(FrameVerdict.FromOurselves) },
        { "own request", nameof(FrameVerdict.FromOurselves) },
        { "one byte short", nameof(FrameVerdict.Malformed) },
        { "empty", nameof(FrameVerdict.Malformed) },
        { "not ARP", nameof(FrameVerdict.Malformed) },
        { "not Ethernet", nameof(FrameVerdict.Malformed) },
        { "not IPv4", nameof(FrameVerdict.Malformed) },
        { "hardware length", nameof(FrameVerdict.Malformed) },
        { "protocol length", nameof(FrameVerdict.Malformed) },
        { "unknown operation", nameof(FrameVerdict.Malformed) },
    };

    [Theory]
    [MemberData(nameof(Frames))]
    public void Every_frame_has_its_verdict(string name, string verdict)
    {
        var frame = name switch
        {
            "unicast request" => Frame(Request(Ours), Own),
            "probe" => Frame(Request(Ours) with { SenderAddress = IPv4Address.Any }),
            "padded request" => [.. Frame(Request(Ours)), .. new byte[18]],
            "request to another station" => Frame(Request(Ours), Client),
            "multicast request" => Frame(Request(Ours), MacAddress.Parse("01:00:5e:00:00:01")),
            "request for another address" => Frame(Request(Other)),
            "reply" => Frame(Request(Ours) with { Operation = ArpOperation.Reply }),
            "gratuitous request of another machine" => Frame(Request(Ours) with { SenderAddress = Ours }),
            "request of another machine with our address" => Frame(Request(Other) with { SenderAddress = Ours }),
            "own gratuitous request by another interface" => Frame(Request(Ours) with { SenderAddress = Ours, SenderMac = OwnSecond }),
            "own request" => Frame(Request(Ours) with { SenderMac = Own }),
            "one byte short" => Frame(Request(Ours))[..^1],
            "empty" => [],
            "not ARP" => With(13, 0x00),
            "not Ethernet" => With(15, 6),
            "not IPv4" => With(16, 0x86),
            "hardware length" => With(18, 8),
            "protocol length" => With(19, 16),
            "unknown operation" => With(21, 3),
            _ => Frame(Request(Ours)),
        };

        Assert.Equal(verdict, Judge(frame).ToString());
    }

    [Fact]
    public void A_leased_address_is_answered_until_its_end_and_not_after_even_if_nobody_withdraws_it()
    {
        Assert.Equal(FrameVerdict.Answer, Judge(Frame(Request(Leased))));
        _time.Advance(TimeSpan.FromSeconds(4.999));
        Assert.Equal(FrameVerdict.Answer, Judge(Frame(Request(Leased))));
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(FrameVerdict.Expired, Judge(Frame(Request(Leased))));
        Assert.Equal(FrameVerdict.Answer, Judge(Frame(Request(Ours))));
    }

    [Fact]
    public void A_wall_clock_that_is_set_back_does_not_prolong_a_lease()
    {
        _time.JumpWallClock(TimeSpan.FromHours(-1));
        // What is published again with the same end keeps the moment that was worked out first.
        _table.Replace(_table.Snapshot.Values.ToDictionary(static item => item.Address, static item => item.ValidUntil));
        _time.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(FrameVerdict.Expired, Judge(Frame(Request(Leased))));
    }

    [Fact]
    public void A_wall_clock_that_is_set_forward_ends_a_lease()
    {
        _time.JumpWallClock(TimeSpan.FromSeconds(5));

        Assert.Equal(FrameVerdict.Expired, Judge(Frame(Request(Leased))));
    }

    [Fact]
    public void A_renewed_lease_goes_on()
    {
        _time.Advance(TimeSpan.FromSeconds(4));
        var arrived = _table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Leased] = _time.GetUtcNow().AddSeconds(5) });
        _time.Advance(TimeSpan.FromSeconds(4));

        Assert.Empty(arrived);
        Assert.Equal(FrameVerdict.Answer, Judge(Frame(Request(Leased))));
    }

    [Fact]
    public void The_answer_says_to_who_asked_that_the_address_is_here()
    {
        var frame = new byte[ArpPacket.FrameLength];
        ArpRules.WriteAnswer(frame, Request(Ours), Own);

        Assert.True(ArpPacket.TryParse(frame, out var destination, out var answer));
        Assert.Equal(Client, destination);
        Assert.Equal(new ArpPacket(ArpOperation.Reply, Own, Ours, Client, ClientAddress), answer);
    }

    [Theory]
    [InlineData(ArpOperation.Request)]
    [InlineData(ArpOperation.Reply)]
    public void Gratuitous_packets_go_to_all_and_name_the_address_twice(ArpOperation form)
    {
        var frame = new byte[ArpPacket.FrameLength];
        ArpRules.WriteGratuitous(frame, form, Ours, Own);

        Assert.True(ArpPacket.TryParse(frame, out var destination, out var packet));
        Assert.Equal(MacAddress.Broadcast, destination);
        Assert.Equal(new ArpPacket(form, Own, Ours, MacAddress.Broadcast, Ours), packet);
    }

    private static ArpPacket Request(IPv4Address target) => new(ArpOperation.Request, Client, ClientAddress, MacAddress.Zero, target);

    private static byte[] Frame(ArpPacket packet, MacAddress? destination = null)
    {
        var frame = new byte[ArpPacket.FrameLength];
        packet.Write(frame, packet.SenderMac, destination ?? MacAddress.Broadcast);
        return frame;
    }

    private static byte[] With(int offset, byte value)
    {
        var frame = Frame(Request(Ours));
        frame[offset] = value;
        return frame;
    }

    private FrameVerdict Judge(byte[] frame) => ArpRules.Judge(frame, Own, new HashSet<MacAddress> { Own, OwnSecond }, _table.Snapshot, _time, out _, out _);
}
