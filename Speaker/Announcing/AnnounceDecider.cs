using System.Globalization;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using Endpoint = DynamicLb.Kubernetes.Resources.Endpoint;

namespace DynamicLb.Speaker.Announcing;

/// <summary>Whether this node announces a Service, or why not.</summary>
internal enum AnnounceOutcome
{
    /// <summary>This node announces it.</summary>
    Announce,

    /// <summary>Not a Service of ours, or it has no IPv4 address yet.</summary>
    NoAddress,

    /// <summary>Its addresses belong to no pool of the configuration, or not to the one they are said to come from.</summary>
    AddressNotAllowed,

    /// <summary>Its lease has ended, or the note about its end cannot be read.</summary>
    LeaseEnded,

    /// <summary>Its pool is announced by a protocol that is not this one.</summary>
    OtherProtocol,

    /// <summary>It has no endpoint that could serve.</summary>
    NoEndpoint,

    /// <summary>No living node may announce it.</summary>
    NoCandidate,

    /// <summary>Another node announces it.</summary>
    OtherNode,
}

/// <summary>A decision about one Service.</summary>
/// <param name="Outcome">Whether to announce.</param>
/// <param name="Addresses">What to announce; empty unless the outcome says so.</param>
/// <param name="Until">When to stop; null for never.</param>
/// <param name="Owner">The elected node, if there was an election.</param>
internal sealed record AnnounceDecision(
    AnnounceOutcome Outcome, IReadOnlyList<IPv4Address> Addresses, DateTimeOffset? Until = null, string? Owner = null)
{
    public static AnnounceDecision No(AnnounceOutcome outcome, string? owner = null) => new(outcome, [], null, owner);
}

/// <summary>What a decision is made from, apart from the Service itself.</summary>
/// <param name="Self">Name of this node.</param>
/// <param name="LoadBalancerClass">Services of this class are ours; null: those without a class.</param>
/// <param name="IgnoreExclusion">Nodes may announce although they are labelled as excluded from load balancers.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Nodes">All Nodes.</param>
/// <param name="Living">Names of the nodes whose speakers live.</param>
/// <param name="Now">The time, UTC.</param>
internal sealed record AnnounceSituation(
    string Self,
    string? LoadBalancerClass,
    bool IgnoreExclusion,
    LoadBalancerConfig Config,
    IReadOnlyCollection<Node> Nodes,
    IReadOnlySet<string> Living,
    DateTimeOffset Now);

/// <summary>
/// Decides who announces a Service, by MetalLB's rules. A pure function of what every speaker sees, so that all come to the same answer
/// without talking to each other.
/// </summary>
internal static class AnnounceDecider
{
    public static AnnounceDecision Decide(Service service, IEnumerable<EndpointSlice> slices, AnnounceSituation situation)
    {
        var addresses = AddressesOf(service, situation);
        if (addresses.Count == 0)
            return AnnounceDecision.No(AnnounceOutcome.NoAddress);

        var source = SourceOf(service, addresses, situation.Config);
        if (source is null)
            return AnnounceDecision.No(AnnounceOutcome.AddressNotAllowed);
        if (!TryReadEnd(service, out var until) || until <= situation.Now)
            return AnnounceDecision.No(AnnounceOutcome.LeaseEnded);
        if (source.Protocol != AnnouncementProtocol.Layer2)
            return AnnounceDecision.No(AnnounceOutcome.OtherProtocol);

        var serving = slices.SelectMany(slice => slice.Endpoints ?? []).Where(IsUsable).ToList();
        if (serving.Count == 0)
            return AnnounceDecision.No(AnnounceOutcome.NoEndpoint);

        var candidates = situation.Nodes.Where(node => MayAnnounce(node, situation)).Select(node => node.Metadata.Name!);
        if (service.Spec.ExternalTrafficPolicy == "Local")
            candidates = candidates.Intersect(serving.Select(endpoint => endpoint.Node).OfType<string>(), StringComparer.Ordinal);
        var owner = Election.Winner(candidates, addresses[0]);
        if (owner is null)
            return AnnounceDecision.No(AnnounceOutcome.NoCandidate);
        return owner == situation.Self
            ? new AnnounceDecision(AnnounceOutcome.Announce, addresses, until, owner)
            : AnnounceDecision.No(AnnounceOutcome.OtherNode, owner);
    }

    private static List<IPv4Address> AddressesOf(Service service, AnnounceSituation situation)
    {
        var addresses = new List<IPv4Address>();
        if (service.Spec.Type != "LoadBalancer"
            || service.Metadata.DeletionTimestamp is not null
            || NullIfEmpty(service.Spec.LoadBalancerClass) != situation.LoadBalancerClass)
            return addresses;
        foreach (var ingress in service.Status.LoadBalancer.Ingress ?? [])
        {
            if (IPv4Address.TryParse(ingress.Ip, out var address))
                addresses.Add(address);
        }
        return addresses;
    }

    /// <summary>
    /// What all the addresses come from: what the controller has written down, if it is still there and may have them; without that note a pool
    /// that has them.
    /// </summary>
    private static AddressSource? SourceOf(Service service, List<IPv4Address> addresses, LoadBalancerConfig config)
    {
        var name = service.Metadata.Annotation(Annotations.AllocatedFromPool);
        if (name is not null)
            return config.Find(name) is { } noted && addresses.TrueForAll(address => noted.MayContain(address.ToIPAddress())) ? noted : null;
        return config.AddressPools.FirstOrDefault(pool => addresses.TrueForAll(address => pool.MayContain(address.ToIPAddress())));
    }

    private static bool TryReadEnd(Service service, out DateTimeOffset? until)
    {
        until = null;
        var text = service.Metadata.Annotation(Annotations.ValidUntil);
        if (text is null)
            return true;
        // What cannot be read must not count as "for ever".
        if (!DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end))
            return false;
        until = end;
        return true;
    }

    /// <summary>Ready (or not said), or at least still serving while it terminates.</summary>
    private static bool IsUsable(Endpoint endpoint) => endpoint.Conditions is not { } conditions || (conditions.Ready ?? true) || conditions.Serving == true;

    private static bool MayAnnounce(Node node, AnnounceSituation situation) =>
        node.Metadata.Name is { } name
        && situation.Living.Contains(name)
        && (situation.IgnoreExclusion || node.Metadata.Labels?.ContainsKey(NodeLabels.ExcludeFromExternalLoadBalancers) != true)
        && node.Status.Conditions?.Any(condition => condition is { Type: "NetworkUnavailable", Status: "True" }) != true;

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
