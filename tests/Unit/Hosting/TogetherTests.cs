using DynamicLb.Contracts.Hosting;

namespace DynamicLb.Tests.Unit.Hosting;

/// <summary>Parts that stand and fall together.</summary>
public sealed class TogetherTests
{
    [Fact]
    public async Task The_first_part_that_fails_ends_the_others_and_is_told()
    {
        var ended = new List<string>();
        var failing = new TaskCompletionSource();
        var running = Together.RunAsync(CancellationToken.None, WaitAsync, _ => failing.Task, WaitAsync);

        failing.SetException(new InvalidDataException("broken"));

        Assert.Equal("broken", (await Assert.ThrowsAsync<InvalidDataException>(() => running)).Message);
        Assert.Equal(2, ended.Count);

        async Task WaitAsync(CancellationToken cancellationToken)
        {
            try
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
            }
            finally
            {
                lock (ended)
                    ended.Add("one");
            }
        }
    }

    [Fact]
    public async Task A_part_that_throws_before_its_first_wait_fails_as_any_other() =>
        await Assert.ThrowsAsync<InvalidDataException>(() => Together.RunAsync(
            CancellationToken.None, static token => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token), static _ => throw new InvalidDataException()));

    [Fact]
    public async Task A_part_that_ends_well_lets_the_others_go_on()
    {
        using var stop = new CancellationTokenSource();
        var running = Together.RunAsync(stop.Token, static _ => Task.CompletedTask, static token => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token));
        Assert.False(running.IsCompleted);

        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task A_failure_while_all_are_stopped_is_told()
    {
        using var stop = new CancellationTokenSource();
        var running = Together.RunAsync(stop.Token, static async token =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw new InvalidDataException();
        });

        await stop.CancelAsync();

        await Assert.ThrowsAsync<InvalidDataException>(() => running);
    }
}
