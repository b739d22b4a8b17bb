using System.Security.Cryptography;

namespace DynamicLb.Speaker.Heartbeats;

/// <summary>
/// The keys of the heartbeats, from a file that is read again when it changes: the first line signs, every line is accepted, so that a key can be exchanged without a moment in
/// which some nodes do not understand the others.
/// </summary>
/// <param name="path">The file: a Secret, mounted.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
internal sealed partial class HeartbeatKeys(string path, TimeProvider time, ILogger<HeartbeatKeys> logger)
{
    private const int Shortest = 16;
    private const int Most = 8;
    private const int LargestFile = 4096;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    private volatile IReadOnlyList<byte[]> _keys = [];
    private long? _lookedAt;
    private string? _fault;

    /// <summary>The keys, the one that signs first; empty while the file holds none. Thread-safe.</summary>
    public IReadOnlyList<byte[]> Current => _keys;

    /// <summary>Looks at the file if it is time. One caller at a time.</summary>
    public void Look()
    {
        if (_lookedAt is { } at && time.GetElapsedTime(at) < LookEvery)
            return;
        _lookedAt = time.GetTimestamp();
        string? fault = TryRead(out var keys);
        if (fault is null)
            _keys = keys;
        if (fault == _fault)
            return;
        _fault = fault;
        if (fault is null)
            LogRead(logger, keys.Count);
        else
            LogFault(logger, path, fault);
    }

    private string? TryRead(out IReadOnlyList<byte[]> keys)
    {
        keys = [];
        try
        {
            if (new FileInfo(path).Length > LargestFile)
                return "it is too long";
            var lines = File.ReadAllLines(path).Select(static line => line.Trim()).Where(static line => line.Length > 0).ToList();
            if (lines.Count is 0 or > Most || lines.Exists(static line => line.Length < Shortest))
                return $"it must hold 1 to {Most} lines of at least {Shortest} characters";
            keys = [.. lines.Select(static line => SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(line)))];
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "Heartbeats are signed; {Count} key(s) are accepted")]
    private static partial void LogRead(ILogger logger, int count);

    [LoggerMessage(2, LogLevel.Warning, "The heartbeat key {Path} cannot be used, the last one stays in force: {Cause}")]
    private static partial void LogFault(ILogger logger, string path, string cause);
}
