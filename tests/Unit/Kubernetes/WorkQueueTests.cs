using DynamicLb.Kubernetes.Queues;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Kubernetes;

public sealed class WorkQueueTests : IDisposable
{
    private readonly FakeTime _time = new();
    private readonly WorkQueue<string> _queue;

    public WorkQueueTests() => _queue = new WorkQueue<string>(_time, new Random(1));

    public void Dispose() => _queue.Dispose();

    [Fact]
    public async Task A_key_that_waits_is_there_once()
    {
        _queue.Add("a");
        _queue.Add("a");
        Assert.Equal(1, _queue.Count);
        Assert.Equal("a", await TakeAsync());
        _queue.Done("a");
        Assert.Equal(0, _queue.Count);
    }

    [Fact]
    public async Task A_key_added_while_it_is_worked_on_comes_again_after_Done_and_not_before()
    {
        _queue.Add("a");
        await TakeAsync();
        _queue.Add("a");
        var second = TakeAsync();
        Assert.False(second.IsCompleted);
        _queue.Done("a");
        Assert.Equal("a", await second);
    }

    [Fact]
    public async Task Of_two_delays_the_earlier_counts_and_the_key_comes_once()
    {
        _queue.AddAfter("a", TimeSpan.FromSeconds(10));
        _queue.AddAfter("a", TimeSpan.FromSeconds(5));
        _queue.AddAfter("a", TimeSpan.FromSeconds(20));
        _time.Advance(TimeSpan.FromSeconds(4.9));
        Assert.Equal(0, _queue.Count);
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal("a", await TakeAsync());
        _queue.Done("a");
        _time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(0, _queue.Count);
    }

    [Fact]
    public void A_step_of_the_wall_clock_moves_no_delay()
    {
        _queue.AddAfter("a", TimeSpan.FromMinutes(1));
        _time.JumpWallClock(TimeSpan.FromDays(1));
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal(0, _queue.Count);
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(1, _queue.Count);
    }

    [Fact]
    public void A_delay_longer_than_timers_can_wait_is_kept()
    {
        using var queue = new WorkQueue<string>(TimeProvider.System, new Random(1));
        queue.AddAfter("infinite lease", TimeSpan.FromSeconds(uint.MaxValue));

        _queue.AddAfter("a", TimeSpan.FromDays(60));
        _time.Advance(TimeSpan.FromDays(59.9));
        Assert.Equal(0, _queue.Count);
        _time.Advance(TimeSpan.FromDays(0.2));
        Assert.Equal(1, _queue.Count);
    }

    [Fact]
    public async Task Backoff_of_a_key_grows_to_the_limit_and_Forget_ends_it()
    {
        var pauses = new List<TimeSpan>();
        for (int i = 0; i < 14; i++)
            pauses.Add(await PauseOfAsync("a"));
        Assert.InRange(pauses[0].TotalMilliseconds, 25, 55);
        Assert.InRange(pauses[3].TotalMilliseconds, 200, 405);
        Assert.All(pauses, pause => Assert.InRange(pause.TotalSeconds, 0, 60.1));
        Assert.InRange(pauses[^1].TotalSeconds, 30, 60.1);
        _queue.Forget("a");
        Assert.InRange((await PauseOfAsync("a")).TotalMilliseconds, 25, 55);
    }

    private async Task<TimeSpan> PauseOfAsync(string key)
    {
        var start = _time.Elapsed;
        _queue.AddRateLimited(key);
        while (_queue.Count == 0)
            _time.Advance(TimeSpan.FromMilliseconds(5));
        await TakeAsync();
        _queue.Done(key);
        return _time.Elapsed - start;
    }

    private async Task<string> TakeAsync() => await _queue.GetAsync(TestContext.Current.CancellationToken);
}
