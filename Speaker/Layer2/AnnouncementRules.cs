using System.Globalization;
using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Why a speaker does not announce the addresses of a Service; the names are MetalLB's where it has them.</summary>
internal enum SilenceReason
{
    None = 0,
    NotLoadBalancer,
    NoIPAllocated,
    InvalidIP,
    IpNotAllowed,
    UnsupportedProtocol,
    LeaseExpired,
    NoEndpoints,
    NotOwner,
}

/// <summary>What a speaker does about a Service.</summary>
/// <param name="Reason">None to announce.</param>
/// <param name="Addresses">The addresses to announce.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Owner">The node that announces; null when nobody can.</param>
internal sealed record Decision(SilenceReason Reason, IReadOnlyList<IPAddress> Addresses, DateTimeOffset? ValidUntil, string? Owner)
{
    public static Decision Silent(SilenceReason reason, string? owner = null) => new(reason, [], null, owner);
}

/// <summary>What the rules look at. Immutable.</summary>
/// <param name="Me">Our own node.</param>
/// <param name="Members">Nodes whose speaker is alive, ours included.</param>
/// <param name="Nodes">All Nodes by name.</param>
/// <param name="IgnoreExcludeLabel">Whether the exclude label of Nodes is ignored.</param>
internal sealed record Surroundings(
    string Me, IReadOnlyCollection<string> Members, Func<string, Node?> Nodes, bool IgnoreExcludeLabel);

/// <summary>Decides whether this node announces a Service's addresses by ARP (MetalLB, "Layer 2 mode"). Pure.</summary>
internal static class AnnouncementRules
{
    public static Decision Decide(
        Service service, IReadOnlyCollection<EndpointSlice> slices, LoadBalancerConfig config, Surroundings surroundings, DateTimeOffset now)
    {
        var ingress = service.Status.LoadBalancer.Ingress ?? [];
        if (!ingress.Any(static entry => entry.Ip is not null))
            return Decision.Silent(SilenceReason.NoIPAllocated);
        var addresses = new List<IPAddress>();
        foreach (var entry in ingress)
        {
            if (!IPAddress.TryParse(entry.Ip, out var address))
                return Decision.Silent(SilenceReason.InvalidIP);
            addresses.Add(address);
        }
        if (FindSource(service, addresses, config) is not { } source)
            return Decision.Silent(SilenceReason.IpNotAllowed);
        if (source.Protocol != AnnouncementProtocol.Layer2)
            return Decision.Silent(SilenceReason.UnsupportedProtocol);

        DateTimeOffset? validUntil = null;
        if (service.Metadata.Annotation(Annotations.ValidUntil) is { } text)
        {
            // What cannot be read entitles to nothing.
            validUntil = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var parsed) ? parsed : now;
            if (validUntil <= now)
                return Decision.Silent(SilenceReason.LeaseExpired);
        }

        var usable = slices.SelectMany(static slice => slice.Endpoints ?? []).Where(IsUsable).ToList();
        if (usable.Count == 0)
            return Decision.Silent(SilenceReason.NoEndpoints);
        IEnumerable<string> candidates = surroundings.Members.Where(node => CanAnnounce(surroundings.Nodes(node), surroundings.IgnoreExcludeLabel));
        if (service.Spec.ExternalTrafficPolicy == "Local")
        {
            var hosts = usable.Select(static endpoint => endpoint.Node).ToHashSet();
            candidates = candidates.Where(hosts.Contains);
        }
        // Both addresses of a dual-stack Service go to one node: the first decides, as with MetalLB.
        string? owner = Election.Order(candidates, addresses[0]) is [var first, ..] ? first : null;
        return owner == surroundings.Me
            ? new Decision(SilenceReason.None, addresses, validUntil, owner)
            : Decision.Silent(SilenceReason.NotOwner, owner);
    }

    /// <summary>The source that the controller named, if the addresses can be its own; without a name, the pool that holds them.</summary>
    private static AddressSource? FindSource(Service service, List<IPAddress> addresses, LoadBalancerConfig config)
    {
        if (service.Metadata.Annotation(Annotations.AllocatedFromPool) is { } name && config.Find(name) is { } named)
            return addresses.TrueForAll(named.MayContain) ? named : null;
        return config.AddressPools.FirstOrDefault(pool => addresses.TrueForAll(pool.MayContain));
    }

    /// <summary>Takes traffic: ready or not known to be unready, or still serving while it shuts down.</summary>
    internal static bool IsUsable(Kubernetes.Resources.Endpoint endpoint) =>
        endpoint.Addresses is { Count: > 0 } && (endpoint.Conditions?.Ready is null or true || endpoint.Conditions?.Serving == true);

    /// <summary>A Node that we have not heard of yet may announce: its speaker is alive, and says so.</summary>
    internal static bool CanAnnounce(Node? node, bool ignoreExcludeLabel)
    {
        if (node is null)
            return true;
        if (!ignoreExcludeLabel && node.Metadata.Labels?.ContainsKey(NodeLabels.ExcludeFromExternalLoadBalancers) == true)
            return false;
        return node.Status.Conditions?.Any(static condition => condition is { Type: "NetworkUnavailable", Status: "True" }) != true;
    }
}
