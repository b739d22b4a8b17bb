using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class NdpRulesTests
{
    private static readonly MacAddress Own = MacAddress.Parse("02:00:00:00:00:01");
    private static readonly MacAddress OwnSecond = MacAddress.Parse("02:00:00:00:00:02");
    private static readonly MacAddress Client = MacAddress.Parse("02:00:00:00:00:99");
    private static readonly IPv6Address ClientAddress = IPv6Address.Parse("fe80::99");
    private static readonly IPv6Address Ours = IPv6Address.Parse("fd20::1");
    private static readonly IPv6Address Leased = IPv6Address.Parse("fd20::2");
    private static readonly IPv6Address Other = IPv6Address.Parse("fd20::3");

    private readonly FakeTime _time = new();
    private readonly AnnouncementTable _table;

    public NdpRulesTests()
    {
        _table = new AnnouncementTable(_time);
        _table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ours] = null, [Leased] = _time.GetUtcNow().AddSeconds(5) });
    }

    public static TheoryData<string, string> Frames => new()
    {
        { "solicitation to the group", nameof(FrameVerdict.Answer) },
        { "unicast probe of a neighbour", nameof(FrameVerdict.Answer) },
        { "unicast probe without the sender's hardware address", nameof(FrameVerdict.Answer) },
        { "duplicate address detection", nameof(FrameVerdict.Answer) },
        { "solicitation for another address", nameof(FrameVerdict.NotAnnounced) },
        { "to another station", nameof(FrameVerdict.ForAnotherStation) },
        { "advertisement of our address", nameof(FrameVerdict.Claim) },
        { "advertisement of another address", nameof(FrameVerdict.NotARequest) },
        { "solicitation from our address", nameof(FrameVerdict.Claim) },
        { "by our other interface", nameof(FrameVerdict.FromOurselves) },
        { "one byte short", nameof(FrameVerdict.Malformed) },
        { "wrong checksum", nameof(FrameVerdict.Malformed) },
        { "hop limit", nameof(FrameVerdict.Malformed) },
        { "empty", nameof(FrameVerdict.Malformed) },
    };

    [Theory]
    [MemberData(nameof(Frames))]
    public void Every_frame_has_its_verdict(string name, string verdict)
    {
        var frame = name switch
        {
            "unicast probe of a neighbour" => Solicitation(Ours, to: Own),
            "unicast probe without the sender's hardware address" => Solicitation(Ours, to: Own, withOption: false),
            "duplicate address detection" => Detection(Ours),
            "solicitation for another address" => Solicitation(Other),
            "to another station" => Solicitation(Ours, to: Client),
            "advertisement of our address" => Advertisement(Ours),
            "advertisement of another address" => Advertisement(Other),
            "solicitation from our address" => Solicitation(Other, Ours),
            "by our other interface" => Solicitation(Ours, from: OwnSecond),
            "one byte short" => Solicitation(Ours)[..^1],
            "wrong checksum" => With(70, 1),
            "hop limit" => With(21, 64),
            "empty" => [],
            _ => Solicitation(Ours),
        };

        Assert.Equal(verdict, Judge(frame, out _).ToString());
    }

    [Fact]
    public void A_leased_address_is_answered_until_its_end()
    {
        Assert.Equal(FrameVerdict.Answer, Judge(Solicitation(Leased), out _));
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Equal(FrameVerdict.Expired, Judge(Solicitation(Leased), out _));
        Assert.Equal(FrameVerdict.Answer, Judge(Solicitation(Ours), out _));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_answer_goes_to_who_asked(bool withOption)
    {
        Judge(Solicitation(Ours, to: Own, withOption: withOption), out var request);
        var frame = new byte[NeighborMessage.AdvertisementLength];
        Assert.Equal(frame.Length, NdpRules.WriteAnswer(frame, request, Own));

        Assert.True(NeighborMessage.TryParse(frame, out var answer));
        Assert.Equal((NeighborMessageType.Advertisement, Own, Ours, Client), (answer.Type, answer.SourceMac, answer.Target, answer.DestinationMac));
        Assert.Equal(ClientAddress, IPv6Address.Read(frame.AsSpan(38)));
    }

    internal static byte[] Solicitation(IPv6Address target, IPv6Address? sender = null, MacAddress? from = null, MacAddress? to = null, bool withOption = true)
    {
        var frame = new byte[NeighborMessage.AdvertisementLength];
        var mac = from ?? Client;
        // The same frame as an advertisement but for type, flags, option and who it goes to.
        NeighborMessage.WriteAdvertisement(frame, mac, target, null);
        (to ?? target.SolicitedNode.MulticastMac).Write(frame);
        (sender ?? ClientAddress).Write(frame.AsSpan(22));
        (to is null ? target.SolicitedNode : target).Write(frame.AsSpan(38));
        frame[54] = (byte)NeighborMessageType.Solicitation;
        frame[58] = 0;
        frame[78] = 1;
        if (!withOption)
        {
            frame[19] = 24;
            frame = frame[..78];
        }
        return Right(frame);
    }

    private static byte[] Right(byte[] frame)
    {
        frame.AsSpan(56, 2).Clear();
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(56), InternetChecksum.OfIPv6(frame.AsSpan(22, 32), 58, frame.AsSpan(54)));
        return frame;
    }

    private static byte[] Advertisement(IPv6Address target)
    {
        var frame = new byte[NeighborMessage.AdvertisementLength];
        NeighborMessage.WriteAdvertisement(frame, Client, target, null);
        return frame;
    }

    private static byte[] Detection(IPv6Address target)
    {
        var frame = new byte[NeighborMessage.DetectionLength];
        NeighborMessage.WriteDetection(frame, Client, target);
        return frame;
    }

    private static byte[] With(int offset, byte value)
    {
        var frame = Solicitation(Ours);
        frame[offset] = value;
        return frame;
    }

    private FrameVerdict Judge(byte[] frame, out NeighborMessage message) =>
        NdpRules.Judge(frame, Own, new HashSet<MacAddress> { Own, OwnSecond }, _table.Snapshot, _time, out message, out _);
}
