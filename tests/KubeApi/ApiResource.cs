namespace DynamicLb.Tests.KubeApi;

/// <summary>A kind that the server stores.</summary>
internal sealed record ApiResource(string Group, string Version, string Plural, string Kind, bool Namespaced, bool HasStatus, params string[] ShortNames)
{
    public static readonly IReadOnlyList<ApiResource> All =
    [
        new("", "v1", "namespaces", "Namespace", false, true, "ns"),
        new("", "v1", "nodes", "Node", false, true, "no"),
        new("", "v1", "services", "Service", true, true, "svc"),
        new("", "v1", "pods", "Pod", true, true, "po"),
        new("", "v1", "endpoints", "Endpoints", true, false, "ep"),
        new("", "v1", "events", "Event", true, false, "ev"),
        new("", "v1", "secrets", "Secret", true, false),
        new("", "v1", "configmaps", "ConfigMap", true, false, "cm"),
        new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, false),
        new("dynamiclb.io", "v1beta1", "addressleases", "AddressLease", true, false),
        new("dynamiclb.io", "v1beta1", "addressservices", "AddressService", true, true),
        new("metallb.io", "v1beta1", "ipaddresspools", "IPAddressPool", true, true),
        new("metallb.io", "v1beta1", "l2advertisements", "L2Advertisement", true, true),
        new("metallb.io", "v1beta1", "bgpadvertisements", "BGPAdvertisement", true, true),
        new("metallb.io", "v1beta1", "bfdprofiles", "BFDProfile", true, true),
        new("metallb.io", "v1beta1", "communities", "Community", true, true),
        new("metallb.io", "v1beta1", "servicel2statuses", "ServiceL2Status", true, true),
        new("metallb.io", "v1beta1", "servicebgpstatuses", "ServiceBGPStatus", true, true),
        new("metallb.io", "v1beta1", "configurationstates", "ConfigurationState", true, true),
        new("metallb.io", "v1beta2", "bgppeers", "BGPPeer", true, true),
        new("coordination.k8s.io", "v1", "leases", "Lease", true, false),
    ];

    /// <summary>Whether objects count the changes of their specs, as custom resources do.</summary>
    public bool HasGeneration => HasStatus && (Group is "metallb.io" or "dynamiclb.io");

    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    public static ApiResource? Find(string group, string version, string plural) =>
        All.FirstOrDefault(resource => resource.Group == group && resource.Version == version && resource.Plural == plural);
}

/// <summary>A refusal in the API's form.</summary>
internal sealed class ApiFault(int code, string reason, string message) : Exception(message)
{
    public int Code => code;

    public string Reason => reason;

    public static ApiFault NotFound(ApiResource resource, string name) => new(404, "NotFound", $"{resource.Plural} \"{name}\" not found");
}
