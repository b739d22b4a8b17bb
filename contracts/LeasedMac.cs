using System.Net;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts;

/// <summary>The hardware address of the lease of an address, as <see cref="Annotations.LeaseMacs"/> of a Service tells it.</summary>
/// <param name="Address">The address.</param>
/// <param name="Mac">The hardware address as the address service writes it, such as <c>02:4c:42:00:00:01</c>; not checked here.</param>
public readonly record struct LeasedMac(IPAddress Address, string Mac)
{
    /// <summary>What a Service says; parts without an address are passed over.</summary>
    public static IReadOnlyList<LeasedMac> Of(Service service)
    {
        ArgumentNullException.ThrowIfNull(service);
        var macs = new List<LeasedMac>();
        foreach (string part in (service.Metadata.Annotation(Annotations.LeaseMacs) ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int sign = part.IndexOf('=', StringComparison.Ordinal);
            if (sign > 0 && IPAddress.TryParse(part.AsSpan(0, sign), out var address))
                macs.Add(new LeasedMac(address, part[(sign + 1)..]));
        }
        return macs;
    }

    /// <summary>What a Service says of one address; null for nothing.</summary>
    public static string? Find(Service service, IPAddress address)
    {
        foreach (var (known, mac) in Of(service))
        {
            if (known.Equals(address))
                return mac;
        }
        return null;
    }

    /// <summary>The annotation; null for none.</summary>
    public static string? Write(IEnumerable<LeasedMac> macs)
    {
        string text = string.Join(',', macs.Select(static entry => $"{entry.Address}={entry.Mac}"));
        return text.Length == 0 ? null : text;
    }
}
