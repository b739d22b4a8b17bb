using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>
/// Leaves of a Service what decides its addresses: the copy of all Services is most of what the controller has in memory. Of Services of another type that is next to nothing; annotations of
/// others, such as the whole manifest that kubectl writes, go in any case. Thread-safe.
/// </summary>
internal static class ServiceTrimmer
{
    // Who overwrites another's entry loses nothing but the saving.
    private static readonly ServicePort[]?[] s_ports = new ServicePort[]?[256];
    private static readonly string[] s_v4 = ["IPv4"];
    private static readonly string[] s_v6 = ["IPv6"];

    public static Service Trim(Service service)
    {
        var metadata = new ObjectMeta
        {
            Name = service.Metadata.Name,
            Namespace = CommonText.Of(service.Metadata.Namespace),
            Uid = service.Metadata.Uid,
            ResourceVersion = service.Metadata.ResourceVersion,
            DeletionTimestamp = service.Metadata.DeletionTimestamp,
            Annotations = SmallDictionary.Of(service.Metadata.Annotations, Annotations.IsOurs),
        };
        if (service.Spec.Type != "LoadBalancer")
        {
            return new Service
            {
                Metadata = metadata,
                Spec = new ServiceSpec { Type = CommonText.Of(service.Spec.Type) },
                Status = StatusOf(service.Status),
            };
        }
        return new Service
        {
            Metadata = metadata with { Labels = SmallDictionary.Of(service.Metadata.Labels, static _ => true) },
            Spec = service.Spec with
            {
                Type = CommonText.Of(service.Spec.Type),
                IpFamilies = FamiliesOf(service.Spec.IpFamilies),
                IpFamilyPolicy = CommonText.Of(service.Spec.IpFamilyPolicy),
                ClusterIPs = service.Spec.ClusterIPs is [var only] && only == service.Spec.ClusterIP ? null : service.Spec.ClusterIPs,
                LoadBalancerClass = CommonText.Of(service.Spec.LoadBalancerClass),
                ExternalTrafficPolicy = CommonText.Of(service.Spec.ExternalTrafficPolicy),
                Ports = PortsOf(service.Spec.Ports),
                // Only traffic that stays on the node is bound to Pods.
                Selector = service.Spec.ExternalTrafficPolicy == "Local" ? SmallDictionary.Of(service.Spec.Selector, static _ => true) : null,
            },
            Status = StatusOf(service.Status),
        };
    }

    private static ServiceStatus StatusOf(ServiceStatus status) => status.LoadBalancer.Ingress is null && status.Conditions is null ? s_noStatus : new ServiceStatus
    {
        Conditions = status.Conditions,
        LoadBalancer = new LoadBalancerStatus
        {
            Ingress = status.LoadBalancer.Ingress?.Select(static entry => new LoadBalancerIngress { Ip = entry.Ip, Hostname = entry.Hostname, IpMode = CommonText.Of(entry.IpMode) }).ToArray(),
        },
    };

    private static string[]? FamiliesOf(IReadOnlyList<string>? families) => families switch
    {
        ["IPv4"] => s_v4,
        ["IPv6"] => s_v6,
        _ => families?.Select(static family => CommonText.Of(family)).ToArray(),
    };

    private static ServicePort[]? PortsOf(IReadOnlyList<ServicePort>? ports)
    {
        if (ports is not [var only])
            return ports?.Select(static port => new ServicePort { Protocol = CommonText.Of(port.Protocol), Port = port.Port }).ToArray();
        ref var entry = ref s_ports[only.Port % s_ports.Length];
        // Read once: another thread may overwrite the entry meanwhile.
        var known = entry;
        if (known is [var common] && common.Port == only.Port && common.Protocol == only.Protocol)
            return known;
        return entry = [new ServicePort { Protocol = CommonText.Of(only.Protocol), Port = only.Port }];
    }

    private static readonly ServiceStatus s_noStatus = new() { LoadBalancer = new LoadBalancerStatus() };
}
