using System.Buffers;
using System.Text.Json;

namespace DynamicLb.AddressService.Store;

/// <summary>
/// Renewals beside the files of the leases, one readable line each, appended and synced many at a time: a lease that is merely extended costs a few
/// hundred bytes and a part of one sync, not a file. One call at a time, from any thread.
/// </summary>
internal sealed class RenewalLog(string path) : IDisposable
{
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private FileStream? _file;

    // Where the next line begins. What a failed write left behind it is overwritten.
    private long _end;

    /// <summary>Lines in the file, those that later ones replace among them.</summary>
    public int Lines { get; private set; }

    /// <summary>Reads the file: the last renewal of each record as it is stored.</summary>
    /// <param name="stored">The records by their id.</param>
    /// <param name="faults">Takes what is damaged within the file. What stands at its end is a write that a crash cut off; nobody was told of it.</param>
    public Dictionary<Guid, LeaseRenewal> Load(IReadOnlyDictionary<Guid, LeaseRecord> stored, List<string> faults)
    {
        _file?.Dispose();
        _file = null;
        _file = Open(path, FileMode.OpenOrCreate);
        byte[] content = new byte[_file.Length];
        _file.ReadExactly(content);
        var renewals = new Dictionary<Guid, LeaseRenewal>();
        _end = 0;
        int damaged = 0, damagedSince = 0;
        Lines = 0;
        for (var rest = content.AsSpan(); rest.IndexOf((byte)'\n') is var length and >= 0; rest = rest[(length + 1)..])
        {
            Lines++;
            if (Parse(rest[..length]) is not { } renewal)
            {
                damagedSince++;
                continue;
            }
            _end = content.Length - rest.Length + length + 1;
            damaged += damagedSince;
            damagedSince = 0;
            if (stored.TryGetValue(renewal.Id, out var record) && record.SavedAt == renewal.Of)
                renewals[renewal.Id] = renewal;
        }
        if (damaged > 0)
            faults.Add($"{path} has {damaged} damaged lines: renewals of leases that count from the ones before now");
        Cut();
        return renewals;
    }

    /// <summary>Adds renewals; they are durable on return.</summary>
    /// <exception cref="IOException">None of them is.</exception>
    public void Append(IEnumerable<LeaseRenewal> renewals)
    {
        if (_file is not { } file)
        {
            _file = file = Open(path, FileMode.OpenOrCreate);
            _end = file.Length;
        }
        int lines = Encode(renewals);
        try
        {
            file.Position = _end;
            file.Write(_buffer.WrittenSpan);
            file.Flush(flushToDisk: true);
            _end += _buffer.WrittenCount;
            Lines += lines;
        }
        catch (IOException)
        {
            Cut();
            throw;
        }
    }

    /// <summary>Writes the file anew, without what no longer counts. Until it is durable the old one stands.</summary>
    /// <exception cref="IOException">The old one stands.</exception>
    public void Rewrite(IReadOnlyDictionary<Guid, LeaseRecord> stored)
    {
        var renewals = Load(stored, []);
        string temporary = path + ".tmp";
        int lines = Encode(renewals.Values);
        var file = Open(temporary, FileMode.Create);
        try
        {
            file.Write(_buffer.WrittenSpan);
            file.Flush(flushToDisk: true);
            File.Move(temporary, path, overwrite: true);
            Posix.SyncFolder(Path.GetDirectoryName(path)!);
        }
        catch (IOException)
        {
            file.Dispose();
            throw;
        }
        _file?.Dispose();
        _file = file;
        _end = _buffer.WrittenCount;
        Lines = lines;
    }

    public void Dispose() => _file?.Dispose();

    private int Encode(IEnumerable<LeaseRenewal> renewals)
    {
        _buffer.ResetWrittenCount();
        using var json = new Utf8JsonWriter(_buffer);
        int lines = 0;
        foreach (var renewal in renewals)
        {
            JsonSerializer.Serialize(json, renewal, RenewalJsonContext.Default.LeaseRenewal);
            json.Flush();
            _buffer.Write("\n"u8);
            json.Reset();
            lines++;
        }
        return lines;
    }

    /// <summary>Takes away what stands behind the last line that counts; where that fails, it is overwritten, or passed over as damaged.</summary>
    private void Cut()
    {
        try
        {
            if (_file!.Length > _end)
                _file.SetLength(_end);
        }
        catch (IOException)
        {
            // The next write says so.
        }
    }

    private static LeaseRenewal? Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize(line, RenewalJsonContext.Default.LeaseRenewal);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static FileStream Open(string path, FileMode mode) => new(path, new FileStreamOptions
    {
        Mode = mode,
        Access = FileAccess.ReadWrite,
        Share = FileShare.Read,
        BufferSize = 0,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
    });
}
