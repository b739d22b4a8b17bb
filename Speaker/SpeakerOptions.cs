namespace DynamicLb.Speaker;

/// <summary>What the command line says.</summary>
internal sealed record SpeakerOptions
{
    /// <summary>Interfaces that never announce, unless <c>--interface-exclude</c> says otherwise: those of containers and tunnels.</summary>
    public static readonly IReadOnlyList<string> DefaultInterfaceExclude =
    [
        "^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*", "^kube-ipvs.*", "^cni.*",
        "^nodelocaldns.*", "^lxc.*",
    ];

    /// <summary>The configuration file.</summary>
    public required string ConfigFile { get; init; }

    /// <summary>kubeconfig; null: KUBECONFIG, or the cluster we run in.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Namespace of the Leases by which the speakers know each other.</summary>
    public required string Namespace { get; init; }

    /// <summary>Name of this node, as Kubernetes knows it.</summary>
    public required string NodeName { get; init; }

    /// <summary>Where health and metrics are served.</summary>
    public required string Listen { get; init; }

    /// <summary>Services of this class are ours; null: those without a class.</summary>
    public string? LoadBalancerClass { get; init; }

    /// <summary>Announce on nodes that are labelled as excluded from load balancers.</summary>
    public bool IgnoreExclusion { get; init; }

    /// <summary>Regular expressions: interfaces that match one never announce.</summary>
    public IReadOnlyList<string> InterfaceExclude { get; init; } = DefaultInterfaceExclude;

    /// <summary>How long a speaker's Lease holds without renewal: after that another node takes over. It is renewed at a third of it.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(10);
}
