namespace DynamicLb.Speaker.Bgp;

/// <summary>How a speaker speaks BGP, beyond what each BGPPeer says. Immutable.</summary>
internal sealed record BgpOptions
{
    /// <summary>Port that routers can connect to; 0 for none.</summary>
    public int ListenPort { get; init; }

    /// <summary>Whether routers are waited for; else both sides connect.</summary>
    public bool IsPassive { get; init; }

    /// <summary>Whether only neighbours are heard where a neighbour is meant (GTSM, RFC 5082).</summary>
    public bool TtlSecurity { get; init; }

    /// <summary>Whether routers are left to FRR, by way of FRR-K8s.</summary>
    public bool UsesFrrK8s { get; init; }

    /// <summary>The namespace of FRR-K8s; null for our own.</summary>
    public string? FrrNamespace { get; init; }

    /// <summary>Whether Secrets of passwords are named to FRR-K8s unseen.</summary>
    public bool PassesFrrSecrets { get; init; }
}
