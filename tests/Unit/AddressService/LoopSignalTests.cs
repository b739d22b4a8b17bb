using System.Collections.Concurrent;
using DynamicLb.AddressService.Leasing;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>How the lease loop is woken: nothing is lost, and few threads are woken with it.</summary>
public sealed class LoopSignalTests
{
    [ThreadStatic]
    private static bool t_isWaking;

    private readonly LoopSignal _signal = new();

    [Fact]
    public async Task A_waking_before_the_wait_counts_once()
    {
        _signal.Wake();
        _signal.Wake(lend: true);
        await _signal.WaitAsync();
        var next = _signal.WaitAsync();
        Assert.False(next.IsCompleted);
        _signal.Wake();
        await next;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task The_loop_runs_on_the_thread_that_wakes_it_if_that_is_lent(bool isLent)
    {
        bool ran = await WakeAsync(isLent, async () =>
        {
            await _signal.WaitAsync();
            return t_isWaking;
        });
        Assert.Equal(isLent, ran);
    }

    [Fact]
    public async Task A_lent_thread_is_given_back_when_more_is_to_be_done_than_one_turn()
    {
        var turns = await WakeAsync(lend: true, async () =>
        {
            await _signal.WaitAsync();
            bool first = t_isWaking;
            _signal.Wake();
            await _signal.WaitAsync();
            return (first, t_isWaking);
        });
        Assert.Equal((true, false), turns);
    }

    [Fact]
    public async Task No_waking_is_lost_however_many_wake_it_at_once()
    {
        const int each = 20_000, wakers = 4;
        var queue = new ConcurrentQueue<int>();
        var loop = Task.Run(
            async () =>
            {
                for (int taken = 0; taken < each * wakers;)
                {
                    await _signal.WaitAsync();
                    while (queue.TryDequeue(out _))
                        taken++;
                }
            },
            TestContext.Current.CancellationToken);
        await Task.WhenAll(Enumerable.Range(0, wakers).Select(waker => Task.Run(() =>
        {
            for (int i = 0; i < each; i++)
            {
                queue.Enqueue(i);
                _signal.Wake(lend: (waker + i) % 2 == 0);
            }
        })));
        await loop.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Turns_of_the_loop_that_bring_nothing_nearer_set_no_timer()
    {
        var time = new CountingTime();
        await using var host = await ApiHost.StartAsync(time: time);
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        int before = time.Changes;
        for (int i = 0; i < 500; i++)
            await loop.InvokeAsync(_ => true, TestContext.Current.CancellationToken);
        Assert.InRange(time.Changes - before, 0, 100);
    }

    /// <summary>Wakes a loop that waits; on the pool, where no synchronization context asks for another thread.</summary>
    private Task<T> WakeAsync<T>(bool lend, Func<Task<T>> loop) => Task.Run(async () =>
    {
        var running = loop();
        t_isWaking = true;
        _signal.Wake(lend);
        t_isWaking = false;
        return await running.WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
    });

    /// <summary>The system's time, which counts how often a timer is set anew.</summary>
    private sealed class CountingTime : TimeProvider
    {
        private int _changes;

        public int Changes => Volatile.Read(ref _changes);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            new CountedTimer(this, base.CreateTimer(callback, state, dueTime, period));

        private sealed class CountedTimer(CountingTime time, ITimer timer) : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                Interlocked.Increment(ref time._changes);
                return timer.Change(dueTime, period);
            }

            public void Dispose() => timer.Dispose();

            public ValueTask DisposeAsync() => timer.DisposeAsync();
        }
    }
}
