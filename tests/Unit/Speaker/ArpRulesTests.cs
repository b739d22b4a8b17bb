using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class ArpRulesTests
{
    private static readonly DateTimeOffset s_now = new(2024, 5, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly MacAddress s_own = Mac("02:00:00:00:00:01");
    private static readonly MacAddress s_second = Mac("02:00:00:00:00:02");
    private static readonly MacAddress s_client = Mac("02:00:00:00:00:99");
    private static readonly IPv4Address s_ours = IPv4Address.Parse("10.0.0.1");
    private static readonly IPv4Address s_leased = IPv4Address.Parse("10.0.0.2");
    private static readonly IPv4Address s_clientAddress = IPv4Address.Parse("10.0.0.99");

    private readonly AnnouncedAddresses _announced = new(new Dictionary<IPv4Address, DateTimeOffset?> { [s_ours] = null, [s_leased] = s_now.AddSeconds(5) });

    [Fact]
    public void Requests_for_our_addresses_are_answered_to_all_or_to_us()
    {
        Assert.Equal(ArpVerdict.Answer, Judge(Request(s_ours), MacAddress.Broadcast));
        Assert.Equal(ArpVerdict.Answer, Judge(Request(s_ours), s_own));
        Assert.Equal(ArpVerdict.Answer, Judge(Request(s_ours) with { SenderAddress = IPv4Address.Any }, MacAddress.Broadcast));
    }

    [Fact]
    public void Everything_else_is_left_alone()
    {
        Assert.Equal(ArpVerdict.NotAnnounced, Judge(Request(IPv4Address.Parse("10.0.0.3")), MacAddress.Broadcast));
        Assert.Equal(ArpVerdict.OtherDestination, Judge(Request(s_ours), s_client));
        Assert.Equal(ArpVerdict.NotARequest, Judge(Request(s_ours) with { Operation = ArpOperation.Reply }, MacAddress.Broadcast));
        Assert.Equal(ArpVerdict.NotARequest, ArpRules.Judge(new byte[41], s_own, Own(), _announced, s_now, out _));
        Assert.Equal(ArpVerdict.OwnFrame, Judge(Request(s_ours) with { SenderMac = s_second, SenderAddress = s_ours }, MacAddress.Broadcast));
    }

    [Fact]
    public void An_address_whose_lease_has_ended_is_not_answered_even_if_nobody_withdrew_it()
    {
        Assert.Equal(ArpVerdict.Answer, Judge(Request(s_leased), MacAddress.Broadcast, s_now.AddSeconds(4)));
        Assert.Equal(ArpVerdict.NotAnnounced, Judge(Request(s_leased), MacAddress.Broadcast, s_now.AddSeconds(5)));
    }

    [Fact]
    public void A_gratuitous_request_of_another_machine_is_a_claim()
    {
        Assert.Equal(ArpVerdict.Claim, Judge(Request(s_ours) with { SenderAddress = s_ours }, MacAddress.Broadcast));
    }

    [Fact]
    public void The_answer_goes_to_who_asked_and_says_that_the_address_is_here()
    {
        var frame = new byte[ArpPacket.FrameLength];
        ArpRules.WriteAnswer(frame, Request(s_ours), s_own);

        Assert.True(ArpPacket.TryParse(frame, out var destination, out var answer));
        Assert.Equal(s_client, destination);
        Assert.Equal(new ArpPacket(ArpOperation.Reply, s_own, s_ours, s_client, s_clientAddress), answer);
    }

    [Fact]
    public void Gratuitous_packets_go_to_all_and_name_the_address_twice()
    {
        var frame = new byte[ArpPacket.FrameLength];
        ArpRules.WriteGratuitous(frame, ArpOperation.Request, s_ours, s_own);

        Assert.True(ArpPacket.TryParse(frame, out var destination, out var packet));
        Assert.Equal(MacAddress.Broadcast, destination);
        Assert.Equal((s_ours, s_ours, s_own), (packet.SenderAddress, packet.TargetAddress, packet.SenderMac));
    }

    private static MacAddress Mac(string text) => MacAddress.TryParse(text, out var mac) ? mac : throw new FormatException(text);

    private static HashSet<MacAddress> Own() => [s_own, s_second];

    private static ArpPacket Request(IPv4Address target) => new(ArpOperation.Request, s_client, s_clientAddress, MacAddress.Zero, target);

    private ArpVerdict Judge(ArpPacket packet, MacAddress destination, DateTimeOffset? now = null)
    {
        var frame = new byte[ArpPacket.FrameLength];
        packet.Write(frame, packet.SenderMac, destination);
        return ArpRules.Judge(frame, s_own, Own(), _announced, now ?? s_now, out _);
    }
}
