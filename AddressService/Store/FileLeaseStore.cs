using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Store;

/// <summary>
/// Leases in a folder, one readable JSON file each: <c>leases/NAMESPACE.NAME.xxxxxxxx.json</c>. A file is written beside its place, synced, renamed
/// into it, and the folder synced. Plain renewals go to <c>renewals.jsonl</c> instead. A lock file keeps a second process out.
/// </summary>
internal sealed class FileLeaseStore : ILeaseBackend
{
    private const int WritersAtOnce = 8;
    private const string Temporary = ".tmp";
    private readonly string _folder;
    private readonly string _leases;
    private readonly FileStream _lock;
    private readonly RenewalLog _renewals;

    // As they stand in their files, without the renewals since.
    private readonly Dictionary<Guid, LeaseRecord> _stored = [];

    private FileLeaseStore(string folder, FileStream @lock)
    {
        _folder = folder;
        _leases = Path.Combine(folder, "leases");
        _lock = @lock;
        _renewals = new RenewalLog(Path.Combine(folder, "renewals.jsonl"));
    }

    /// <summary>Opens a folder, which is made if need be.</summary>
    /// <exception cref="UnusableException">It cannot be written, or another process uses it.</exception>
    public static FileLeaseStore Open(string folder)
    {
        folder = Path.GetFullPath(folder);
        FileStream? locked = null;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "leases"));
            // An exclusive flock(2): the kernel drops it with the process, however that ends.
            locked = new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            Posix.SyncFolder(folder);
            return new FileLeaseStore(folder, locked);
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
        _stored.Clear();
        var faults = new List<string>();
        foreach (string path in Directory.EnumerateFiles(_leases).Order(StringComparer.Ordinal))
        {
            if (path.EndsWith(Temporary, StringComparison.Ordinal))
                File.Delete(path);
            else if (path.EndsWith(".json", StringComparison.Ordinal) && Read(path, StoreJsonContext.Default.LeaseRecord, faults) is { } record)
                _stored[record.Id] = record;
        }
        var renewals = _renewals.Load(_stored, faults);
        var leases = _stored.Values.Select(record => renewals.TryGetValue(record.Id, out var renewal) ? renewal.ApplyTo(record) : record).ToList();
        string macs = Path.Combine(_folder, "macs.json");
        var list = File.Exists(macs) ? Read(macs, StoreJsonContext.Default.MacListRecord, faults)?.Macs : null;
        return new StoreContents(leases, list, faults);
    }

    /// <summary>
    /// Syncs the files of a batch side by side, which a journaling file system does in few commits, and each folder once. On a thread of its own:
    /// fsync(2) waits for the disk.
    /// </summary>
    public Task<IReadOnlyList<string?>> CommitAsync(IReadOnlyList<StoreWrite> writes, CancellationToken cancellationToken) =>
        Task.Run<IReadOnlyList<string?>>(() => Commit(writes), CancellationToken.None);

    private string?[] Commit(IReadOnlyList<StoreWrite> writes)
    {
        string?[] faults = new string?[writes.Count];
        var renewals = new LeaseRenewal?[writes.Count];
        for (int i = 0; i < renewals.Length; i++)
        {
            if (writes[i] is { Kind: StoreWriteKind.Save, Record: { } record } && _stored.TryGetValue(record.Id, out var stored))
                renewals[i] = LeaseRenewal.Between(stored, record);
        }
        int[] files = [.. Enumerable.Range(0, writes.Count).Where(i => renewals[i] is null)];
        if (files.Length > 0)
            CommitFiles(writes, files, faults);
        if (files.Length < writes.Count && Fault(() => _renewals.Append(renewals.OfType<LeaseRenewal>())) is { } fault)
        {
            for (int i = 0; i < faults.Length; i++)
                faults[i] = renewals[i] is null ? faults[i] : fault;
        }
        // The lines that count are at most one a lease; a failure leaves the file longer than it need be.
        if (_renewals.Lines > 1000 + (2 * _stored.Count))
            _ = Fault(() => _renewals.Rewrite(_stored));
        return faults;
    }

    private void CommitFiles(IReadOnlyList<StoreWrite> writes, int[] places, string?[] faults)
    {
        if (places is [int only])
            faults[only] = Fault(() => Put(writes[only]));
        else
            Parallel.ForEach(places, new ParallelOptions { MaxDegreeOfParallelism = WritersAtOnce }, i => faults[i] = Fault(() => Put(writes[i])));
        string? unsynced = Fault(() =>
        {
            if (places.Any(i => writes[i].Kind != StoreWriteKind.Macs))
                Posix.SyncFolder(_leases);
            if (places.Any(i => writes[i].Kind == StoreWriteKind.Macs))
                Posix.SyncFolder(_folder);
        });
        foreach (int i in places)
        {
            faults[i] ??= unsynced;
            if (writes[i].Record is not { } record)
                continue;
            // What stands in the file after a failure is not known: a renewal must not lean on it.
            if (faults[i] is null && writes[i].Kind == StoreWriteKind.Save)
                _stored[record.Id] = record;
            else
                _stored.Remove(record.Id);
        }
    }

    private void Put(StoreWrite write)
    {
        switch (write.Kind)
        {
            case StoreWriteKind.Save:
                Write(PathOf(write.Record!), JsonSerializer.SerializeToUtf8Bytes(write.Record!, StoreJsonContext.Default.LeaseRecord));
                break;
            case StoreWriteKind.Delete:
                File.Delete(PathOf(write.Record!));
                break;
            default:
                Write(
                    Path.Combine(_folder, "macs.json"),
                    JsonSerializer.SerializeToUtf8Bytes(new MacListRecord(write.Macs!), StoreJsonContext.Default.MacListRecord));
                break;
        }
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
        Write(path, System.Text.Encoding.ASCII.GetBytes(Convert.ToHexStringLower(made) + "\n"));
        Posix.SyncFolder(_folder);
        return made;
    }

    public void Dispose()
    {
        _renewals.Dispose();
        _lock.Dispose();
    }

    private string PathOf(LeaseRecord record) =>
        Path.Combine(_leases, $"{record.Service.Replace('/', '.')}.{record.Id.ToString("N")[..8]}.json");

    private static T? Read<T>(string path, JsonTypeInfo<T> type, List<string> faults)
        where T : class
    {
        try
        {
            var value = JsonSerializer.Deserialize(File.ReadAllBytes(path), type) ?? throw new JsonException("it is empty.");
            if (value is LeaseRecord record && LeaseRecordRules.Fault(record) is { } fault)
                throw new JsonException(fault);
            return value;
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            File.Move(path, path + ".corrupt", overwrite: true);
            faults.Add($"{path} is damaged ({e.Message}) and was set aside as {Path.GetFileName(path)}.corrupt");
            return null;
        }
    }

    /// <summary>Durable once the folder is synced, too.</summary>
    private static void Write(string path, ReadOnlySpan<byte> content)
    {
        string temporary = path + Temporary;
        try
        {
            // Only the owner may read: the key among these files decides which MACs come next.
            var options = new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                BufferSize = 0,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            };
            using (var file = new FileStream(temporary, options))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
