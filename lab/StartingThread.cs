using System.Collections.Concurrent;

namespace DynamicLb.Lab;

/// <summary>
/// The one thread that starts processes. The kernel sends the parent-death signal when the starting thread ends, not the process; a thread
/// of the pool would take its children along when the pool shrinks.
/// </summary>
internal static class StartingThread
{
    private static readonly BlockingCollection<Action> _work = CreateQueue();

    /// <summary>Runs <paramref name="start"/> there and returns its result or throws its exception.</summary>
    public static T Run<T>(Func<T> start)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                done.SetResult(start());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task.GetAwaiter().GetResult();
    }

    private static BlockingCollection<Action> CreateQueue()
    {
        var queue = new BlockingCollection<Action>();
        new Thread(() =>
        {
            foreach (var action in queue.GetConsumingEnumerable())
            {
                action();
            }
        })
        { IsBackground = true, Name = "process starter" }.Start();
        return queue;
    }
}
