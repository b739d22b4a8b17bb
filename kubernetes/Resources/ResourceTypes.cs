using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace DynamicLb.Kubernetes.Resources;

/// <summary>Where objects of a type live in the API, and how to read and write them. Immutable.</summary>
/// <param name="Group">API group; empty for core.</param>
/// <param name="Version">Version within the group.</param>
/// <param name="Plural">Name in paths, lower case.</param>
/// <param name="Kind">Kind of one object.</param>
/// <param name="Namespaced">Whether objects live in namespaces.</param>
/// <param name="TypeInfo">JSON of one object.</param>
/// <param name="ListTypeInfo">JSON of a list.</param>
public sealed record ResourceType<T>(
    string Group,
    string Version,
    string Plural,
    string Kind,
    bool Namespaced,
    JsonTypeInfo<T> TypeInfo,
    JsonTypeInfo<ResourceList<T>> ListTypeInfo)
    where T : KubernetesObject
{
    /// <summary>What objects carry as <c>apiVersion</c>.</summary>
    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>Path of the collection, or of one object, or of a subresource of it.</summary>
    public string Path(string? @namespace, string? name = null, string? subresource = null)
    {
        string path = Group.Length == 0 ? $"api/{Version}" : $"apis/{Group}/{Version}";
        if (Namespaced && !string.IsNullOrEmpty(@namespace))
            path += $"/namespaces/{Uri.EscapeDataString(@namespace)}";
        path += $"/{Plural}";
        if (name is not null)
            path += $"/{Uri.EscapeDataString(name)}";
        return subresource is null ? path : $"{path}/{subresource}";
    }
}

/// <summary>The types that the programs use.</summary>
public static class ResourceTypes
{
    private static readonly KubernetesJsonContext Json = KubernetesJsonContext.Default;

    /// <summary>Services (core/v1).</summary>
    public static ResourceType<Service> Services { get; } = new("", "v1", "services", "Service", true, Json.Service, Json.ResourceListService);

    /// <summary>Services, of which only the metadata is read.</summary>
    public static ResourceType<ObjectHead> ServiceHeads { get; } = new("", "v1", "services", "Service", true, Json.ObjectHead, Json.ResourceListObjectHead);

    /// <summary>Nodes (core/v1).</summary>
    public static ResourceType<Node> Nodes { get; } = new("", "v1", "nodes", "Node", false, Json.Node, Json.ResourceListNode);

    /// <summary>Namespaces (core/v1).</summary>
    public static ResourceType<Namespace> Namespaces { get; } =
        new("", "v1", "namespaces", "Namespace", false, Json.Namespace, Json.ResourceListNamespace);

    /// <summary>Secrets (core/v1).</summary>
    public static ResourceType<Secret> Secrets { get; } = new("", "v1", "secrets", "Secret", true, Json.Secret, Json.ResourceListSecret);

    /// <summary>ConfigMaps (core/v1).</summary>
    public static ResourceType<ConfigMap> ConfigMaps { get; } =
        new("", "v1", "configmaps", "ConfigMap", true, Json.ConfigMap, Json.ResourceListConfigMap);

    /// <summary>Events (core/v1).</summary>
    public static ResourceType<CoreEvent> Events { get; } = new("", "v1", "events", "Event", true, Json.CoreEvent, Json.ResourceListCoreEvent);

    /// <summary>Leases (coordination.k8s.io/v1).</summary>
    public static ResourceType<Lease> Leases { get; } =
        new("coordination.k8s.io", "v1", "leases", "Lease", true, Json.Lease, Json.ResourceListLease);

    /// <summary>TokenReviews (authentication.k8s.io/v1).</summary>
    public static ResourceType<TokenReview> TokenReviews { get; } =
        new("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false, Json.TokenReview, Json.ResourceListTokenReview);

    /// <summary>SubjectAccessReviews (authorization.k8s.io/v1).</summary>
    public static ResourceType<SubjectAccessReview> SubjectAccessReviews { get; } =
        new("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", false, Json.SubjectAccessReview, Json.ResourceListSubjectAccessReview);

    /// <summary>EndpointSlices (discovery.k8s.io/v1, since Kubernetes 1.21).</summary>
    public static ResourceType<EndpointSlice> EndpointSlices { get; } =
        new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true, Json.EndpointSlice, Json.ResourceListEndpointSlice);

    /// <summary>EndpointSlices as clusters before 1.21 serve them (discovery.k8s.io/v1beta1).</summary>
    public static ResourceType<EndpointSlice> EndpointSlicesBeta { get; } = EndpointSlices with { Version = "v1beta1" };
}

/// <summary>JSON of all types here.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ResourceList<Service>))]
[JsonSerializable(typeof(ResourceList<ObjectHead>))]
[JsonSerializable(typeof(ResourceList<Node>))]
[JsonSerializable(typeof(ResourceList<Namespace>))]
[JsonSerializable(typeof(ResourceList<Secret>))]
[JsonSerializable(typeof(ResourceList<ConfigMap>))]
[JsonSerializable(typeof(ResourceList<CoreEvent>))]
[JsonSerializable(typeof(ResourceList<Lease>))]
[JsonSerializable(typeof(ResourceList<EndpointSlice>))]
[JsonSerializable(typeof(ResourceList<TokenReview>))]
[JsonSerializable(typeof(ResourceList<SubjectAccessReview>))]
[JsonSerializable(typeof(Status))]
[JsonSerializable(typeof(Condition))]
public sealed partial class KubernetesJsonContext : JsonSerializerContext;
