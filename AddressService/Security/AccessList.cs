using System.Security.Cryptography;
using System.Text;

namespace DynamicLb.AddressService.Security;

/// <summary>
/// Who may call: the entries of the token files. The files are looked at again every other second, so that a rotated Secret takes effect; ones that
/// vanished, are faulty or became empty leave the last entries in force. Thread-safe.
/// </summary>
internal sealed partial class AccessList
{
    private const int LongestFile = 256 * 1024;
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(2);
    private readonly IReadOnlyList<string> _paths;
    private readonly TimeProvider _time;
    private readonly ILogger<AccessList> _logger;
    private readonly Lock _gate = new();
    private volatile IReadOnlyList<AccessEntry> _entries;
    private long _readAt;
    private string? _lastFault;

    /// <param name="paths">The token files.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told when a file cannot be used.</param>
    /// <exception cref="Configuration.UnusableException">They hold nothing usable.</exception>
    public AccessList(IReadOnlyList<string> paths, TimeProvider time, ILogger<AccessList> logger)
    {
        _paths = paths;
        _time = time;
        _logger = logger;
        _readAt = time.GetTimestamp();
        var faults = Read(paths, out var entries);
        if (faults.Count > 0)
            throw new Configuration.UnusableException(string.Join('\n', faults));
        _entries = entries;
    }

    /// <param name="paths">The token files.</param>
    /// <param name="without">Kinds of credentials that nothing could ever present, each with the setting that is missing for it.</param>
    /// <returns>Everything that is wrong with the files.</returns>
    public static IReadOnlyList<string> Faults(IReadOnlyList<string> paths, params (CredentialKind Kind, string Setting)[] without)
    {
        var faults = Read(paths, out var entries);
        foreach (var (kind, setting) in without)
            faults.AddRange(entries.Where(entry => entry.Kind == kind).Select(entry => $"'{entry.Caller.Name}' needs {setting}"));
        return faults;
    }

    /// <summary>The owner of a token, or null. Takes the same time whatever is wrong with it.</summary>
    public Caller? FindToken(string token)
    {
        byte[] given = AccessEntry.HashOf(token);
        Caller? found = null;
        foreach (var entry in Current())
        {
            if (entry.Kind == CredentialKind.Token && CryptographicOperations.FixedTimeEquals(given, entry.Hash))
                found ??= entry.Caller;
        }
        return found;
    }

    /// <summary>The caller that a verified client certificate stands for, by any of its names, or null.</summary>
    public Caller? FindCertificate(IReadOnlyCollection<string> names) =>
        Current().FirstOrDefault(entry => entry.Kind == CredentialKind.Certificate && names.Contains(entry.Subject))?.Caller;

    /// <summary>The caller that a Kubernetes service account stands for, as <c>namespace/name</c>, or null.</summary>
    public Caller? FindServiceAccount(string account) =>
        Current().FirstOrDefault(entry => entry.Kind == CredentialKind.ServiceAccount && entry.Subject == account)?.Caller;

    private IReadOnlyList<AccessEntry> Current()
    {
        lock (_gate)
        {
            if (_time.GetElapsedTime(_readAt) < LookAgainAfter)
                return _entries;
            _readAt = _time.GetTimestamp();
        }
        var faults = Read(_paths, out var entries);
        string? fault = faults.Count == 0 ? null : string.Join("; ", faults);
        if (fault is null)
            _entries = entries;
        else if (fault != Volatile.Read(ref _lastFault))
            Log.Unusable(_logger, fault);
        Volatile.Write(ref _lastFault, fault);
        return _entries;
    }

    private static List<string> Read(IReadOnlyList<string> paths, out IReadOnlyList<AccessEntry> entries)
    {
        var faults = new List<string>();
        var all = new List<AccessEntry>();
        foreach (string path in paths)
        {
            try
            {
                int before = all.Count;
                Read(path, all, faults);
                if (all.Count == before && faults.Count == 0)
                    faults.Add($"{path} holds no token");
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                faults.Add($"{path} cannot be read: {e.Message}");
            }
        }
        entries = all;
        return faults;
    }

    private static void Read(string path, List<AccessEntry> entries, List<string> faults)
    {
        using var file = File.OpenRead(path);
        if (file.Length > LongestFile)
            throw new IOException($"it is longer than {LongestFile} bytes");
        using var reader = new StreamReader(file, Encoding.UTF8);
        for (int number = 1; reader.ReadLine() is { } line; number++)
        {
            line = line.Trim();
            if (line.Length == 0 || line[0] == '#')
                continue;
            if (AccessEntry.Parse(line, number, out var entry) is { } fault)
                faults.Add($"{path}:{number}: {fault}");
            else
                entries.Add(entry!);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The token files cannot be used, the last tokens stay in force: {Reason}")]
        public static partial void Unusable(ILogger logger, string reason);
    }
}
