using System.Threading.Channels;
using DynamicLb.Kubernetes;

namespace DynamicLb.Speaker.Services;

/// <summary>
/// The Services that have to be looked at again, and the sleep until there are some: many threads touch, one loop takes. A burst of touches is taken at once.
/// </summary>
/// <param name="time">The clock.</param>
internal sealed class DirtyServices(TimeProvider time)
{
    // Timers do not follow a wall clock that is set.
    private static readonly TimeSpan LongestSleep = TimeSpan.FromSeconds(30);

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock _lock = new();
    private HashSet<NamespacedName> _names = [];
    private bool _all = true;

    /// <summary>These are to be looked at. Thread-safe.</summary>
    public void Touch(IEnumerable<NamespacedName> services)
    {
        lock (_lock)
            _names.UnionWith(services);
        Wake();
    }

    /// <summary>All are to be looked at. Thread-safe.</summary>
    public void TouchAll()
    {
        lock (_lock)
            _all = true;
        Wake();
    }

    /// <summary>The loop is to work, whatever there is. Thread-safe.</summary>
    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Takes what was touched. To be called by the loop alone.</summary>
    /// <param name="all">Whether all are to be looked at.</param>
    public HashSet<NamespacedName> Take(out bool all)
    {
        lock (_lock)
        {
            (var names, _names) = (_names, []);
            (all, _all) = (_all, false);
            return names;
        }
    }

    /// <summary>Sleeps until there is something to do, one of the moments has come, or it is time to look anyway. To be called by the loop alone.</summary>
    /// <param name="ends">Moments at which something ends, UTC; null for never.</param>
    /// <param name="cancellationToken">Ends the sleep with an exception.</param>
    public async Task SleepAsync(IEnumerable<DateTimeOffset?> ends, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        var pause = LongestSleep;
        foreach (var end in ends)
        {
            if (end is { } moment && moment - now < pause)
                pause = moment - now;
        }
        if (pause <= TimeSpan.Zero)
            return;
        using var timeout = new CancellationTokenSource(pause, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // A lease has ended, or it is time to look anyway.
        }
    }
}
