using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Win32.SafeHandles;

namespace DynamicLb.AddressService.Store;

/// <summary>One line of a <see cref="WriteLog"/>: exactly one of its parts is given.</summary>
/// <param name="Save">A record as it is now.</param>
/// <param name="Delete">Id of a record that is no more.</param>
/// <param name="Renew">A plain renewal.</param>
internal sealed record LogLine(LeaseRecord? Save = null, Guid? Delete = null, LeaseRenewal? Renew = null);

/// <summary>
/// Writes in the order in which they were made, one readable line of JSON each, many with one sync. The file is filled with empty lines ahead, so that a
/// line replaces what is there: neither the length nor the places on the disk change, and fdatasync(2) has nothing to write but the line itself. What
/// a crash cut off is no line. One call at a time, from any thread.
/// </summary>
internal sealed class WriteLog(string path) : IDisposable
{
    private const int Ahead = 1 << 20;
    private const int Piece = 128;
    private static readonly byte[] s_blank = Blank();
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private FileStream? _file;

    // Where the next line begins, how long the file is, and up to where a write that failed may have left something.
    private long _end;
    private long _length;
    private long _soiled;

    // The file's name may still lead to the one before, should the power go off.
    private bool _isNameUnsynced;

    /// <summary>Lines in the file, those that no longer count among them.</summary>
    public int Lines { get; private set; }

    /// <summary>Reads the file, and makes it ready for more.</summary>
    /// <param name="take">Takes each line, in order.</param>
    /// <param name="faults">
    /// Takes what is damaged within the file, which is copied aside then. What stands at its end is a write that a crash cut off; nobody was told of it.
    /// </param>
    /// <exception cref="IOException">It cannot be read.</exception>
    public void Load(Action<LogLine> take, List<string> faults)
    {
        _file?.Dispose();
        _file = Open(path, FileMode.OpenOrCreate);
        _length = RandomAccess.GetLength(_file.SafeFileHandle);
        int damaged = Read(_length, take, out _soiled);
        if (damaged > 0)
        {
            File.Copy(path, path + ".corrupt", overwrite: true);
            faults.Add($"{path} has {damaged} damaged lines: those leases are as they were written before. It was copied to {Path.GetFileName(path)}.corrupt");
        }
    }

    /// <summary>Reads the lines again.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public void Replay(Action<LogLine> take)
    {
        var (end, lines) = (_end, Lines);
        try
        {
            Read(end, take, out _);
        }
        finally
        {
            // Cut short it would have lost its place.
            (_end, Lines) = (end, lines);
        }
    }

    /// <summary>Adds lines; they are durable on return.</summary>
    /// <exception cref="IOException">None of them counts, unless the power goes off before the next call.</exception>
    public void Append(IEnumerable<LogLine> added)
    {
        var file = _file?.SafeFileHandle ?? throw new InvalidOperationException("Load it first.");
        int lines = Encode(added);
        int length = _buffer.WrittenCount;
        if (_isNameUnsynced)
            SyncName();
        // What a failed write left behind these lines would be taken for a later one.
        Fill(_soiled - _end - length);
        if (_end + _buffer.WrittenCount > _length)
        {
            Extend(file, _length, _end + _buffer.WrittenCount - _length + Ahead);
            _length = RandomAccess.GetLength(file);
        }
        try
        {
            RandomAccess.Write(file, _buffer.WrittenSpan, _end);
            Posix.SyncData(file);
        }
        catch (IOException)
        {
            _soiled = Math.Max(_soiled, _end + _buffer.WrittenCount);
            throw;
        }
        _soiled = 0;
        _end += length;
        Lines += lines;
    }

    /// <summary>Writes the file anew with these lines alone. Until it is durable the old one stands.</summary>
    /// <param name="all">The lines that count.</param>
    /// <param name="ahead">Whether more will follow.</param>
    /// <exception cref="IOException">The old one stands.</exception>
    public void Rewrite(IEnumerable<LogLine> all, bool ahead = true)
    {
        string temporary = path + ".tmp";
        var file = Open(temporary, FileMode.Create);
        int lines = 0;
        long end = 0, length;
        try
        {
            // Piece by piece: of leases by the thousand it is more than should stay in memory.
            foreach (var piece in all.Chunk(Piece))
            {
                lines += Encode(piece);
                RandomAccess.Write(file.SafeFileHandle, _buffer.WrittenSpan, end);
                end += _buffer.WrittenCount;
            }
            Extend(file.SafeFileHandle, end, ahead ? Ahead : 0);
            length = RandomAccess.GetLength(file.SafeFileHandle);
            File.Move(temporary, path, overwrite: true);
        }
        catch (IOException)
        {
            file.Dispose();
            throw;
        }
        _file?.Dispose();
        _file = file;
        (_end, _length, _soiled, Lines) = (end, length, 0, lines);
        _isNameUnsynced = true;
        SyncName();
    }

    public void Dispose()
    {
        _file?.Dispose();
        _file = null;
    }

    /// <param name="length">How much of the file.</param>
    /// <param name="take">Takes each line.</param>
    /// <param name="soiled">Up to where something stands behind the last good line that is no empty line; 0 when nothing does.</param>
    /// <returns>How many lines are damaged, not counting the end.</returns>
    private int Read(long length, Action<LogLine> take, out long soiled)
    {
        byte[] window = new byte[1 << 16];
        int held = 0, damaged = 0, damagedSince = 0;
        long at = 0;
        soiled = 0;
        (_end, Lines) = (0, 0);
        while (at + held < length)
        {
            if (held == window.Length)
                Array.Resize(ref window, 2 * window.Length);
            int got = RandomAccess.Read(_file!.SafeFileHandle, window.AsSpan(held, (int)Math.Min(window.Length - held, length - at - held)), at + held);
            if (got == 0)
                throw new EndOfStreamException($"{path} became shorter.");
            held += got;
            var rest = window.AsSpan(0, held);
            for (int next; (next = rest.IndexOf((byte)'\n')) >= 0; rest = rest[(next + 1)..], at += next + 1)
            {
                if (next == 0)
                    continue;
                if (Parse(rest[..next]) is not { } line)
                {
                    damagedSince++;
                    soiled = at + next;
                    continue;
                }
                Lines++;
                _end = at + next + 1;
                damaged += damagedSince;
                (damagedSince, soiled) = (0, 0);
                take(line);
            }
            rest.CopyTo(window);
            held = rest.Length;
        }
        if (held > 0)
            soiled = length;
        return damaged;
    }

    private void SyncName()
    {
        Posix.SyncFolder(Path.GetDirectoryName(path)!);
        _isNameUnsynced = false;
    }

    private int Encode(IEnumerable<LogLine> added)
    {
        _buffer.ResetWrittenCount();
        using var json = new Utf8JsonWriter(_buffer);
        int lines = 0;
        foreach (var line in added)
        {
            JsonSerializer.Serialize(json, line, LogJsonContext.Default.LogLine);
            json.Flush();
            _buffer.Write("\n"u8);
            json.Reset();
            lines++;
        }
        return lines;
    }

    private void Fill(long length)
    {
        for (; length > 0; length -= Math.Min(length, s_blank.Length))
            _buffer.Write(s_blank.AsSpan(0, (int)Math.Min(length, s_blank.Length)));
    }

    private static void Extend(SafeFileHandle file, long from, long by)
    {
        for (; by > 0; by -= s_blank.Length, from += s_blank.Length)
            RandomAccess.Write(file, s_blank, from);
        RandomAccess.FlushToDisk(file);
    }

    private static byte[] Blank()
    {
        byte[] blank = new byte[1 << 16];
        blank.AsSpan().Fill((byte)'\n');
        return blank;
    }

    private static LogLine? Parse(ReadOnlySpan<byte> text)
    {
        try
        {
            var line = JsonSerializer.Deserialize(text, LogJsonContext.Default.LogLine);
            int parts = (line?.Save is null ? 0 : 1) + (line?.Delete is null ? 0 : 1) + (line?.Renew is null ? 0 : 1);
            return parts == 1 && (line!.Save is null || LeaseRecordRules.Fault(line.Save) is null) ? line : null;
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

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(LogLine))]
internal sealed partial class LogJsonContext : JsonSerializerContext;
