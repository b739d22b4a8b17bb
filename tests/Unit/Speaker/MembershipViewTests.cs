using DynamicLb.Speaker.Membership;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class MembershipViewTests
{
    private readonly MembershipView _view = new("me", TimeSpan.FromSeconds(10));

    [Fact]
    public void A_node_lives_as_long_as_its_lease_changes()
    {
        _view.Renewed(At(0));
        _view.Observe("other", "other", "1", At(0));
        Assert.Equal(["me", "other"], Living(9));
        _view.Observe("other", "other", "2", At(9));
        _view.Renewed(At(15));
        Assert.Equal(["me", "other"], Living(19));
        _view.Renewed(At(20));
        Assert.Equal(["me"], Living(20));
    }

    [Fact]
    public void The_same_version_again_is_no_sign_of_life()
    {
        _view.Renewed(At(0));
        _view.Observe("other", "other", "1", At(0));
        _view.Observe("other", "other", "1", At(9));
        _view.Renewed(At(11));
        Assert.Equal(["me"], Living(11));
    }

    [Fact]
    public void A_lease_that_was_given_up_or_deleted_ends_at_once()
    {
        _view.Renewed(At(0));
        _view.Observe("a", "a", "1", At(0));
        _view.Observe("b", "b", "1", At(0));
        _view.Observe("a", "", "2", At(1));
        _view.Remove("b");
        Assert.Equal(["me"], Living(1));
    }

    [Fact]
    public void Nobody_dies_while_our_own_renewals_fail_and_all_get_a_fresh_chance_after()
    {
        _view.Renewed(At(0));
        _view.Observe("other", "other", "1", At(0));
        Assert.Equal(["me", "other"], Living(60));
        Assert.True(_view.IsCutOff);

        _view.Renewed(At(61));
        Assert.Equal(["me", "other"], Living(70));
        Assert.False(_view.IsCutOff);
        _view.Renewed(At(72));
        Assert.Equal(["me"], Living(72));
    }

    [Fact]
    public void Before_the_first_renewal_we_are_cut_off()
    {
        Assert.Equal(["me"], Living(0));
        Assert.True(_view.IsCutOff);
    }

    private static TimeSpan At(int seconds) => TimeSpan.FromSeconds(seconds);

    private IEnumerable<string> Living(int seconds) => _view.Living(At(seconds)).Order(StringComparer.Ordinal);
}
