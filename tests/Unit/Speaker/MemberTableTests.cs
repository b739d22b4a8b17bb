using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class MemberTableTests
{
    private readonly MemberTable _table = new("me", TimeSpan.FromSeconds(3));
    private int _stamp;

    [Fact]
    public void We_are_no_member_before_our_own_lease_came_back()
    {
        See("other", 0);
        _table.Writing("first");
        Assert.Equal(["other"], Members(0));
        Assert.False(_table.HasJoined);

        Assert.True(_table.Observe("me", Held("first"), At(0.1)));
        Assert.Equal(["me", "other"], Members(0.1));
    }

    [Fact]
    public void A_lease_of_an_earlier_process_of_ours_is_not_our_own()
    {
        Assert.False(_table.Observe("me", Held("yesterday"), At(0)));
        Assert.Empty(Members(0));
        Assert.True(_table.IsCutOff(At(0)));
    }

    [Fact]
    public void A_node_lives_as_long_as_its_lease_changes()
    {
        Live(0, 5, "me", "other");
        Assert.Equal(["me", "other"], Members(5));
        Live(5, 7.9, "me");
        Assert.Equal(["me", "other"], Members(7.9));
        Live(8, 8.1, "me");
        Assert.Equal(["me"], Members(8.1));
        See("other", 8.2);
        Assert.Equal(["me", "other"], Members(8.2));
    }

    [Fact]
    public void The_same_renewal_seen_again_is_no_sign_of_life()
    {
        Live(0, 0.5, "me", "other");
        for (double now = 0.5; now < 4; now += 0.5)
        {
            Echo(now);
            _table.Observe("other", Held("s1"), At(now));
        }
        Live(4, 4.5, "me");
        Assert.Equal(["me"], Members(4.5));
    }

    [Fact]
    public void A_lease_that_was_given_up_or_deleted_ends_at_once()
    {
        Live(0, 1, "me", "a", "b");
        _table.Observe("a", Held("s99") with { Spec = new LeaseSpec { HolderIdentity = "" } }, At(1));
        Assert.Equal(["b", "me"], Members(1));
        _table.Observe("b", null, At(1));
        Assert.Equal(["me"], Members(1));
    }

    [Fact]
    public void While_we_hear_nothing_nobody_dies_and_all_have_a_full_term_afterwards()
    {
        Live(0, 5, "me", "a", "b");
        // The watch hangs for a minute; b dies meanwhile.
        Assert.Equal(["a", "b", "me"], Members(7));
        Assert.Equal(["a", "b", "me"], Members(60));
        Assert.True(_table.IsCutOff(At(60)));

        // Our own word comes back before that of the others.
        Echo(65);
        Assert.False(_table.IsCutOff(At(65)));
        Assert.Equal(["a", "b", "me"], Members(65));
        Live(65.1, 68.2, "me", "a");
        Assert.Equal(["a", "me"], Members(68.2));
    }

    [Fact]
    public void A_watch_that_hangs_for_less_than_a_term_kills_nobody()
    {
        for (double pause = 0.1; pause < 6; pause += 0.1)
        {
            var table = new MemberTable("me", TimeSpan.FromSeconds(3));
            double now = 0;
            for (int i = 0; i < 10; i++, now += 1)
            {
                table.Writing($"m{i}");
                table.Observe("other", Held($"o{i}"), At(now));
                table.Observe("me", Held($"m{i}"), At(now + 0.9));
                table.Evaluate(At(now + 0.9));
            }
            for (double look = now; look < now + pause; look += 0.1)
            {
                table.Evaluate(At(look));
                Assert.Contains("other", table.Members);
            }
            table.Writing("again");
            table.Observe("me", Held("again"), At(now + pause));
            table.Evaluate(At(now + pause));
            Assert.Contains("other", table.Members);
        }
    }

    [Fact]
    public void Clocks_of_other_nodes_do_not_matter()
    {
        Live(0, 0.5, "me");
        for (double now = 0; now < 10; now += 1)
        {
            Echo(now);
            // Stuck in the past, jumping, and not even a time.
            _table.Observe("past", Held($"1970-01-01T00:00:{now:00}.000000Z"), At(now));
            _table.Observe("jumping", Held(now % 2 == 0 ? $"2099-{now}" : $"1999-{now}"), At(now));
            _table.Observe("odd", Held($"tick {now}"), At(now));
        }
        Assert.Equal(["jumping", "me", "odd", "past"], Members(9.5));
    }

    [Fact]
    public void Each_node_says_itself_how_long_it_is_waited_for()
    {
        Live(0, 0.5, "me");
        _table.Observe("slow", Held("s") with { Spec = new LeaseSpec { HolderIdentity = "slow", RenewTime = "s", LeaseDurationSeconds = 20 } }, At(0));
        _table.Observe("absurd", Held("s") with { Spec = new LeaseSpec { HolderIdentity = "absurd", RenewTime = "s", LeaseDurationSeconds = int.MaxValue } }, At(0));
        Live(0.5, 15, "me");
        Assert.Equal(["me", "slow"], Members(15));
        Live(15, 20.5, "me");
        Assert.Equal(["me"], Members(20.5));
    }

    [Fact]
    public void What_was_written_before_a_pause_does_not_count_after_it()
    {
        Live(0, 1, "me", "other");
        _table.Writing("before");
        _table.ForgetWrites();
        Assert.False(_table.Observe("me", Held("before"), At(20)));
        _table.Writing("after");
        Assert.True(_table.Observe("me", Held("after"), At(20.1)));
    }

    [Fact]
    public void A_lease_that_was_there_before_us_counts_for_nothing_until_it_changes_and_we_wait_for_its_term()
    {
        See("alive", 0);
        See("dead", 0);
        See("gone", 0);
        Echo(0.1, "");
        Members(0.1);
        Assert.False(_table.HasJoined);
        Assert.False(_table.MayJoin);
        See("alive", 1);
        _table.Observe("gone", null, At(1));
        // Who starts with us or later is alive beyond doubt.
        See("new", 2.5);
        for (double now = 1; now < 3; now += 0.5)
        {
            Echo(now, "");
            Members(now);
            Assert.False(_table.MayJoin);
        }
        See("alive", 3);
        Echo(3.1, "");
        Assert.Equal(["alive", "new"], Members(3.2));
        Assert.True(_table.MayJoin);
        Assert.True(_table.IsCutOff(At(3.2)));

        Echo(3.3);
        Assert.Equal(["alive", "me", "new"], Members(3.3));
        Assert.False(_table.IsCutOff(At(3.3)));
    }

    [Fact]
    public void Nobody_waits_for_the_term_of_leases_that_are_renewed()
    {
        See("a", 0);
        Echo(0.1, "");
        Members(0.2);
        Assert.False(_table.MayJoin);
        See("a", 0.9);
        Members(0.9);
        Assert.True(_table.MayJoin);
    }

    [Fact]
    public void The_dead_do_not_come_to_life_again_with_a_watch_that_hung()
    {
        Live(0, 1, "me", "a", "dead");
        Live(1, 5, "me", "a");
        Assert.Equal(["a", "me"], Members(5));
        // The watch hangs.
        Assert.Equal(["a", "me"], Members(60));
        Echo(60);
        Assert.Equal(["a", "me"], Members(60));
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromSeconds(seconds);

    private static Lease Held(string stamp) => new() { Spec = new LeaseSpec { HolderIdentity = "somebody", RenewTime = stamp } };

    private void Live(double from, double to, params string[] nodes)
    {
        for (double now = from; now <= to; now += 0.5)
        {
            foreach (string node in nodes)
            {
                if (node == "me")
                    Echo(now);
                else
                    See(node, now);
            }
            _table.Evaluate(At(now));
        }
    }

    private void See(string node, double now) => _table.Observe(node, Held($"s{++_stamp}"), At(now));

    private void Echo(double now, string holder = "me")
    {
        string stamp = $"s{++_stamp}";
        _table.Writing(stamp);
        _table.Observe("me", new Lease { Spec = new LeaseSpec { HolderIdentity = holder, RenewTime = stamp } }, At(now));
    }

    private IEnumerable<string> Members(double now)
    {
        _table.Evaluate(At(now));
        return _table.Members.Order(StringComparer.Ordinal);
    }
}
