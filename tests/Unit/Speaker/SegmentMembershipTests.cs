using System.Collections.Frozen;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class SegmentMembershipTests
{
    private static readonly HashSet<string> Leases = ["me", "a", "b", "c"];

    [Fact]
    public void Without_heartbeats_the_Leases_decide() => Assert.Equal(Leases, Unite(false, Sight([], [], false)));

    [Fact]
    public void A_node_that_fell_silent_is_out_although_its_Lease_holds() =>
        Assert.Equal(["me", "a", "c"], Unite(true, Sight(["a"], ["b"], true)).OrderBy(static node => node != "me").ThenBy(static node => node, StringComparer.Ordinal));

    [Fact]
    public void A_node_that_is_heard_is_in_although_its_Lease_ran_out() => Assert.Contains("d", Unite(true, Sight(["d"], [], true)));

    [Fact]
    public void A_node_that_does_not_beat_any_more_is_judged_by_its_Lease() =>
        Assert.Contains("b", SegmentMembership.Unite("me", Leases, static _ => false, true, Sight([], ["b"], true)));

    [Fact]
    public void We_are_in_when_we_have_listened_and_our_Lease_came_back()
    {
        Assert.DoesNotContain("me", Unite(true, Sight(["a"], [], false)));
        Assert.DoesNotContain("me", SegmentMembership.Unite("me", new HashSet<string> { "a" }, static _ => true, true, Sight(["a"], [], true)));
    }

    private static HashSet<string> Unite(bool isOn, HeartbeatSight sight) => SegmentMembership.Unite("me", Leases, static _ => true, isOn, sight);

    private static HeartbeatSight Sight(string[] alive, string[] silent, bool ready) =>
        new(alive.ToFrozenSet(StringComparer.Ordinal), silent.ToFrozenSet(StringComparer.Ordinal), ready, alive.Length > 0);
}
