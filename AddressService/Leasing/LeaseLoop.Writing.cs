using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The store's side of the loop: batches of writes leave it and come back to it, and it never waits for one.</summary>
internal sealed partial class LeaseLoop
{
    private static readonly TimeSpan LastWrites = TimeSpan.FromSeconds(2);
    private Task _writing = Task.CompletedTask;

    /// <summary>Runs an action on the loop; its result is given when what it wrote under some keys is durable.</summary>
    /// <exception cref="System.Threading.Channels.ChannelClosedException">The program stops.</exception>
    /// <exception cref="TimeoutException">The store did not take it in time; it goes on trying.</exception>
    public async Task<T> InvokeAsync<T>(Func<LeaseKeeper, T> action, Func<T, IReadOnlyCollection<Guid>> keys, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var (result, stored) = await InvokeAsync(
            keeper =>
            {
                var outcome = action(keeper);
                return (outcome, Task.WhenAll(keys(outcome).Select(_store.WhenStored)));
            },
            cancellationToken);
        await stored.WaitAsync(timeout, _time, cancellationToken);
        return result;
    }

    private void BeginWriting(CancellationToken cancellationToken)
    {
        if (_store.Begin() is { } batch)
            _writing = WriteAsync(batch, cancellationToken);
    }

    private async Task WriteAsync(StoreBatch batch, CancellationToken cancellationToken)
    {
        long begun = _time.GetTimestamp();
        var faults = await batch.RunAsync(cancellationToken);
        _metrics.Wrote(_time.GetElapsedTime(begun));
        bool failed = faults.Any(fault => fault is not null);
        try
        {
            await _queue.Writer.WriteAsync(new Item(default, 0, keeper => Wrote(keeper, batch, faults)), cancellationToken);
            if (!failed)
                return;
            await Task.Delay(WriteBehindStore.RepeatAfter, _time, cancellationToken);
            await _queue.Writer.WriteAsync(default, cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or System.Threading.Channels.ChannelClosedException)
        {
            // The loop ended meanwhile. What did not become durable is as if it had come a moment later.
        }
    }

    private void Wrote(LeaseKeeper keeper, StoreBatch batch, IReadOnlyList<string?> faults)
    {
        if (faults.FirstOrDefault(fault => fault is not null) is { } fault)
        {
            _metrics.StoreFailed();
            Log.WriteFailed(_logger, faults.Count(f => f is not null), fault);
        }
        foreach (var record in _store.Complete(batch, faults))
            keeper.Stored(record);
    }

    /// <summary>Makes durable what is still queued when the loop has ended. A batch whose outcome did not come back to the loop is written again.</summary>
    private async Task FinishWritingAsync()
    {
        using var deadline = new CancellationTokenSource(LastWrites, _time);
        try
        {
            await _writing.WaitAsync(deadline.Token);
            _store.Recall();
            while (_store.Begin() is { } batch)
                _ = _store.Complete(batch, await batch.RunAsync(deadline.Token).WaitAsync(deadline.Token));
        }
        catch (OperationCanceledException)
        {
            Log.WritesLeft(_logger);
        }
    }
}
