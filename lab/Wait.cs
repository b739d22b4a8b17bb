using System.Diagnostics;

namespace DynamicLb.Lab;

/// <summary>Bounded waiting for something to become true in a world that does not say when.</summary>
public static class Wait
{
    private static readonly TimeSpan _interval = TimeSpan.FromMilliseconds(50);

    /// <summary>Polls until <paramref name="probe"/> returns something; a <see cref="TimeoutException"/> names what was waited for.</summary>
    public static Task<T> ForAsync<T>(Func<Task<T?>> probe, TimeSpan limit, string what, CancellationToken cancellationToken)
        where T : class => ForAsync(probe, limit, () => what, cancellationToken);

    /// <summary>Polls until <paramref name="probe"/> returns something; a <see cref="TimeoutException"/> tells what was waited for, and what is known of it when the time is over.</summary>
    public static async Task<T> ForAsync<T>(Func<Task<T?>> probe, TimeSpan limit, Func<string> what, CancellationToken cancellationToken)
        where T : class
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            if (await probe() is { } result)
            {
                return result;
            }

            if (watch.Elapsed > limit)
            {
                throw new TimeoutException($"waited {limit.TotalSeconds:0} s in vain for {what()}");
            }

            await Task.Delay(_interval, TimeProvider.System, cancellationToken);
        }
    }

    /// <summary>Polls until <paramref name="condition"/> holds.</summary>
    public static Task UntilAsync(Func<Task<bool>> condition, TimeSpan limit, string what, CancellationToken cancellationToken) =>
        UntilAsync(condition, limit, () => what, cancellationToken);

    /// <summary>Polls until <paramref name="condition"/> holds; see <see cref="ForAsync{T}(Func{Task{T}}, TimeSpan, Func{string}, CancellationToken)"/>.</summary>
    public static Task UntilAsync(Func<Task<bool>> condition, TimeSpan limit, Func<string> what, CancellationToken cancellationToken) =>
        ForAsync(async () => await condition() ? "" : null, limit, what, cancellationToken);

    /// <summary>Polls until <paramref name="condition"/> holds, on the calling thread.</summary>
    public static void For(Func<bool> condition, TimeSpan limit, string what) =>
        UntilAsync(() => Task.FromResult(condition()), limit, what, CancellationToken.None).GetAwaiter().GetResult();
}
