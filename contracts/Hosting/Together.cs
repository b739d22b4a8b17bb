using System.Runtime.ExceptionServices;

namespace DynamicLb.Contracts.Hosting;

/// <summary>
/// Parts of a program that stand and fall together. Half a program is worse than none: it holds its leadership, answers its probes, and does not do its work. When a part
/// fails in a way that it does not mend itself, all end, the process with them, and Kubernetes starts it anew.
/// </summary>
public static class Together
{
    /// <summary>Runs parts until all have ended: those that end well let the others go on, the first that fails cancels the others.</summary>
    /// <param name="cancellationToken">Ends all.</param>
    /// <param name="parts">The parts, each called once; what one does before its first wait is done before the next is called.</param>
    /// <exception cref="OperationCanceledException">They were cancelled, and none failed.</exception>
    /// <exception cref="Exception">What the first part that failed threw.</exception>
    public static async Task RunAsync(CancellationToken cancellationToken, params IReadOnlyList<Func<CancellationToken, Task>> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        using var all = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Exception? failure = null;
        await Task.WhenAll(parts.Select(RunPartAsync).ToList()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
        cancellationToken.ThrowIfCancellationRequested();

        async Task RunPartAsync(Func<CancellationToken, Task> part)
        {
            try
            {
                await part(all.Token);
            }
            catch (OperationCanceledException) when (all.IsCancellationRequested)
            {
                // Told to stop, or another failed.
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, null);
                await all.CancelAsync();
            }
        }
    }
}
