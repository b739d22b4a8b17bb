using System.Text.Json.Serialization;

namespace DynamicLb.Kubernetes.Resources;

/// <summary>
/// What all Kubernetes objects share. These types hold only what the programs read or create; changes to existing objects are sent as
/// patches, which leave alone the fields they do not know.
/// </summary>
public abstract record KubernetesObject
{
    /// <summary>Group and version, such as <c>v1</c> or <c>coordination.k8s.io/v1</c>. Set for objects that are created.</summary>
    public string? ApiVersion { get; init; }

    /// <summary>The kind, such as <c>Service</c>. Set for objects that are created.</summary>
    public string? Kind { get; init; }

    /// <summary>Name, version and labels.</summary>
    public ObjectMeta Metadata { get => field ?? new(); init; }
}

/// <summary>An object of any kind, of which nothing but what all have is of interest, such as in the answer to a patch.</summary>
public sealed record ObjectHead : KubernetesObject;

/// <summary>Object metadata (Kubernetes API, meta/v1 ObjectMeta).</summary>
public sealed record ObjectMeta
{
    /// <summary>Name, unique within kind and namespace.</summary>
    public string? Name { get; init; }

    /// <summary>Prefix from which the server makes the name of a created object.</summary>
    public string? GenerateName { get; init; }

    /// <summary>Namespace; null for cluster-scoped objects.</summary>
    public string? Namespace { get; init; }

    /// <summary>Unique for all time, unlike the name.</summary>
    public string? Uid { get; init; }

    /// <summary>Opaque version; a write that carries an old one is refused with 409.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>Rises with each change of what is wanted, not of the status; null for kinds that have none.</summary>
    public long? Generation { get; init; }

    /// <summary>RFC 3339 time of creation.</summary>
    public string? CreationTimestamp { get; init; }

    /// <summary>RFC 3339 time at which deletion was asked for; null otherwise.</summary>
    public string? DeletionTimestamp { get; init; }

    /// <summary>Labels.</summary>
    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    /// <summary>Annotations.</summary>
    public IReadOnlyDictionary<string, string>? Annotations { get; init; }

    /// <summary>The objects whose end is this one's end.</summary>
    public IReadOnlyList<OwnerReference>? OwnerReferences { get; init; }

    /// <summary>The value of an annotation, or null.</summary>
    public string? Annotation(string key) => Annotations is not null && Annotations.TryGetValue(key, out var value) ? value : null;
}

/// <summary>An object whose end is another's end (Kubernetes API, meta/v1 OwnerReference).</summary>
/// <param name="ApiVersion">Group and version.</param>
/// <param name="Kind">Kind.</param>
/// <param name="Name">Name, in the same namespace or in none.</param>
/// <param name="Uid">Unique identifier.</param>
public sealed record OwnerReference(string ApiVersion, string Kind, string Name, string Uid)
{
    /// <summary>Our own Pod, by <c>METALLB_POD_NAME</c> or <c>POD_NAME</c>, and <c>POD_UID</c>; null where we are in none, or do not know.</summary>
    /// <param name="environment">A variable by name.</param>
    public static OwnerReference? OwnPod(Func<string, string?> environment) =>
        (environment("METALLB_POD_NAME") ?? environment("POD_NAME")) is { Length: > 0 } name && environment("POD_UID") is { Length: > 0 } uid
            ? new OwnerReference("v1", "Pod", name, uid) : null;

    /// <summary>A Node; null for none, or one whose identifier is not known.</summary>
    public static OwnerReference? Of(Node? node) => node?.Metadata is { Name: { Length: > 0 } name, Uid: { Length: > 0 } uid } ? new OwnerReference("v1", "Node", name, uid) : null;
}

/// <summary>A list as the server sends it (one page).</summary>
public sealed record ResourceList<T>
{
    /// <summary>Version and position of the list.</summary>
    public ListMeta Metadata { get => field ?? new(); init; }

    /// <summary>The objects.</summary>
    public IReadOnlyList<T> Items { get => field ?? []; init; }
}

/// <summary>List metadata (Kubernetes API, meta/v1 ListMeta).</summary>
public sealed record ListMeta
{
    /// <summary>The version from which to watch.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>Token for the next page; null or empty on the last.</summary>
    [JsonPropertyName("continue")]
    public string? ContinueToken { get; init; }
}

/// <summary>The server's account of a failure (Kubernetes API, meta/v1 Status).</summary>
public sealed record Status
{
    /// <summary>HTTP code.</summary>
    public int? Code { get; init; }

    /// <summary>Machine-readable cause, such as <c>Conflict</c>.</summary>
    public string? Reason { get; init; }

    /// <summary>Cause in words.</summary>
    public string? Message { get; init; }
}
