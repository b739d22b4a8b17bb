using DynamicLb.Speaker.Membership;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class PauseGuardTests
{
    private readonly FakeTime _time = new();
    private readonly PauseGuard _guard;

    public PauseGuardTests() => _guard = new PauseGuard(_time, TimeSpan.FromSeconds(3));

    [Fact]
    public void A_process_that_runs_is_not_paused()
    {
        for (int i = 0; i < 100; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(2.9));
            Assert.False(_guard.IsPaused);
            Assert.False(_guard.Tick());
        }
    }

    [Fact]
    public void A_pause_is_in_force_before_anybody_noticed_it_and_until_we_are_heard()
    {
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.True(_guard.IsPaused);
        Assert.True(_guard.Tick());
        Assert.False(_guard.Tick());
        Assert.True(_guard.IsPaused);
        _guard.Resume();
        Assert.False(_guard.IsPaused);
        Assert.Equal(1, _guard.Pauses);
    }

    [Fact]
    public void A_pause_within_a_pause_is_noticed_too()
    {
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.True(_guard.Tick());
        _time.Advance(TimeSpan.FromSeconds(4));
        Assert.True(_guard.Tick());
        Assert.Equal(2, _guard.Pauses);
        Assert.True(_guard.Resume());
        Assert.False(_guard.Resume());
    }

    [Fact]
    public void A_wall_clock_that_jumps_is_no_pause()
    {
        _time.JumpWallClock(TimeSpan.FromHours(5));
        Assert.False(_guard.IsPaused);
    }
}
