using DynamicLb.AddressService.Leasing;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class LeaseLoopTests
{
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
