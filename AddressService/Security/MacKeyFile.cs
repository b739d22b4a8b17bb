namespace DynamicLb.AddressService.Security;

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
