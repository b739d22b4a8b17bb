namespace DynamicLb.AddressService.Store;

/// <summary>
/// Takes writes at once and makes them durable behind the loop's back, many in one go: while one batch is under way, the next gathers, and of several
/// writes of one record only the last is made. A write that failed is repeated until it succeeds; while nothing succeeds, new ones are refused, so that
/// callers are told. Belongs to the loop: only <see cref="StoreBatch.RunAsync"/> may run elsewhere.
/// </summary>
internal sealed class WriteBehindStore(ILeaseBackend backend, TimeProvider time) : ILeaseStore
{
    private const int LongestBatch = 256;
    private static readonly TimeSpan StallsAfter = TimeSpan.FromSeconds(3);

    private readonly Dictionary<Guid, StoreWrite> _queued = [];
    private readonly HashSet<Guid> _flying = [];
    private readonly HashSet<Guid> _known = [];
    private readonly Dictionary<Guid, TaskCompletionSource> _waiters = [];
    private StoreBatch? _batch;
    private string? _fault;
    private long _begunAt;
    private long? _gatheringSince;
    private long? _failedAt;

    /// <summary>How long writes that nobody waits for are gathered: of leases by the thousand many are renewed in that time.</summary>
    public static TimeSpan GatherFor { get; } = TimeSpan.FromSeconds(1);

    /// <summary>How long failed writes wait to be repeated.</summary>
    public static TimeSpan RepeatAfter { get; } = TimeSpan.FromSeconds(1);

    /// <summary>Why new writes are refused; null while they are taken.</summary>
    public string? Fault => _fault ?? (_flying.Count > 0 && time.GetElapsedTime(_begunAt) > StallsAfter
        ? $"the store has not answered for {(int)time.GetElapsedTime(_begunAt).TotalSeconds} s" : null);

    public StoreContents Load()
    {
        var contents = backend.Load();
        foreach (var record in contents.Leases)
            _known.Add(record.Id);
        return contents;
    }

    public byte[] MacKey() => backend.MacKey();

    public bool IsPending(Guid id) => _queued.ContainsKey(id) || _flying.Contains(id);

    /// <summary>When <see cref="Begin"/> has something to do that waits for nothing but time.</summary>
    public TimeSpan? DueIn => _gatheringSince is { } since && _flying.Count == 0 && _failedAt is null ? GatherFor - time.GetElapsedTime(since) : null;

    public void Save(LeaseRecord record)
    {
        Queue(new StoreWrite(StoreWriteKind.Save, record, null));
        _known.Add(record.Id);
    }

    public void SaveLater(LeaseRecord record)
    {
        var since = _queued.Count == 0 ? time.GetTimestamp() : _gatheringSince;
        Save(record);
        _gatheringSince = since;
    }

    public void Hurry() => _gatheringSince = null;

    public void SaveMacs(IReadOnlyList<string> macs) => Queue(new StoreWrite(StoreWriteKind.Macs, null, macs));

    /// <summary>Never refused: it can wait, and nobody is told of it.</summary>
    public void Delete(LeaseRecord record)
    {
        // What was refused never got in.
        if (!_known.Contains(record.Id))
            return;
        _queued[record.Id] = new StoreWrite(StoreWriteKind.Delete, record, null);
        Hurry();
    }

    /// <summary>Completes when no write with this key is under way any more.</summary>
    public Task WhenStored(Guid key)
    {
        if (!IsPending(key))
            return Task.CompletedTask;
        Hurry();
        if (!_waiters.TryGetValue(key, out var waiter))
            _waiters[key] = waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return waiter.Task;
    }

    /// <summary>The next batch to run; null when one is under way or there is nothing to do. Its outcome goes to <see cref="Complete"/>.</summary>
    public StoreBatch? Begin()
    {
        if (_flying.Count > 0 || _queued.Count == 0 || (_failedAt is { } at && time.GetElapsedTime(at) < RepeatAfter))
            return null;
        if (_gatheringSince is { } since && time.GetElapsedTime(since) < GatherFor)
            return null;
        _gatheringSince = null;
        var writes = _queued.Values.Take(LongestBatch).ToArray();
        foreach (var write in writes)
        {
            _queued.Remove(write.Key);
            _flying.Add(write.Key);
        }
        _begunAt = time.GetTimestamp();
        return _batch = new StoreBatch(backend, writes);
    }

    /// <summary>Takes the outcome of the batch under way.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="faults">For each write null, or why it failed.</param>
    /// <returns>The records that are durable now as they were written last.</returns>
    public IReadOnlyList<LeaseRecord> Complete(StoreBatch batch, IReadOnlyList<string?> faults)
    {
        var stored = new List<LeaseRecord>();
        string? fault = null;
        bool any = false;
        _flying.Clear();
        for (int i = 0; i < batch.Writes.Count; i++)
        {
            var write = batch.Writes[i];
            if (faults[i] is { } cause)
            {
                fault ??= cause;
                _queued.TryAdd(write.Key, write);
                continue;
            }
            any = true;
            if (_queued.ContainsKey(write.Key))
                continue;
            if (_waiters.Remove(write.Key, out var waiter))
                waiter.SetResult();
            if (write.Kind == StoreWriteKind.Delete)
                _known.Remove(write.Key);
            else if (write.Record is { } record)
                stored.Add(record);
        }
        _failedAt = fault is null ? null : time.GetTimestamp();
        _fault = any ? null : fault;
        return stored;
    }

    /// <summary>Takes back the batch under way, whose outcome nobody will tell: at the end. Writing a record twice does no harm.</summary>
    public void Recall()
    {
        foreach (var write in _batch?.Writes ?? [])
        {
            if (_flying.Remove(write.Key))
                _queued.TryAdd(write.Key, write);
        }
        _failedAt = null;
        Hurry();
    }

    public void Dispose() => backend.Dispose();

    private void Queue(StoreWrite write)
    {
        if (Fault is { } fault)
            throw new IOException(fault);
        _queued[write.Key] = write;
        Hurry();
    }
}

/// <summary>Writes on their way to the backend. <see cref="RunAsync"/> may be called on any thread, once.</summary>
internal sealed class StoreBatch(ILeaseBackend backend, IReadOnlyList<StoreWrite> writes)
{
    public IReadOnlyList<StoreWrite> Writes { get; } = writes;

    /// <returns>For each write null, or why it failed.</returns>
    public async Task<IReadOnlyList<string?>> RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await backend.CommitAsync(Writes, cancellationToken);
        }
        catch (Exception e)
        {
            // Whatever it was: they are not known to be durable.
            return [.. Enumerable.Repeat(e.Message, Writes.Count)];
        }
    }
}
