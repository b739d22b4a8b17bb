using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>What a Service asks for (MetalLB's annotations, old and new, and <c>spec.loadBalancerIP</c>). Pure.</summary>
/// <param name="Families">The families it needs, from its cluster addresses; empty when it has none.</param>
/// <param name="Pool">The pool or address service it names, or null.</param>
/// <param name="Addresses">The addresses it names; empty for none.</param>
/// <param name="Fault">Why the request cannot be understood; null when it can.</param>
internal sealed record ServiceRequest(IReadOnlyList<AddressFamily> Families, string? Pool, IReadOnlyList<IPAddress> Addresses, string? Fault)
{
    public static ServiceRequest Of(Service service)
    {
        var families = FamiliesOf(service.Spec);
        // The new key wins by its presence, even when it is empty.
        string? pool = service.Metadata.Annotation(Annotations.AddressPool) ?? service.Metadata.Annotation(Annotations.LegacyAddressPool);
        string? named = service.Metadata.Annotation(Annotations.LoadBalancerIPs) ?? service.Metadata.Annotation(Annotations.LegacyLoadBalancerIPs);
        string? inSpec = service.Spec.LoadBalancerIP is { Length: > 0 } text ? text : null;
        var request = new ServiceRequest(families, pool is { Length: > 0 } ? pool : null, [], null);
        if (!string.IsNullOrEmpty(named) && inSpec is not null)
            return request with { Fault = $"both {Annotations.LoadBalancerIPs} and spec.loadBalancerIP are set" };

        var addresses = new List<IPAddress>();
        foreach (string part in (string.IsNullOrEmpty(named) ? inSpec ?? "" : named).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!IPAddress.TryParse(part, out var address))
                return request with { Fault = $"invalid address \"{part}\" asked for" };
            addresses.Add(address);
        }
        if (addresses.Count > 2)
            return request with { Fault = "more than two addresses asked for" };
        if (addresses.Count == 2 && addresses[0].AddressFamily == addresses[1].AddressFamily)
            return request with { Fault = "two addresses of one family asked for" };
        if (addresses.Count > 0 && families.Count > 0 && !addresses.Select(static address => address.AddressFamily).ToHashSet().SetEquals(families))
            return request with { Fault = $"the address family of {string.Join(", ", addresses)} is not the Service's" };
        return request with { Addresses = addresses };
    }

    private static List<AddressFamily> FamiliesOf(ServiceSpec spec)
    {
        var families = new List<AddressFamily>();
        foreach (string text in spec.ClusterIPs is { Count: > 0 } all ? all : spec.ClusterIP is { } one ? [one] : [])
        {
            if (IPAddress.TryParse(text, out var address) && !families.Contains(address.AddressFamily))
                families.Add(address.AddressFamily);
        }
        // IPv4 first, as MetalLB orders what it allocates itself.
        families.Sort(static (left, right) => left == right ? 0 : left == AddressFamily.InterNetwork ? -1 : 1);
        return families;
    }
}
