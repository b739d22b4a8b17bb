using System.Text.Json.Serialization;

namespace DynamicLb.Contracts.Explanations;

/// <summary>What a speaker says about its BGP sessions: <c>GET /v1/bgp</c>. Read-only, without secrets.</summary>
/// <param name="Node">The node whose speaker says it.</param>
/// <param name="Peers">Its peers, by name.</param>
public sealed record BgpExplanation(string Node, IReadOnlyList<ExplainedPeer> Peers);

/// <summary>A peer.</summary>
/// <param name="Name">The BGPPeer.</param>
/// <param name="Peer">Its address or interface, and port.</param>
/// <param name="Vrf">Its VRF; <c>default</c> for none.</param>
/// <param name="State">State of the session (RFC 4271 §8.2.2).</param>
public sealed record ExplainedPeer(string Name, string Peer, string Vrf, string State)
{
    /// <summary>Why there is no session, or why the last one ended; empty for no cause.</summary>
    public string LastError { get; init; } = "";

    /// <summary>Since when there is a session; null without one.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>Our end; empty without a session.</summary>
    public string Local { get; init; } = "";

    /// <summary>What the peer is to know.</summary>
    public IReadOnlyList<string> Routes { get; init; } = [];

    /// <summary>How many of the routes it has been told of.</summary>
    public int Told { get; init; }

    /// <summary>How many it has not been told of yet.</summary>
    public int Pending { get; init; }

    /// <summary>How many the session cannot carry, by their family.</summary>
    public int NotCarried { get; init; }

    /// <summary>BFD sessions with the peer's address.</summary>
    public IReadOnlyList<ExplainedBfd> Bfd { get; init; } = [];
}

/// <summary>A BFD session.</summary>
/// <param name="State">Our state.</param>
/// <param name="Cause">Why it is what it is, in words.</param>
/// <param name="TransmitMilliseconds">Pause between our packets.</param>
/// <param name="DetectionMilliseconds">How long nothing may be heard.</param>
/// <param name="EchoMilliseconds">Pause between echo packets; 0 when none are sent.</param>
public sealed record ExplainedBfd(string State, string Cause, double TransmitMilliseconds, double DetectionMilliseconds, double EchoMilliseconds);

/// <summary>JSON of BGP sessions.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, WriteIndented = true)]
[JsonSerializable(typeof(BgpExplanation))]
public sealed partial class BgpJsonContext : JsonSerializerContext;
