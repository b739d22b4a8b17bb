using System.Net;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bfd;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Bfd;

public sealed class BfdSessionTableTests : IBfdEffects
{
    private readonly BfdSessionTable _table;
    private int _sent;

    public BfdSessionTableTests() => _table = new BfdSessionTable(new Random(3), this);

    [Fact]
    public void The_first_packet_finds_its_session_by_address_and_interface()
    {
        var plain = Add("10.0.0.2");
        var linkOne = Add("fe80::2", 1);
        var linkTwo = Add("fe80::2", 2);

        Assert.Same(plain, Receive("10.0.0.2", "10.0.0.1", 7).Session);
        Assert.Same(linkOne, Receive("fe80::2", "fe80::1", 1).Session);
        Assert.Same(linkTwo, Receive("fe80::2", "fe80::1", 2).Session);
        Assert.Equal(BfdDropReason.NoSession, Receive("fe80::2", "fe80::1", 3).Reason);
        Assert.Equal(BfdDropReason.NoSession, Receive("10.0.0.3", "10.0.0.1", 7).Reason);
    }

    [Fact]
    public void Later_packets_find_it_by_their_discriminator_and_must_come_from_the_peer()
    {
        var session = Add("10.0.0.2");
        Assert.Same(session, Receive("10.0.0.2", "10.0.0.1", 1, session.LocalDiscriminator, BfdState.Init).Session);

        Assert.Equal(BfdDropReason.YourDiscriminator, Receive("10.0.0.3", "10.0.0.1", 1, session.LocalDiscriminator, BfdState.Init).Reason);
        Assert.Equal(BfdDropReason.YourDiscriminator, Receive("10.0.0.2", "10.0.0.1", 1, session.LocalDiscriminator + 1, BfdState.Init).Reason);
        Assert.Equal(BfdDropReason.State, Receive("10.0.0.2", "10.0.0.1", 1, 0, BfdState.Up).Reason);
        Assert.Equal(BfdDropReason.State, Receive("10.0.0.2", "10.0.0.1", 1, 0, BfdState.Init).Reason);
    }

    [Theory]
    [InlineData(255, BfdDropReason.None)]
    [InlineData(254, BfdDropReason.TimeToLive)]
    [InlineData(1, BfdDropReason.TimeToLive)]
    [InlineData(-1, BfdDropReason.TimeToLive)]
    public void On_one_link_only_what_no_router_has_forwarded_counts(int timeToLive, BfdDropReason expected)
    {
        Add("10.0.0.2");
        Assert.Equal(expected, Receive("10.0.0.2", "10.0.0.1", 1, timeToLive: timeToLive).Reason);
    }

    [Theory]
    [InlineData(255, BfdDropReason.None)]
    [InlineData(250, BfdDropReason.None)]
    [InlineData(249, BfdDropReason.TimeToLive)]
    public void Over_several_hops_the_configured_minimum_counts(int timeToLive, BfdDropReason expected)
    {
        _table.Add(new BfdSettings { MinimumTimeToLive = 250 }, new BfdPath(IPAddress.Parse("10.9.0.2"), IsMultiHop: true), TimeSpan.Zero);
        Assert.Equal(expected, Receive("10.9.0.2", "10.0.0.1", 1, timeToLive: timeToLive, isMultiHop: true).Reason);
        Assert.Equal(BfdDropReason.NoSession, Receive("10.9.0.2", "10.0.0.1", 1).Reason);
    }

    [Fact]
    public void A_session_of_one_of_our_addresses_is_not_that_of_another()
    {
        _table.Add(new BfdSettings(), new BfdPath(IPAddress.Parse("10.0.0.2"), IPAddress.Parse("10.0.0.1")), TimeSpan.Zero);
        var other = _table.Add(new BfdSettings(), new BfdPath(IPAddress.Parse("10.0.0.2"), IPAddress.Parse("10.0.0.9")), TimeSpan.Zero);

        Assert.Same(other, Receive("10.0.0.2", "10.0.0.9", 1).Session);
        Assert.Equal(BfdDropReason.NoSession, Receive("10.0.0.2", "10.0.0.8", 1).Reason);
    }

    [Fact]
    public void A_removed_session_is_found_no_more()
    {
        var session = Add("10.0.0.2");
        _table.Remove(session, TimeSpan.Zero);
        _table.Remove(session, TimeSpan.Zero);

        Assert.Equal(BfdDropReason.NoSession, Receive("10.0.0.2", "10.0.0.1", 1).Reason);
        Assert.Equal(0, _table.Count);
    }

    [Fact]
    public void A_thousand_sessions_are_driven_in_their_order()
    {
        for (int i = 0; i < 1000; i++)
            Add($"10.0.{i / 250}.{i % 250 + 1}");
        var now = TimeSpan.Zero;
        while (now < TimeSpan.FromSeconds(10))
        {
            _table.Advance(now);
            Assert.True(_table.NextDue > now);
            Assert.Equal(_table.Sessions.Min(static session => session.NextDue), _table.NextDue);
            now = _table.NextDue + TimeSpan.FromMilliseconds(40);
        }

        Assert.InRange(_sent, 9_000, 13_000);
    }

    [Fact]
    public void An_established_session_makes_no_garbage()
    {
        var session = Add("10.0.0.2");
        Receive("10.0.0.2", "10.0.0.1", 1, session.LocalDiscriminator, BfdState.Init);
        var packet = BfdRig.Packet(BfdState.Up, session.LocalDiscriminator) with { IsFinal = true };
        var bytes = BfdRig.Bytes(packet);
        var arrival = Arrival("10.0.0.2", "10.0.0.1", 1, 255, false);
        var now = TimeSpan.Zero;
        Drive(1000);
        long allocated = Allocations.LeastOf(() => Drive(10_000));

        // An object for each packet would be 240,000 bytes; the runtime itself may need some while it compiles better code.
        Assert.InRange(allocated, 0, 20_000);
        Assert.Equal(BfdState.Up, session.State);

        void Drive(int packets)
        {
            for (int i = 0; i < packets; i++)
            {
                now += TimeSpan.FromMilliseconds(250);
                _table.Receive(arrival, bytes, now, out _);
                _table.Advance(now);
            }
        }
    }

    [Fact]
    public void Whatever_comes_nothing_is_thrown_and_no_stranger_takes_a_session_down()
    {
        var session = Add("10.0.0.2");
        var secret = _table.Add(
            new BfdSettings { Authentication = new BfdAuthentication(BfdAuthenticationType.MeticulousKeyedSha1, 1, "key") }, new BfdPath(IPAddress.Parse("10.0.0.3")), TimeSpan.Zero);
        Receive("10.0.0.2", "10.0.0.1", 1, session.LocalDiscriminator, BfdState.Init);
        var random = new Random(11);
        var buffer = new byte[80];
        var stranger = Arrival("10.0.0.4", "10.0.0.1", 1, 255, false);
        var peer = Arrival("10.0.0.2", "10.0.0.1", 1, 255, false);
        var keyed = Arrival("10.0.0.3", "10.0.0.1", 1, 255, false);
        for (int i = 0; i < 300_000; i++)
        {
            int length = random.Next(buffer.Length + 1);
            random.NextBytes(buffer);
            var target = random.Next(2) == 0 ? session : secret;
            if (random.Next(10) > 0)
            {
                BfdRig.Packet((BfdState)random.Next(4), random.Next(3) == 0 ? 0 : target.LocalDiscriminator).Write(buffer);
                length = Math.Max(length, 24);
                for (int flips = random.Next(4); flips > 0; flips--)
                    buffer[random.Next(24)] = (byte)random.Next(256);
                if (random.Next(3) == 0)
                    buffer[3] = (byte)length;
            }
            var datagram = buffer.AsSpan(0, length);
            Assert.NotEqual(BfdDropReason.None, _table.Receive(stranger, datagram, TimeSpan.Zero, out _));
            Assert.NotEqual(BfdDropReason.None, _table.Receive(keyed, datagram, TimeSpan.Zero, out _));
            if (i < 100_000)
                Assert.Equal(BfdState.Up, session.State);
            else
                _table.Receive(peer, datagram, TimeSpan.FromMilliseconds(i), out _);
            Assert.Null(_table.ReceiveEcho(254, datagram, TimeSpan.Zero));
            if (i >= 100_000 && i % 100 == 0)
                _table.Advance(TimeSpan.FromMilliseconds(i));
        }

        Assert.Equal(2, _table.Count);
    }

    void IBfdEffects.Send(BfdSession session, ReadOnlySpan<byte> packet) => _sent++;

    bool IBfdEffects.SendEcho(BfdSession session, ReadOnlySpan<byte> packet) => true;

    void IBfdEffects.Changed(BfdSession session, BfdState before)
    {
        // Nothing is asked of it here.
    }

    private static BfdArrival Arrival(string source, string destination, int link, int timeToLive, bool isMultiHop) =>
        new(Key(source), Key(destination), link, timeToLive, isMultiHop, null);

    private static IPv6Address Key(string address) => new BfdPath(IPAddress.Parse(address)).PeerKey;

    private BfdSession Add(string peer, int link = 0) => _table.Add(new BfdSettings(), new BfdPath(IPAddress.Parse(peer), Interface: link), TimeSpan.Zero);

    private (BfdDropReason Reason, BfdSession? Session) Receive(
        string source, string destination, int link, uint discriminator = 0, BfdState state = BfdState.Down, int timeToLive = 255, bool isMultiHop = false)
    {
        var reason = _table.Receive(
            Arrival(source, destination, link, timeToLive, isMultiHop), BfdRig.Bytes(BfdRig.Packet(state, discriminator)), TimeSpan.Zero, out var session);
        return (reason, session);
    }
}
