using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>What single heartbeats make of the others, frame by frame.</summary>
public sealed class HeartbeatTableTests
{
    private const int Front = 2;
    private const int Back = 3;
    private static readonly byte[] Key = Encoding.UTF8.GetBytes("0123456789abcdef");
    private static readonly byte[][] Keys = [Key];
    private readonly HeartbeatTable _table;
    private ulong _drawn = 100;

    public HeartbeatTableTests()
    {
        _table = new HeartbeatTable("me", TimeSpan.FromMilliseconds(100), () => ++_drawn, TimeSpan.Zero);
        _table.UseLinks([Front, Back], [Front, Back], TimeSpan.Zero);
    }

    [Fact]
    public void Frames_of_an_instance_that_was_left_are_old_even_when_they_echo_ours()
    {
        Assert.Equal(HeardKind.Taken, Hear("b", 1, 10, 0));
        Assert.Equal(HeardKind.Taken, Hear("b", 2, 1, 100));
        Assert.Equal(HeardKind.Old, Hear("b", 1, 11, 200));
        Evaluate(800);
        Assert.DoesNotContain("b", _table.Sight.Alive.AsEnumerable());
    }

    [Fact]
    public void Frames_recorded_on_one_link_are_old_on_another()
    {
        for (ulong sequence = 1; sequence <= 20; sequence++)
            Assert.Equal(HeardKind.Taken, Hear("b", 1, sequence, sequence * 100));
        // The last one goes out by all links.
        Assert.Equal(HeardKind.Old, Hear("b", 1, 5, 2000, Back));
        Assert.Equal(HeardKind.Taken, Hear("b", 1, 20, 2000, Back));
    }

    [Fact]
    public void A_link_that_passes_no_heartbeats_tells_nothing_about_those_who_are_heard_by_another()
    {
        Hear("b", 1, 1, 0);
        Evaluate(700);
        Hear("b", 1, 2, 700);
        Evaluate(700);
        Assert.True(_table.Sight.CanServe("b", "me", [Back]));
        Assert.True(_table.Sight.CanServe("me", "me", [Back]));

        // As soon as anybody is heard there, whoever is not can serve nobody.
        Hear("c", 7, 1, 700, Back);
        Evaluate(700);
        Assert.False(_table.Sight.CanServe("b", "me", [Back]));
        Assert.True(_table.Sight.CanServe("c", "me", [Back]));
    }

    [Fact]
    public void A_node_that_left_and_came_back_unheard_counts_by_its_lease_when_it_is_seen_otherwise()
    {
        Hear("b", 1, 1, 0);
        Hear("b", 1, 2, 100, leaves: true);
        Evaluate(1000);
        Assert.Contains("b", _table.Sight.Silent.AsEnumerable());
        _table.SeenOtherwise(Mac(1), TimeSpan.FromSeconds(10));
        Evaluate(10_000);
        Assert.DoesNotContain("b", _table.Sight.Silent.AsEnumerable());
    }

    [Fact]
    public void Without_leave_to_announce_nobody_is_ready()
    {
        Evaluate(10_000, mayAnnounce: false);
        Assert.False(_table.IsReady);
        Evaluate(10_000);
        Assert.True(_table.IsReady);
    }

    [Fact]
    public void Heartbeats_become_rarer_with_the_nodes_and_more_frequent_when_these_fall_silent()
    {
        Assert.Equal(100, _table.Interval.TotalMilliseconds);
        for (ulong node = 0; node < 200; node++)
            Hear($"n{node}", 1000 + node, 1, 0);
        Evaluate(10);
        Assert.Equal(400, _table.Interval.TotalMilliseconds);
        for (ulong node = 0; node < 3; node++)
            Hear($"n{node}", 1000 + node, 2, 1000);
        Evaluate(1000);
        Assert.Equal(100, _table.Interval.TotalMilliseconds);
    }

    private static MacAddress Mac(ulong instance) => new(0x020000000000u + instance);

    private void Evaluate(double milliseconds, bool mayAnnounce = true) => _table.Evaluate(TimeSpan.FromMilliseconds(milliseconds), mayAnnounce);

    private HeardKind Hear(string node, ulong instance, ulong sequence, double milliseconds, int link = Front, bool leaves = false)
    {
        var frame = new byte[HeartbeatFrame.MaxLength];
        int length = HeartbeatFrame.Write(frame, Mac(instance), new Heartbeat(instance, sequence, 100, !leaves, leaves), Encoding.UTF8.GetBytes(node), [_table.Instance], Key);
        Assert.True(HeartbeatFrame.TryRead(frame.AsSpan(0, length), Keys, out var view));
        return _table.Hear(view, link, TimeSpan.FromMilliseconds(milliseconds));
    }
}
