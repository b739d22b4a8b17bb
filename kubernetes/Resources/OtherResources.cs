namespace DynamicLb.Kubernetes.Resources;

/// <summary>A slice of a Service's endpoints (discovery.k8s.io/v1, or v1beta1 on clusters before 1.21).</summary>
public sealed record EndpointSlice : KubernetesObject
{
    /// <summary>The label that names the Service a slice belongs to.</summary>
    public const string ServiceNameLabel = "kubernetes.io/service-name";

    /// <summary>IPv4, IPv6 or FQDN.</summary>
    public string? AddressType { get; init; }

    /// <summary>The endpoints.</summary>
    public IReadOnlyList<Endpoint>? Endpoints { get; init; }
}

/// <summary>One endpoint.</summary>
public sealed record Endpoint
{
    /// <summary>Addresses, all of the same endpoint.</summary>
    public IReadOnlyList<string>? Addresses { get; init; }

    /// <summary>Whether it takes traffic.</summary>
    public EndpointConditions? Conditions { get; init; }

    /// <summary>The node it runs on (v1).</summary>
    public string? NodeName { get; init; }

    /// <summary>Where it runs (v1beta1).</summary>
    public IReadOnlyDictionary<string, string>? Topology { get; init; }

    /// <summary>The node it runs on, in either version; null when unknown.</summary>
    public string? Node =>
        NodeName ?? (Topology is not null && Topology.TryGetValue("kubernetes.io/hostname", out var node) ? node : null);
}

/// <summary>Conditions of an endpoint; null means unknown.</summary>
public sealed record EndpointConditions
{
    /// <summary>Takes new traffic; unknown counts as true.</summary>
    public bool? Ready { get; init; }

    /// <summary>Can answer, whether or not it is shutting down.</summary>
    public bool? Serving { get; init; }

    /// <summary>Is shutting down.</summary>
    public bool? Terminating { get; init; }
}

/// <summary>A Node (core/v1).</summary>
public sealed record Node : KubernetesObject
{
    /// <summary>What is.</summary>
    public NodeStatus Status { get => field ?? new(); init; }
}

/// <summary>A Node's status.</summary>
public sealed record NodeStatus
{
    /// <summary>Conditions such as Ready and NetworkUnavailable.</summary>
    public IReadOnlyList<NodeCondition>? Conditions { get; init; }
}

/// <summary>A condition of a Node.</summary>
public sealed record NodeCondition
{
    /// <summary>Its name.</summary>
    public string? Type { get; init; }

    /// <summary>True, False or Unknown.</summary>
    public string? Status { get; init; }
}

/// <summary>A Namespace (core/v1).</summary>
public sealed record Namespace : KubernetesObject;

/// <summary>A Secret (core/v1).</summary>
public sealed record Secret : KubernetesObject
{
    /// <summary>Opaque by default.</summary>
    public string? Type { get; init; }

    /// <summary>Values in base64.</summary>
    public IReadOnlyDictionary<string, string>? Data { get; init; }
}

/// <summary>A ConfigMap (core/v1).</summary>
public sealed record ConfigMap : KubernetesObject
{
    /// <summary>Values in plain text.</summary>
    public IReadOnlyDictionary<string, string>? Data { get; init; }
}

/// <summary>An Event (core/v1).</summary>
public sealed record CoreEvent : KubernetesObject
{
    /// <summary>The object it is about.</summary>
    public ObjectReference? InvolvedObject { get; init; }

    /// <summary>Machine-readable cause in CamelCase.</summary>
    public string? Reason { get; init; }

    /// <summary>The event in words.</summary>
    public string? Message { get; init; }

    /// <summary>Normal or Warning.</summary>
    public string? Type { get; init; }

    /// <summary>Who tells.</summary>
    public EventSource? Source { get; init; }

    /// <summary>RFC 3339 time of the first occurrence.</summary>
    public string? FirstTimestamp { get; init; }

    /// <summary>RFC 3339 time of the last occurrence.</summary>
    public string? LastTimestamp { get; init; }

    /// <summary>How often it occurred.</summary>
    public int? Count { get; init; }
}

/// <summary>Who tells an Event.</summary>
public sealed record EventSource
{
    /// <summary>The program, such as <c>metallb-controller</c>.</summary>
    public string? Component { get; init; }

    /// <summary>The node it runs on, if it matters.</summary>
    public string? Host { get; init; }
}

/// <summary>A reference to an object.</summary>
public sealed record ObjectReference
{
    /// <summary>Group and version.</summary>
    public string? ApiVersion { get; init; }

    /// <summary>Kind.</summary>
    public string? Kind { get; init; }

    /// <summary>Namespace.</summary>
    public string? Namespace { get; init; }

    /// <summary>Name.</summary>
    public string? Name { get; init; }

    /// <summary>Unique identifier.</summary>
    public string? Uid { get; init; }

    /// <summary>Version.</summary>
    public string? ResourceVersion { get; init; }
}

/// <summary>A Lease (coordination.k8s.io/v1): a claim that its holder must renew.</summary>
public sealed record Lease : KubernetesObject
{
    /// <summary>The claim.</summary>
    public LeaseSpec Spec { get => field ?? new(); init; }
}

/// <summary>The claim of a Lease. Times are strings by <see cref="KubernetesTime.FormatMicro"/>.</summary>
public sealed record LeaseSpec
{
    /// <summary>Who holds it; null or empty when nobody does.</summary>
    public string? HolderIdentity { get; init; }

    /// <summary>How long it holds after the last renewal, in seconds.</summary>
    public int? LeaseDurationSeconds { get; init; }

    /// <summary>When the holder took it.</summary>
    public string? AcquireTime { get; init; }

    /// <summary>When the holder last renewed it.</summary>
    public string? RenewTime { get; init; }

    /// <summary>How often it changed hands.</summary>
    public int? LeaseTransitions { get; init; }
}

/// <summary>Times as the Kubernetes API writes them.</summary>
public static class KubernetesTime
{
    /// <summary>RFC 3339 in UTC with whole seconds (meta/v1 Time).</summary>
    public static string Format(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ");

    /// <summary>RFC 3339 in UTC with six decimals, as Leases require (meta/v1 MicroTime).</summary>
    public static string FormatMicro(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ");
}
