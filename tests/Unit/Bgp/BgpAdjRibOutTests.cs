using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Tests.Unit.Bgp;

public sealed class BgpAdjRibOutTests
{
    private static readonly BgpRouteAttributes One = new(100, [1], []);
    private static readonly BgpRouteAttributes Two = new(100, [2], []);
    private readonly BgpAdjRibOut _rib = new();
    private readonly BgpEncoding _encoding = new(65001, false, [BgpFamily.IPv4, BgpFamily.IPv6]) { NextHopV4 = new IPv4Address(1), NextHopV6 = IPv6Address.Parse("2001:db8::1") };
    private readonly Dictionary<BgpPrefix, uint> _peer = [];

    [Fact]
    public void Session_begins_with_all_routes_and_a_mark_for_each_family()
    {
        _rib.Want(Routes(One, "10.0.0.1/32", "2001:db8::5/128"));
        Assert.Equal(2, _rib.Pending);
        _rib.Begin(_encoding);
        Assert.Equal(["+10.0.0.1/32", "+2001:db8::5/128", "end IPv4", "end IPv6"], Drain());
        Assert.True(_rib.IsDone);
        Assert.Equal((2, 0), (_rib.Told, _rib.Pending));
    }

    [Fact]
    public void Change_of_one_route_is_told_alone()
    {
        var routes = Enumerable.Range(0, 1000).ToDictionary(static i => BgpPrefix.Parse($"10.0.{i / 256}.{i % 256}/32"), static _ => One);
        _rib.Want(routes);
        _rib.Begin(_encoding);
        _ = Drain();
        _rib.Want(new Dictionary<BgpPrefix, BgpRouteAttributes>(routes) { [BgpPrefix.Parse("10.0.0.7/32")] = Two, [BgpPrefix.Parse("10.9.0.0/16")] = One });
        Assert.Equal(["+10.0.0.7/32", "+10.9.0.0/16"], Drain().Order());
        _rib.Want(routes);
        Assert.Equal(["-10.9.0.0/16", "+10.0.0.7/32"], Drain());
        _rib.Want(new Dictionary<BgpPrefix, BgpRouteAttributes>(routes));
        Assert.Empty(Drain());
    }

    [Fact]
    public void Changes_that_overtake_each_other_are_told_once()
    {
        _rib.Begin(_encoding);
        _ = Drain();
        _rib.Want(Routes(One, "10.0.0.1/32", "10.0.0.2/32"));
        _rib.Want(Routes(Two, "10.0.0.1/32"));
        _rib.Want(Routes(One, "10.0.0.1/32"));
        Assert.Equal(["+10.0.0.1/32"], Drain());
    }

    [Fact]
    public void Refresh_tells_a_family_again_between_its_marks()
    {
        _rib.Want(Routes(One, "10.0.0.1/32", "2001:db8::5/128"));
        _rib.Begin(_encoding);
        _ = Drain();
        _rib.Refresh(BgpFamily.IPv4, true);
        Assert.Equal(["refresh IPv4 Begin", "+10.0.0.1/32", "refresh IPv4 End"], Drain());
        _rib.Refresh(BgpFamily.IPv6, false);
        Assert.Equal(["+2001:db8::5/128"], Drain());
        Assert.Empty(Drain());
    }

    [Fact]
    public void Family_without_next_hop_is_counted_and_left_out()
    {
        _rib.Want(Routes(One, "10.0.0.1/32", "2001:db8::5/128"));
        _rib.Begin(_encoding with { NextHopV6 = null });
        Assert.Equal(["+10.0.0.1/32", "end IPv4", "end IPv6"], Drain());
        Assert.Equal(1, _rib.NotCarried);
    }

    [Fact]
    public void Any_order_of_changes_and_sessions_leaves_the_peer_with_what_is_wanted()
    {
        var random = new Random(7);
        var prefixes = Enumerable.Range(0, 60).Select(static i => BgpPrefix.Parse(i % 2 == 0 ? $"10.0.0.{i}/32" : $"2001:db8::{i}/128")).ToArray();
        var attributes = Enumerable.Range(0, 4).Select(static i => new BgpRouteAttributes(0, [(uint)i], [])).ToArray();
        var buffer = new byte[4096];
        bool isUp = false;
        IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes> wanted = new Dictionary<BgpPrefix, BgpRouteAttributes>();
        for (int step = 0; step < 20_000; step++)
        {
            switch (random.Next(12))
            {
                case 0:
                    _rib.Begin(_encoding);
                    _peer.Clear();
                    isUp = true;
                    break;
                case 1 when random.Next(4) == 0:
                    _rib.End();
                    isUp = false;
                    break;
                case 2:
                    _rib.Refresh((BgpFamily)random.Next(1, 3), random.Next(2) == 0);
                    break;
                case < 7:
                    wanted = prefixes.Where(_ => random.Next(3) > 0).ToDictionary(static prefix => prefix, _ => attributes[random.Next(4)]);
                    _rib.Want(wanted);
                    break;
                default:
                    int length = _rib.TryWrite(buffer);
                    if (length > 0)
                        Take(buffer.AsSpan(0, length), []);
                    break;
            }
            if (random.Next(20) != 0)
                continue;
            _ = Drain();
            if (isUp)
                Assert.Equal(wanted.OrderBy(static route => route.Key).Select(static route => (route.Key, route.Value.Communities[0])), _peer.OrderBy(static route => route.Key).Select(static route => (route.Key, route.Value)));
        }
    }

    private static Dictionary<BgpPrefix, BgpRouteAttributes> Routes(BgpRouteAttributes attributes, params string[] prefixes) =>
        prefixes.ToDictionary(BgpPrefix.Parse, _ => attributes);

    private List<string> Drain()
    {
        var told = new List<string>();
        var buffer = new byte[4096];
        for (int length; (length = _rib.TryWrite(buffer)) > 0;)
            Take(buffer.AsSpan(0, length), told);
        return told;
    }

    private void Take(ReadOnlySpan<byte> message, List<string> told)
    {
        if (BgpWire.TypeOf(message) == BgpMessageType.RouteRefresh)
        {
            Assert.Null(BgpWire.ParseRouteRefresh(message, out var family, out var kind));
            told.Add($"refresh {family} {kind}");
            return;
        }
        Assert.Null(BgpUpdate.TryParse(message, _encoding, out var update));
        foreach (var prefix in update!.Withdrawn)
        {
            told.Add($"-{prefix}");
            _peer.Remove(prefix);
        }
        foreach (var prefix in update.Announced)
        {
            told.Add($"+{prefix}");
            _peer[prefix] = update.Communities[0];
        }
        if (update.EndOfRib is { } end)
            told.Add($"end {end}");
    }
}
