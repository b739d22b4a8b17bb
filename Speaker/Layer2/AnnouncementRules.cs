using System.Globalization;
using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;

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
    UnsupportedFamily,
    NoEndpoints,
    NotOwner,
}

/// <summary>What a speaker does about a Service.</summary>
/// <param name="Reason">None to announce.</param>
/// <param name="Addresses">The addresses to announce.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Owner">The node that announces, or would; null when nobody can.</param>
internal sealed record Decision(SilenceReason Reason, IReadOnlyList<IPv4Address> Addresses, DateTimeOffset? ValidUntil, string? Owner)
{
    public static Decision Silent(SilenceReason reason, string? owner = null) => new(reason, [], null, owner);

    /// <summary>Whether the same is announced, by the same node, for the same cause.</summary>
    public bool IsLike(Decision? other) => other is not null && Reason == other.Reason && Owner == other.Owner && Addresses.SequenceEqual(other.Addresses);
}

/// <summary>What the rules look at. Immutable.</summary>
/// <param name="Me">Our own node.</param>
/// <param name="Candidates">Nodes that may announce: their speaker is alive, ours included once the others know of it, and nothing speaks against the node.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Now">The time, UTC.</param>
internal sealed record Surroundings(string Me, IReadOnlyList<string> Candidates, LoadBalancerConfig Config, DateTimeOffset Now);

/// <summary>Decides whether this node announces a Service's addresses by ARP (MetalLB, "Layer 2 mode"). Pure.</summary>
internal static class AnnouncementRules
{
    public static Decision Decide(Service service, IReadOnlyCollection<EndpointSlice> slices, Surroundings surroundings)
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
        if (FindSource(service, addresses, surroundings.Config) is not { } source)
            return Decision.Silent(SilenceReason.IpNotAllowed);
        if (!source.Protocol.HasFlag(AnnouncementProtocol.Layer2))
            return Decision.Silent(SilenceReason.UnsupportedProtocol, Election.Winner(surroundings.Candidates, addresses[0]));
        if (!TryReadEnd(service, out var validUntil) || validUntil <= surroundings.Now)
            return Decision.Silent(SilenceReason.LeaseExpired);
        var announceable = new List<IPv4Address>();
        foreach (var address in addresses)
        {
            if (IPv4Address.TryFrom(address, out var ipv4))
                announceable.Add(ipv4);
        }
        if (announceable.Count == 0)
            return Decision.Silent(SilenceReason.UnsupportedFamily);

        var usable = slices.SelectMany(static slice => slice.Endpoints ?? []).Where(IsUsable).ToList();
        if (usable.Count == 0)
            return Decision.Silent(SilenceReason.NoEndpoints);
        IEnumerable<string> candidates = surroundings.Candidates;
        if (service.Spec.ExternalTrafficPolicy == "Local")
        {
            var hosts = usable.Select(static endpoint => endpoint.Node).ToHashSet();
            candidates = candidates.Where(hosts.Contains);
        }
        // Both addresses of a dual-stack Service go to one node: the first decides, as with MetalLB.
        string? owner = Election.Winner(candidates, addresses[0]);
        return owner is not null && owner == surroundings.Me
            ? new Decision(SilenceReason.None, announceable, validUntil, owner)
            : Decision.Silent(SilenceReason.NotOwner, owner);
    }

    private static bool TryReadEnd(Service service, out DateTimeOffset? end)
    {
        end = null;
        if (service.Metadata.Annotation(Annotations.ValidUntil) is not { } text)
            return true;
        // What cannot be read entitles to nothing.
        bool readable = DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var parsed);
        end = parsed;
        return readable;
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
