using System.Threading.Channels;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Journal;

/// <summary>One reader of the event stream, between the loop that tells and the connection that is written to.</summary>
/// <param name="covers">Whether the reader may see a service's events; null for all.</param>
internal sealed class LeaseWatcher(Func<string, bool>? covers = null)
{
    /// <summary>Events that may wait for the reader; one that lags further behind is cut off, and resumes from the journal's ring.</summary>
    public const int QueueLength = 1024;

    private readonly TaskCompletionSource _cut = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<byte[]> _queue = Channel.CreateBounded<byte[]>(new BoundedChannelOptions(QueueLength) { SingleReader = true, SingleWriter = true });

    /// <summary>Encoded events; complete when the reader was cut off.</summary>
    public ChannelReader<byte[]> Events => _queue.Reader;

    /// <summary>Completes when the reader was cut off, also while a write to it hangs.</summary>
    public Task Cut => _cut.Task;

    /// <summary>Whether the reader may see a service's events.</summary>
    public bool Covers(string service) => covers?.Invoke(service) != false;

    /// <summary>False when it does not keep up; it gets nothing more then.</summary>
    public bool Offer(byte[] message)
    {
        if (_queue.Writer.TryWrite(message))
            return true;
        _queue.Writer.TryComplete();
        _cut.TrySetResult();
        return false;
    }
}

/// <summary>What a watch begins with: what the reader missed, or everything.</summary>
/// <param name="Missed">The events since the reader's last one; null when they are not known any more.</param>
/// <param name="Snapshot">All leases, when <paramref name="Missed"/> is null.</param>
/// <param name="Position">The newest event.</param>
internal sealed record WatchStart(IReadOnlyList<LeaseEvent>? Missed, IReadOnlyList<LeaseAnswer> Snapshot, string Position);
