using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace DynamicLb.AddressService.Store;

/// <summary>
/// The readable files of a data folder: <c>leases/NAMESPACE.NAME.xxxxxxxx.json</c> and <c>macs.json</c>. A file is written beside its place, synced and
/// renamed into it; it is durable when its folder is synced, too. Only the owner may read them: the key among them decides which MACs come next.
/// </summary>
internal sealed class LeaseFiles(string folder)
{
    private const string Temporary = ".tmp";
    private readonly string _leases = Path.Combine(folder, "leases");

    private string Macs => Path.Combine(folder, "macs.json");

    /// <summary>Reads all records. One that is damaged is set aside, never deleted.</summary>
    public Dictionary<Guid, LeaseRecord> ReadLeases(List<string> faults)
    {
        var records = new Dictionary<Guid, LeaseRecord>();
        foreach (string path in Directory.EnumerateFiles(_leases).Order(StringComparer.Ordinal))
        {
            if (path.EndsWith(Temporary, StringComparison.Ordinal))
                File.Delete(path);
            else if (path.EndsWith(".json", StringComparison.Ordinal) && Read(path, StoreJsonContext.Default.LeaseRecord, faults) is { } record)
                records[record.Id] = record;
        }
        return records;
    }

    /// <returns>The MAC list, or null when none was stored.</returns>
    public IReadOnlyList<string>? ReadMacs(List<string> faults) => File.Exists(Macs) ? Read(Macs, StoreJsonContext.Default.MacListRecord, faults)?.Macs : null;

    /// <summary>Makes a record's file say what was written last, or go. Not durable before <see cref="SyncLeases"/>.</summary>
    /// <exception cref="IOException">It could not.</exception>
    public void Put(StoreWrite write)
    {
        string path = Path.Combine(_leases, $"{write.Record!.Service.Replace('/', '.')}.{write.Record.Id.ToString("N")[..8]}.json");
        if (write.Kind == StoreWriteKind.Delete)
            Guarded(() => File.Delete(path));
        else
            Write(path, JsonSerializer.SerializeToUtf8Bytes(write.Record, StoreJsonContext.Default.LeaseRecord));
    }

    /// <exception cref="IOException">It failed.</exception>
    public void SyncLeases() => Posix.SyncFolder(_leases);

    /// <summary>Durable on return.</summary>
    /// <exception cref="IOException">It failed.</exception>
    public void PutMacs(IReadOnlyList<string> macs)
    {
        Write(Macs, JsonSerializer.SerializeToUtf8Bytes(new MacListRecord(macs), StoreJsonContext.Default.MacListRecord));
        Posix.SyncFolder(folder);
    }

    /// <summary>A file of one line. Durable on return.</summary>
    /// <exception cref="IOException">It failed.</exception>
    public void PutText(string name, string text)
    {
        Write(Path.Combine(folder, name), Encoding.ASCII.GetBytes(text + "\n"));
        Posix.SyncFolder(folder);
    }

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

    private static void Write(string path, ReadOnlyMemory<byte> content) => Guarded(() =>
    {
        string temporary = path + Temporary;
        var options = new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            BufferSize = 0,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var file = new FileStream(temporary, options))
        {
            file.Write(content.Span);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
    });

    private static void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
