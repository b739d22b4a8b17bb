using System.Text.RegularExpressions;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Names of services, <c>namespace/name</c>: the key of a lease.</summary>
internal static partial class ServiceName
{
    public static bool IsValid(string? service) => service is not null && Form().IsMatch(service);

    /// <summary>Whether a text can be the part before the slash.</summary>
    public static bool IsValidNamespace(string text) => IsValid(text + "/x") && !text.Contains('/', StringComparison.Ordinal);

    /// <summary>The namespace of a valid name.</summary>
    public static string Namespace(string service) => service[..service.IndexOf('/', StringComparison.Ordinal)];

    // \z, not $: that would take a newline at the end.
    [GeneratedRegex(@"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Form();
}
