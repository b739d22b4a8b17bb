using System.Security.Cryptography;
using System.Text;

namespace DynamicLb.AddressService.Security;

/// <summary>
/// The accepted tokens: one a line, empty lines and those that begin with <c>#</c> left out. The file is looked at again every other second, so that a
/// rotated Secret takes effect; one that vanished or became empty leaves the last tokens in force. Thread-safe.
/// </summary>
internal sealed partial class TokenFile(string path, TimeProvider time, ILogger<TokenFile> logger)
{
    private const int LongestFile = 64 * 1024;
    private const int ShortestToken = 8;
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(2);
    private readonly Lock _gate = new();
    private byte[][] _hashes = Hash(Read(path));
    private long _readAt = time.GetTimestamp();

    /// <returns>What is wrong with a token file, or null.</returns>
    public static string? Fault(string path)
    {
        try
        {
            var tokens = Read(path);
            return tokens.Count == 0 ? $"{path} holds no token" : tokens.Any(t => t.Length < ShortestToken) ? $"{path} holds a token of less than {ShortestToken} characters" : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{path} cannot be read: {e.Message}";
        }
    }

    /// <summary>Whether a token is accepted. Takes the same time whatever is wrong with it.</summary>
    public bool Accepts(string token)
    {
        byte[] given = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        bool accepted = false;
        foreach (byte[] hash in Current())
            accepted |= CryptographicOperations.FixedTimeEquals(given, hash);
        return accepted;
    }

    private byte[][] Current()
    {
        lock (_gate)
        {
            if (time.GetElapsedTime(_readAt) < LookAgainAfter)
                return _hashes;
            _readAt = time.GetTimestamp();
        }
        try
        {
            var tokens = Read(path);
            if (tokens.Count > 0)
                _hashes = Hash(tokens);
            else
                Log.Unreadable(logger, path, "it is empty");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Log.Unreadable(logger, path, e.Message);
        }
        return _hashes;
    }

    private static List<string> Read(string path)
    {
        using var file = File.OpenRead(path);
        if (file.Length > LongestFile)
            throw new IOException($"it is longer than {LongestFile} bytes");
        using var reader = new StreamReader(file, Encoding.UTF8);
        var tokens = new List<string>();
        while (reader.ReadLine() is { } line)
        {
            line = line.Trim();
            if (line.Length > 0 && line[0] != '#')
                tokens.Add(line);
        }
        return tokens;
    }

    private static byte[][] Hash(List<string> tokens) => [.. tokens.Select(token => SHA256.HashData(Encoding.UTF8.GetBytes(token)))];

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The token file {Path} cannot be used, the last tokens stay in force: {Reason}")]
        public static partial void Unreadable(ILogger logger, string path, string reason);
    }
}

/// <summary>The configured secret behind generated MACs.</summary>
internal static class MacKeyFile
{
    private const int ShortestKey = 16;

    /// <returns>What is wrong with a key file, or null.</returns>
    public static string? Fault(string path)
    {
        try
        {
            return Read(path).Length < ShortestKey ? $"{path} holds less than {ShortestKey} bytes" : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return $"{path} cannot be read: {e.Message}";
        }
    }

    public static byte[] Read(string path) => Convert.FromHexString(File.ReadAllText(path).Trim());
}
