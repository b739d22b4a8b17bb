namespace DynamicLb.Kubernetes.Resources;

/// <summary>A Service (core/v1).</summary>
public sealed record Service : KubernetesObject
{
    /// <summary>What is wanted.</summary>
    public ServiceSpec Spec { get => field ?? new(); init; }

    /// <summary>What is.</summary>
    public ServiceStatus Status { get => field ?? new(); init; }
}

/// <summary>The part of a Service's spec that a load balancer reads.</summary>
public sealed record ServiceSpec
{
    /// <summary><c>LoadBalancer</c> for those that want an address.</summary>
    public string? Type { get; init; }

    /// <summary>The primary cluster address; <c>None</c> for headless Services.</summary>
    public string? ClusterIP { get; init; }

    /// <summary>All cluster addresses; they decide the families of the Service. Absent before Kubernetes 1.20.</summary>
    public IReadOnlyList<string>? ClusterIPs { get; init; }

    /// <summary>Families in order of preference.</summary>
    public IReadOnlyList<string>? IpFamilies { get; init; }

    /// <summary>SingleStack, PreferDualStack or RequireDualStack.</summary>
    public string? IpFamilyPolicy { get; init; }

    /// <summary>An address asked for (deprecated by Kubernetes, still honoured).</summary>
    public string? LoadBalancerIP { get; init; }

    /// <summary>Which load balancer is meant; null for the default one.</summary>
    public string? LoadBalancerClass { get; init; }

    /// <summary><c>Local</c>: only nodes that host an endpoint take part.</summary>
    public string? ExternalTrafficPolicy { get; init; }

    /// <summary>Ports.</summary>
    public IReadOnlyList<ServicePort>? Ports { get; init; }

    /// <summary>Pod selector.</summary>
    public IReadOnlyDictionary<string, string>? Selector { get; init; }
}

/// <summary>A port of a Service.</summary>
public sealed record ServicePort
{
    /// <summary>Name, if it has one.</summary>
    public string? Name { get; init; }

    /// <summary>TCP, UDP or SCTP.</summary>
    public string? Protocol { get; init; }

    /// <summary>Port number, 1 to 65535.</summary>
    public int Port { get; init; }
}

/// <summary>A Service's status.</summary>
public sealed record ServiceStatus
{
    /// <summary>The addresses that were given.</summary>
    public LoadBalancerStatus LoadBalancer { get => field ?? new(); init; }

    /// <summary>Conditions, by type.</summary>
    public IReadOnlyList<Condition>? Conditions { get; init; }
}

/// <summary>The addresses of a Service.</summary>
public sealed record LoadBalancerStatus
{
    /// <summary>One entry per address.</summary>
    public IReadOnlyList<LoadBalancerIngress>? Ingress { get; init; }
}

/// <summary>An address of a Service.</summary>
public sealed record LoadBalancerIngress
{
    /// <summary>The address; null for entries by name.</summary>
    public string? Ip { get; init; }

    /// <summary>The name, for load balancers that have names.</summary>
    public string? Hostname { get; init; }

    /// <summary>VIP or Proxy (Kubernetes 1.29 and later).</summary>
    public string? IpMode { get; init; }
}
