namespace DynamicLb.Contracts.Explanations;

/// <summary>What is said of a Service by BGP, which has no election: every node that may announce does.</summary>
/// <param name="Verdict">One sentence: who announces it, or why nobody does.</param>
/// <param name="Reason">Why the node that answers does not announce it, by name: <c>None</c> when it does, or is to.</param>
public sealed record ExplainedBgp(string Verdict, string Reason)
{
    /// <summary>BGPAdvertisements of the pool that select the Service.</summary>
    public IReadOnlyList<string> Advertisements { get; init; } = [];

    /// <summary>All nodes, by name.</summary>
    public IReadOnlyList<ExplainedBgpNode> Nodes { get; init; } = [];

    /// <summary>All peers, as the node that answers has them.</summary>
    public IReadOnlyList<ExplainedBgpPeer> Peers { get; init; } = [];
}

/// <summary>A node, as far as the rules go: only its own speaker knows its sessions.</summary>
/// <param name="Node">The node.</param>
/// <param name="IsAnnouncer">Whether it is to announce the Service to one peer at least.</param>
/// <param name="Why">To which peers, or why not.</param>
public sealed record ExplainedBgpNode(string Node, bool IsAnnouncer, string Why);

/// <summary>A peer and a Service.</summary>
/// <param name="Name">The BGPPeer.</param>
/// <param name="IsTold">Whether it has been told of the Service; where FRR has the sessions, whether FRR has.</param>
/// <param name="Why">Why it has or has not.</param>
public sealed record ExplainedBgpPeer(string Name, bool IsTold, string Why)
{
    /// <summary>What it is to know of the Service.</summary>
    public IReadOnlyList<ExplainedRoute> Routes { get; init; } = [];

    /// <summary>Its session, without the list of all routes; null where there is none to be.</summary>
    public ExplainedPeer? Session { get; init; }
}

/// <summary>A route. Services may share one, and with it what is said of it.</summary>
/// <param name="Prefix">The network.</param>
/// <param name="IsTold">Whether the peer has been told of it.</param>
public sealed record ExplainedRoute(string Prefix, bool IsTold)
{
    /// <summary>LOCAL_PREF; null where the peer is of another AS, which is not told it.</summary>
    public uint? LocalPref { get; init; }

    /// <summary>Communities, as a BGPAdvertisement has them.</summary>
    public IReadOnlyList<string> Communities { get; init; } = [];
}
