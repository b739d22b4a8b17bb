using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>What a Service asks for (MetalLB's annotations, old and new, and <c>spec.loadBalancerIP</c>). Pure.</summary>
/// <param name="Families">The families it has, from its cluster addresses; empty when it has none.</param>
/// <param name="Wish">The families its addresses may have; null when its cluster addresses are too few for what it requires.</param>
/// <param name="Pool">The pool or address service it names, or null.</param>
/// <param name="Addresses">The addresses it names; empty for none.</param>
/// <param name="Fault">Why the request cannot be understood; null when it can.</param>
internal sealed record ServiceRequest(IReadOnlyList<AddressFamily> Families, FamilyWish? Wish, string? Pool, IReadOnlyList<IPAddress> Addresses, string? Fault)
{
    public static ServiceRequest Of(Service service)
    {
        var families = FamiliesOf(service.Spec);
        // The new key wins by its presence, even when it is empty.
        string? pool = service.Metadata.Annotation(Annotations.AddressPool) ?? service.Metadata.Annotation(Annotations.LegacyAddressPool);
        string? named = service.Metadata.Annotation(Annotations.LoadBalancerIPs) ?? service.Metadata.Annotation(Annotations.LegacyLoadBalancerIPs);
        string? inSpec = service.Spec.LoadBalancerIP is { Length: > 0 } text ? text : null;
        var request = new ServiceRequest(families, WishOf(service.Spec, families), pool is { Length: > 0 } ? pool : null, [], null);
        if (families.Count == 2 && service.Spec.IpFamilyPolicy == "SingleStack")
            return request with { Fault = $"it has cluster addresses of two families, {string.Join(" and ", service.Spec.ClusterIPs!)}, and ipFamilyPolicy SingleStack" };
        if (!string.IsNullOrEmpty(named) && inSpec is not null)
            return request with { Fault = $"both {Annotations.LoadBalancerIPs} and spec.loadBalancerIP are set" };

        var addresses = new List<IPAddress>();
        foreach (string part in (string.IsNullOrEmpty(named) ? inSpec ?? "" : named).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!AddressRange.TryParseAddress(part, out var address))
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

    /// <summary>Whether the families of these addresses are among those it may have.</summary>
    public bool Accepts(IReadOnlyList<IPAddress> addresses)
    {
        var families = addresses.Select(static address => address.AddressFamily).ToHashSet();
        return families.Count == addresses.Count && Wish?.Alternatives.Any(families.SetEquals) == true;
    }

    /// <summary>What of a Service decides which addresses it may have.</summary>
    public static Applicant ApplicantOf(Service service, IReadOnlyDictionary<string, string>? namespaceLabels)
    {
        string? key = service.Metadata.Annotation(Annotations.AllowSharedIP) ?? service.Metadata.Annotation(Annotations.LegacyAllowSharedIP);
        // Traffic that stays on the node can share an address only with traffic to the same Pods.
        string backend = service.Spec.ExternalTrafficPolicy == "Local"
            ? string.Join(',', (service.Spec.Selector ?? NoLabels).OrderBy(static entry => entry.Key, StringComparer.Ordinal).Select(static entry => $"{entry.Key}={entry.Value}"))
            : "";
        return new Applicant(NamespacedName.Of(service))
        {
            Labels = service.Metadata.Labels,
            NamespaceLabels = namespaceLabels,
            Sharing = string.IsNullOrEmpty(key) ? null : new SharingGroup(key, backend),
            Ports = [.. (service.Spec.Ports ?? []).Select(static port => new SharedPort(port.Protocol ?? "TCP", port.Port)).Distinct()],
        };
    }

    private static readonly Dictionary<string, string> NoLabels = [];

    private static FamilyWish? WishOf(ServiceSpec spec, List<AddressFamily> families) => families.Count switch
    {
        0 => null,
        1 when spec.IpFamilyPolicy == "RequireDualStack" => null,
        1 => FamilyWish.Single(families[0]),
        _ when spec.IpFamilyPolicy == "PreferDualStack" =>
            FamilyWish.PreferBoth(spec.IpFamilies is ["IPv6", ..] ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork),
        _ => FamilyWish.Both,
    };

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
