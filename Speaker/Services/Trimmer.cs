using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Services;

/// <summary>
/// Leaves of Services, EndpointSlices and Nodes what decides who announces: their copies are most of what the speaker has in memory, on every node. Thread-safe.
/// </summary>
internal static class Trimmer
{
    // Who overwrites another's entry loses nothing but the saving.
    private static readonly ServiceSpec?[] s_specs = new ServiceSpec?[64];
    private static readonly ServiceStatus s_noStatus = new() { LoadBalancer = new LoadBalancerStatus() };
    private static readonly EndpointConditions?[] s_conditions = new EndpointConditions?[27];

    public static Service Trim(Service service) => new()
    {
        Metadata = new ObjectMeta
        {
            Name = service.Metadata.Name,
            Namespace = CommonText.Of(service.Metadata.Namespace),
            Uid = service.Metadata.Uid,
            ResourceVersion = service.Metadata.ResourceVersion,
            Annotations = SmallDictionary.Of(service.Metadata.Annotations, Annotations.IsOurs),
            Labels = service.Spec.Type == "LoadBalancer" ? SmallDictionary.Of(service.Metadata.Labels, static _ => true) : null,
        },
        Spec = SpecOf(service.Spec),
        Status = service.Status.LoadBalancer.Ingress is not { Count: > 0 } ingress ? s_noStatus : new ServiceStatus
        {
            // Of a conflict that is told somebody has to say that it is over.
            Conditions = service.Status.Conditions?.Where(static condition => condition is { Type: Conditions.AddressConflict, Status: "True" }).ToArray() is { Length: > 0 } told ? told : null,
            LoadBalancer = new LoadBalancerStatus { Ingress = ingress.Select(static entry => new LoadBalancerIngress { Ip = entry.Ip }).ToArray() },
        },
    };

    public static EndpointSlice Trim(EndpointSlice slice) => new()
    {
        Metadata = new ObjectMeta
        {
            Name = slice.Metadata.Name,
            Namespace = CommonText.Of(slice.Metadata.Namespace),
            ResourceVersion = slice.Metadata.ResourceVersion,
            Labels = SmallDictionary.Of(slice.Metadata.Labels, static key => key == EndpointSlice.ServiceNameLabel),
        },
        Endpoints = slice.Endpoints?.Select(static endpoint => new Kubernetes.Resources.Endpoint
        {
            Addresses = endpoint.Addresses?.ToArray(),
            Conditions = ConditionsOf(endpoint.Conditions),
            NodeName = CommonText.Of(endpoint.Node),
        }).ToArray(),
    };

    public static Node Trim(Node node) => new()
    {
        Metadata = new ObjectMeta
        {
            Name = node.Metadata.Name,
            Uid = node.Metadata.Uid,
            ResourceVersion = node.Metadata.ResourceVersion,
            Labels = SmallDictionary.Of(node.Metadata.Labels, static _ => true),
        },
        Status = new NodeStatus { Conditions = node.Status.Conditions?.Where(static condition => condition.Type == "NetworkUnavailable").ToArray() },
    };

    private static ServiceSpec SpecOf(ServiceSpec spec)
    {
        ref var entry = ref s_specs[(uint)HashCode.Combine(spec.Type, spec.LoadBalancerClass, spec.ExternalTrafficPolicy) % (uint)s_specs.Length];
        // Read once: another thread may overwrite the entry meanwhile.
        var known = entry;
        if (known is not null && (known.Type, known.LoadBalancerClass, known.ExternalTrafficPolicy) == (spec.Type, spec.LoadBalancerClass, spec.ExternalTrafficPolicy))
            return known;
        return entry = new ServiceSpec { Type = spec.Type, LoadBalancerClass = spec.LoadBalancerClass, ExternalTrafficPolicy = spec.ExternalTrafficPolicy };
    }

    private static EndpointConditions? ConditionsOf(EndpointConditions? conditions)
    {
        if (conditions is null)
            return null;
        ref var entry = ref s_conditions[Number(conditions.Ready) + (3 * Number(conditions.Serving)) + (9 * Number(conditions.Terminating))];
        return entry ??= conditions;

        static int Number(bool? value) => value switch { null => 0, false => 1, true => 2 };
    }
}
