using System.Text.Json.Serialization;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Contracts.Resources;

/// <summary>Which node announces a Service by ARP and NDP (metallb.io/v1beta1). It has no spec.</summary>
public sealed record ServiceL2Status : KubernetesObject
{
    /// <summary>Label with the node.</summary>
    public const string NodeLabel = "metallb.io/node";

    /// <summary>Label with the Service's name.</summary>
    public const string ServiceNameLabel = "metallb.io/service-name";

    /// <summary>Label with the Service's namespace.</summary>
    public const string ServiceNamespaceLabel = "metallb.io/service-namespace";

    /// <summary>Where such objects live in the API.</summary>
    public static ResourceType<ServiceL2Status> Type { get; } = new(
        ConfigResourceTypes.MetalLbGroup, "v1beta1", "servicel2statuses", "ServiceL2Status", true, ServiceL2StatusJsonContext.Default.ServiceL2Status,
        ServiceL2StatusJsonContext.Default.ResourceListServiceL2Status);

    /// <summary>Written by the speaker that announces.</summary>
    public ServiceL2StatusStatus? Status { get; init; }
}

/// <summary>The status of a <see cref="ServiceL2Status"/>.</summary>
public sealed record ServiceL2StatusStatus
{
    /// <summary>The node.</summary>
    public string? Node { get; init; }

    /// <summary>The Service.</summary>
    public string? ServiceName { get; init; }

    /// <summary>Its namespace.</summary>
    public string? ServiceNamespace { get; init; }

    /// <summary>Interfaces that it is announced on; none for all.</summary>
    public IReadOnlyList<NamedInterface>? Interfaces { get; init; }
}

/// <summary>An interface by name.</summary>
public sealed record NamedInterface
{
    /// <summary>Its name.</summary>
    public string? Name { get; init; }
}

/// <summary>JSON of <see cref="ServiceL2Status"/>.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResourceList<ServiceL2Status>))]
internal sealed partial class ServiceL2StatusJsonContext : JsonSerializerContext;
