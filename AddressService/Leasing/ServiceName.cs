using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Names of services, <c>namespace/name</c>: the key of a lease.</summary>
internal static partial class ServiceName
{
    private const int LongestLabel = 63;
    private const int CutAt = 54;

    public static bool IsValid(string? service) => service is not null && Form().IsMatch(service);

    /// <summary>Whether a text can be the part before the slash.</summary>
    public static bool IsValidNamespace(string text) => IsValid(text + "/x") && !text.Contains('/', StringComparison.Ordinal);

    /// <summary>The namespace of a valid name.</summary>
    public static string Namespace(string service) => service[..service.IndexOf('/', StringComparison.Ordinal)];

    /// <summary>The host name for DHCP option 12: <c>name-namespace</c>; one that is longer than a label is cut and told apart by its hash.</summary>
    public static string Hostname(string service)
    {
        int slash = service.IndexOf('/', StringComparison.Ordinal);
        string name = $"{service[(slash + 1)..]}-{service[..slash]}";
        if (name.Length <= LongestLabel)
            return name;
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(name));
        return $"{name[..CutAt]}-{Convert.ToHexStringLower(hash.AsSpan(0, 4))}";
    }

    // \z, not $: that would take a newline at the end.
    [GeneratedRegex(@"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Form();
}
