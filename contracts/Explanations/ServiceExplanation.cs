using System.Text.Json.Serialization;

namespace DynamicLb.Contracts.Explanations;

/// <summary>What a speaker says about a Service: <c>GET /v1/explain/NAMESPACE/NAME</c>. Read-only, without secrets.</summary>
/// <param name="Service"><c>namespace/name</c>.</param>
/// <param name="Node">The node whose speaker says it.</param>
/// <param name="Verdict">One sentence: who announces it, or why nobody does.</param>
/// <param name="Reason">The reason by name, of layer 2: <c>None</c> when this node is to announce; whether it does, each address tells. <c>UnsupportedProtocol</c> where the pool is not announced by it.</param>
/// <param name="Owner">The node that is to announce by layer 2; null for none.</param>
public sealed record ServiceExplanation(string Service, string Node, string Verdict, string Reason, string? Owner)
{
    /// <summary>Its addresses.</summary>
    public IReadOnlyList<ExplainedAddress> Addresses { get; init; } = [];

    /// <summary>The pool or address service that they came from; null when it is not known.</summary>
    public string? Source { get; init; }

    /// <summary>End of the lease; null for an address that does not end.</summary>
    public DateTimeOffset? ValidUntil { get; init; }

    /// <summary>What is said to be the end of the lease, where it cannot be read; null otherwise.</summary>
    public string? UnreadableEnd { get; init; }

    /// <summary>The nodes that say in a ServiceL2Status that they announce by layer 2.</summary>
    public IReadOnlyList<string> Announcers { get; init; } = [];

    /// <summary>Advertisements of the pool that select the Service.</summary>
    public IReadOnlyList<string> Advertisements { get; init; } = [];

    /// <summary>Endpoints of the Service.</summary>
    public IReadOnlyList<ExplainedEndpoint> Endpoints { get; init; } = [];

    /// <summary>All nodes, in the order of the election; those that cannot be elected last.</summary>
    public IReadOnlyList<ExplainedNode> Nodes { get; init; } = [];

    /// <summary>Interfaces of this node.</summary>
    public IReadOnlyList<ExplainedInterface> Interfaces { get; init; } = [];

    /// <summary>What BGP has to do with it; null where its pool is not announced by it.</summary>
    public ExplainedBgp? Bgp { get; init; }

    /// <summary>
    /// Whether it is announced, as far as the node that answers can tell: of itself it knows, of another that it says so in a ServiceL2Status, and of other nodes' BGP sessions nothing.
    /// </summary>
    [JsonIgnore]
    public bool IsAnnounced => (Reason == "None" && Addresses.Any(static address => address.IsAnswered)) || (Reason == "NotOwner" && Owner is not null && Announcers.Contains(Owner))
        || (Bgp is not null && (Bgp.Peers.Any(static peer => peer.IsTold) || Bgp.Nodes.Any(node => node.IsAnnouncer && node.Node != Node)));
}

/// <summary>An address of a Service.</summary>
/// <param name="Address">The address.</param>
/// <param name="IsAnswered">Whether this node answers for it, on one interface at least.</param>
public sealed record ExplainedAddress(string Address, bool IsAnswered)
{
    /// <summary>Why this node does not answer for it although it is to announce the Service; null otherwise.</summary>
    public string? Silence { get; init; }

    /// <summary>When a neighbour asked this node for it last.</summary>
    public DateTimeOffset? LastAsked { get; init; }

    /// <summary>Who did.</summary>
    public string? LastAsker { get; init; }

    /// <summary>When this node answered last.</summary>
    public DateTimeOffset? LastAnswered { get; init; }

    /// <summary>The MAC of its lease, where it is announced with that; null where it is with the interface's.</summary>
    public string? Mac { get; init; }

    /// <summary>Another machine that has the address; null for none.</summary>
    public string? Conflict { get; init; }
}

/// <summary>An endpoint.</summary>
/// <param name="Address">Its address.</param>
/// <param name="Node">Its node; null when it has none.</param>
/// <param name="IsUsable">Whether it takes traffic: ready, or still serving.</param>
public sealed record ExplainedEndpoint(string Address, string? Node, bool IsUsable);

/// <summary>A node in the election.</summary>
/// <param name="Node">The node.</param>
/// <param name="Why">Why it announces or does not.</param>
/// <param name="IsCandidate">Whether it could be elected.</param>
/// <param name="Score">Sum of the weights of the preferences that match it.</param>
public sealed record ExplainedNode(string Node, string Why, bool IsCandidate, int Score);

/// <summary>An interface.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Mac">Its hardware address.</param>
/// <param name="IsUsed">Whether the Service is, or would be, announced on it.</param>
/// <param name="Why">Why it is or is not.</param>
public sealed record ExplainedInterface(string Name, string Mac, bool IsUsed, string Why);

/// <summary>JSON of explanations.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true)]
[JsonSerializable(typeof(ServiceExplanation))]
[JsonSerializable(typeof(IReadOnlyList<ServiceExplanation>))]
public sealed partial class ExplanationJsonContext : JsonSerializerContext;
