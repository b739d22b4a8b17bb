using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// How host names for DHCP follow from services. The same service has the same name always; what does not fit into a label is cut and told apart by its hash.
/// </summary>
internal static class HostNameTemplate
{
    /// <summary>What servers that strip the domain can still tell apart.</summary>
    public const string Default = "{name}-{namespace}";

    private const int LongestLabel = 63;
    private const int CutAt = 54;

    /// <returns>What is wrong with a template, or null.</returns>
    public static string? Fault(string template)
    {
        if (!template.Contains("{name}", StringComparison.Ordinal) && !template.Contains("{service}", StringComparison.Ordinal))
            return "has neither {name} nor {service}: all services would have one name";
        string sample = Fill(template, "ns/svc");
        return DomainName.IsValid(sample) && !sample.Contains('.', StringComparison.Ordinal)
            ? null : "is not made of {name}, {namespace}, {service} and letters, digits and hyphens, none of these at an end";
    }

    /// <summary>The name of a service: one label, in lower case.</summary>
    /// <param name="template">Without fault.</param>
    /// <param name="service">As <c>namespace/name</c>.</param>
    public static string Name(string template, string service)
    {
        string name = Fill(template, service);
        if (name.Length <= LongestLabel)
            return name;
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(name));
        return $"{name[..CutAt]}-{Convert.ToHexStringLower(hash.AsSpan(0, 4))}";
    }

    private static string Fill(string template, string service)
    {
        int slash = service.IndexOf('/', StringComparison.Ordinal);
        return template
            .Replace("{service}", service.Replace('/', '-'), StringComparison.Ordinal)
            .Replace("{namespace}", service[..slash], StringComparison.Ordinal)
            .Replace("{name}", service[(slash + 1)..], StringComparison.Ordinal)
            .ToLowerInvariant();
    }
}
