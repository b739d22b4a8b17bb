using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using DynamicLb.AddressService.Configuration;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.AddressService.Store;

/// <summary>
/// Leases in a folder. A write is durable as a line of <c>writes.jsonl</c>; what it says gets into the lease's own readable file behind the callers' back,
/// within moments, and the line is forgotten after that. Plain renewals stay lines. A lock file keeps a second process out.
/// </summary>
internal sealed partial class FileLeaseStore : ILeaseBackend
{
    // Files follow when nothing was written for a while, so that they stand in nobody's way; but they do follow.
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Quiet = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan AtLatest = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LastFiles = TimeSpan.FromSeconds(2);

    private readonly string _folder;
    private readonly FileStream _lock;
    private readonly LeaseFiles _files;
    private readonly WriteLog _log;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _filing = new(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _following;

    // What the log or the files have, without the plain renewals since.
    private Dictionary<Guid, StoredVersion>? _stored;

    // What the files do not have yet. The task that writes them takes out what they have.
    private readonly ConcurrentDictionary<Guid, StoreWrite> _unfiled = new();

    // Lines of the log when it was written anew.
    private int _counted;
    private long _writtenAt;
    private long _unfiledSince;
    private bool _isDisposed;

    private FileLeaseStore(string folder, FileStream @lock, TimeProvider time, ILogger logger)
    {
        _folder = folder;
        _lock = @lock;
        _files = new LeaseFiles(folder);
        _log = new WriteLog(Path.Combine(folder, "writes.jsonl"));
        _time = time;
        _logger = logger;
        _following = FollowAsync();
    }

    /// <summary>Opens a folder, which is made if need be.</summary>
    /// <param name="folder">Where it is.</param>
    /// <param name="time">Paces the writing of files.</param>
    /// <param name="logger">Told when files cannot be written.</param>
    /// <exception cref="UnusableException">It cannot be written, or another process uses it.</exception>
    public static FileLeaseStore Open(string folder, TimeProvider? time = null, ILogger? logger = null)
    {
        folder = Path.GetFullPath(folder);
        FileStream? locked = null;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "leases"));
            // An exclusive flock(2): the kernel drops it with the process, however that ends.
            locked = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            Posix.SyncFolder(folder);
            if (File.Exists(Path.Combine(folder, LeaseImport.Marker)))
                throw new IOException($"its leases are in Kubernetes now (--store kubernetes), as {LeaseImport.Marker} in it says.");
            return new FileLeaseStore(folder, locked, time ?? TimeProvider.System, logger ?? NullLogger.Instance);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            locked?.Dispose();
            throw new UnusableException(
                $"The data folder {folder} cannot be used: {e.Message} Only one address service may use a folder, and it must be writable (--data).", e);
        }
    }

    public StoreContents Load()
    {
        var faults = new List<string>();
        var filed = _files.ReadLeases(faults);
        var stored = new Dictionary<Guid, LeaseRecord>(filed);
        var renewals = new Dictionary<Guid, LeaseRenewal>();
        bool hasFormer = ReadFormerRenewals(stored, renewals);
        _log.Load(line => Apply(line, stored, renewals), faults);
        if (hasFormer && Fault(() => _log.Append(renewals.Values.Select(renewal => new LogLine(Renew: renewal)))) is null)
            File.Delete(FormerRenewals);
        foreach (var item in _unfiled)
        {
            if (item.Value.Kind == StoreWriteKind.Save && filed.TryGetValue(item.Key, out var record) && record == item.Value.Record)
                _unfiled.TryRemove(item);
        }
        _stored = stored.ToDictionary(item => item.Key, item => StoredVersion.Of(item.Value));
        return new StoreContents(
            [.. stored.Values.Select(record => renewals.TryGetValue(record.Id, out var renewal) ? renewal.ApplyTo(record) : record)],
            _files.ReadMacs(faults), faults);
    }

    /// <summary>Appends what a batch says with one sync. On a thread of its own: it waits for the disk.</summary>
    public Task<IReadOnlyList<string?>> CommitAsync(IReadOnlyList<StoreWrite> writes, CancellationToken cancellationToken) =>
        Task.Run<IReadOnlyList<string?>>(() => Commit(writes), CancellationToken.None);

    /// <summary>Makes the files say all that is durable.</summary>
    public Task FileAsync() => Task.Run(() => FileAll(Timeout.InfiniteTimeSpan), CancellationToken.None);

    public byte[] MacKey()
    {
        string path = Path.Combine(_folder, "mac-key");
        try
        {
            if (File.Exists(path))
            {
                byte[] key = Convert.FromHexString(File.ReadAllText(path).Trim());
                return key.Length >= 16 ? key : throw new FormatException("it is shorter than 16 bytes.");
            }
        }
        catch (FormatException e)
        {
            throw new UnusableException($"{path} is not a key in hexadecimal: {e.Message} Restore it, or remove it to have a new one made.", e);
        }
        byte[] made = RandomNumberGenerator.GetBytes(32);
        _files.PutText("mac-key", Convert.ToHexStringLower(made));
        return made;
    }

    /// <summary>Leaves the files up to date, if the disk lets it soon.</summary>
    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _stop.Cancel();
        _following.Wait(LastFiles);
        _ = Fault(() => FileAll(LastFiles));
        // Who looks into the folder of a stopped service finds no more than what the files do not say.
        if (_stored is not null && _unfiled.IsEmpty)
            _ = Fault(() => Rewrite(ahead: false));
        _log.Dispose();
        _lock.Dispose();
        _stop.Dispose();
    }

    private string?[] Commit(IReadOnlyList<StoreWrite> writes)
    {
        string?[] faults = new string?[writes.Count];
        var lines = new LogLine?[writes.Count];
        for (int i = 0; i < lines.Length; i++)
        {
            if (writes[i].Record is { } record)
                lines[i] = LineOf(writes[i], record);
            else
                faults[i] = Fault(() => _files.PutMacs(writes[i].Macs!));
        }
        bool isQuiet = _time.GetElapsedTime(Volatile.Read(ref _writtenAt)) > Quiet;
        if (Fault(() => _log.Append(lines.OfType<LogLine>())) is { } fault)
        {
            for (int i = 0; i < faults.Length; i++)
                faults[i] ??= lines[i] is null ? null : fault;
            return faults;
        }
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i] is { Renew: null })
                Take(writes[i]);
        }
        // When most of it no longer counts, and not while callers wait, if it can be helped; a failure leaves the file longer than it need be.
        if (_log.Lines > (isQuiet ? 1000 + (2 * _counted) : 10_000 + (4 * _counted)))
            _ = Fault(() => Rewrite(ahead: true));
        return faults;
    }

    private Dictionary<Guid, StoredVersion> Stored
    {
        get
        {
            if (_stored is null)
                Load();
            return _stored!;
        }
    }

    private LogLine LineOf(in StoreWrite write, LeaseRecord record)
    {
        if (write.Kind == StoreWriteKind.Delete)
            return new LogLine(Delete: record.Id);
        return Stored.TryGetValue(record.Id, out var stored) && LeaseRenewal.Between(stored, record) is { } renewal
            ? new LogLine(Renew: renewal) : new LogLine(Save: record);
    }

    private void Take(in StoreWrite write)
    {
        if (write.Kind == StoreWriteKind.Delete)
            Stored.Remove(write.Key);
        else
            Stored[write.Key] = StoredVersion.Of(write.Record!);
        Unfiled(write);
    }

    private void Unfiled(in StoreWrite write)
    {
        long now = _time.GetTimestamp();
        Volatile.Write(ref _writtenAt, now);
        if (_unfiled.IsEmpty)
            Volatile.Write(ref _unfiledSince, now);
        _unfiled[write.Key] = write;
    }

    /// <summary>What a line does to what was before it. A renewal counts only for the very version of the record that it names.</summary>
    private void Apply(LogLine line, Dictionary<Guid, LeaseRecord> stored, Dictionary<Guid, LeaseRenewal> renewals)
    {
        if (line.Renew is { } renewal)
        {
            if (stored.TryGetValue(renewal.Id, out var record) && record.SavedAt == renewal.Of)
                renewals[renewal.Id] = renewal;
        }
        else if (line.Save is { } saved)
        {
            renewals.Remove(saved.Id);
            stored[saved.Id] = saved;
            Unfiled(new StoreWrite(StoreWriteKind.Save, saved, null));
        }
        else if (line.Delete is { } id)
        {
            renewals.Remove(id);
            if (stored.Remove(id, out var deleted))
                Unfiled(new StoreWrite(StoreWriteKind.Delete, deleted, null));
        }
    }

    private void Rewrite(bool ahead)
    {
        // What is filed later is carried along for nothing; what is not filed must be carried.
        var unfiled = _unfiled.Values.Select(write => write.Kind == StoreWriteKind.Delete ? new LogLine(Delete: write.Key) : new LogLine(Save: write.Record)).ToList();
        var renewals = new Dictionary<Guid, LeaseRenewal>();
        _log.Replay(line =>
        {
            if (line.Renew is { } renewal && Stored.TryGetValue(renewal.Id, out var version) && version.SavedAt == renewal.Of)
                renewals[renewal.Id] = renewal;
            else if ((line.Save?.Id ?? line.Delete) is { } id)
                renewals.Remove(id);
        });
        _log.Rewrite(unfiled.Concat(renewals.Values.Select(renewal => new LogLine(Renew: renewal))), ahead);
        _counted = _log.Lines;
    }

    private async Task FollowAsync()
    {
        using var timer = new PeriodicTimer(LookEvery, _time);
        string? said = null;
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                if (_unfiled.IsEmpty
                    || (_time.GetElapsedTime(Volatile.Read(ref _writtenAt)) < Quiet && _time.GetElapsedTime(Volatile.Read(ref _unfiledSince)) < AtLatest))
                    continue;
                string? fault = await Task.Factory.StartNew(
                    () => Fault(() => FileAll(Timeout.InfiniteTimeSpan)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                if (fault is not null && fault != said)
                    Log.FilesFailed(_logger, _unfiled.Count, fault);
                said = fault;
            }
        }
        catch (OperationCanceledException)
        {
            // The store is closed.
        }
    }

    /// <summary>One after the other: who waits for a write of the log has the disk and the processors first.</summary>
    private void FileAll(TimeSpan limit)
    {
        if (!_filing.Wait(limit))
            return;
        try
        {
            long begun = _time.GetTimestamp();
            var done = new List<KeyValuePair<Guid, StoreWrite>>();
            string? fault = null;
            foreach (var item in _unfiled)
            {
                if (limit > TimeSpan.Zero && _time.GetElapsedTime(begun) > limit)
                    break;
                if (Fault(() => _files.Put(item.Value)) is { } cause)
                    fault = cause;
                else
                    done.Add(item);
            }
            Volatile.Write(ref _unfiledSince, _time.GetTimestamp());
            if (done.Count > 0)
                _files.SyncLeases();
            foreach (var item in done)
                _unfiled.TryRemove(item);
            if (fault is not null)
                throw new IOException(fault);
        }
        finally
        {
            _filing.Release();
        }
    }

    private string FormerRenewals => Path.Combine(_folder, "renewals.jsonl");

    /// <summary>Renewals as a former version kept them: they get into the log, and their file goes.</summary>
    private bool ReadFormerRenewals(Dictionary<Guid, LeaseRecord> stored, Dictionary<Guid, LeaseRenewal> renewals)
    {
        if (!File.Exists(FormerRenewals))
            return false;
        foreach (string line in File.ReadLines(FormerRenewals))
        {
            try
            {
                if (JsonSerializer.Deserialize(line, LogJsonContext.Default.LeaseRenewal) is { } renewal)
                    Apply(new LogLine(Renew: renewal), stored, renewals);
            }
            catch (JsonException)
            {
                // Cut off: the one before counts.
            }
        }
        return true;
    }

    private static string? Fault(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} leases are stored in writes.jsonl, but not in their own files yet, which will be tried again: {Cause}")]
        public static partial void FilesFailed(ILogger logger, int count, string cause);
    }
}
