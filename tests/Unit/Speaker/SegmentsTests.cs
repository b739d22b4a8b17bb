using System.Net;
using System.Text.RegularExpressions;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed partial class SegmentsTests
{
    private static readonly InterfaceState Front = Link(2, "front", "10.0.0.1", 24, "2001:db8::/64");
    private static readonly InterfaceState Back = Link(3, "back", "10.0.1.1", 24, "2001:db8:1::/64");

    [Theory]
    [InlineData("10.0.0.77", new[] { 2 })]
    [InlineData("10.0.1.77", new[] { 3 })]
    [InlineData("192.0.2.1", new[] { 2, 3 })]
    [InlineData("2001:db8::77", new[] { 2 })]
    [InlineData("2001:db8:1::77", new[] { 3 })]
    [InlineData("2001:db8:2::77", new[] { 2, 3 })]
    public void An_address_belongs_where_its_network_is_or_else_everywhere(string address, int[] links) => Assert.Equal(links, Of([Front, Back], address));

    [Theory]
    [InlineData("10.0.2.7")]
    [InlineData("2001:db8:2::7")]
    public void An_address_that_a_node_holds_by_itself_says_nothing_about_where_its_users_are(string address) =>
        Assert.Equal([2, 3, 4], Of([Front, Back, Link(4, "other", "10.0.2.7", 32, "2001:db8:2::7/128")], address));

    [Fact]
    public void Only_the_links_of_the_advertisement_count() => Assert.Equal([3], Of([Front, Back], "10.0.0.77", new HashSet<string> { "back" }));

    [Fact]
    public void Segments_differ_when_a_network_of_either_family_comes()
    {
        var segments = new Segments([Front, Back], None());

        Assert.True(segments.IsLike(new Segments([Front with { HasCarrier = false }, Back], None())));
        Assert.False(segments.IsLike(new Segments([Front, Back with { Addresses = [] }], None())));
        Assert.False(segments.IsLike(new Segments([Front, Back with { IPv6Networks = [] }], None())));
        Assert.False(segments.IsLike(new Segments([Front], None())));
    }

    private static IReadOnlyList<int> Of(InterfaceState[] links, string address, IReadOnlySet<string>? only = null) => new Segments(links, None()).Of(IPAddress.Parse(address), only);

    private static InterfaceState Link(int index, string name, string address, int prefix, string network) =>
        new(new LinkInfo(index, name, MacAddress.Parse($"02:00:00:00:00:{index:x2}")), true, true, true, false)
        {
            HasCarrier = true,
            Addresses = [new InterfaceAddress(IPv4Address.Parse(address), prefix)],
            IPv6Networks = [IPv6Network.Parse(network)],
        };

    [GeneratedRegex("^$")]
    private static partial Regex None();
}
