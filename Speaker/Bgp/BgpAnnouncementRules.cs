using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Bgp;

/// <summary>Why a Service is not announced by BGP from this node; the names are MetalLB's where it has them.</summary>
internal enum BgpSilence
{
    None = 0,
    NotLoadBalancer,
    NoIPAllocated,
    InvalidIP,
    IpNotAllowed,
    NotByBgp,
    LeaseExpired,
    NodeNetworkUnavailable,
    NodeLabeledExcludeBalancers,
    NoEndpoints,
    NoLocalEndpoints,
    NoMatchingAdvertisement,
    ConflictingAdvertisements,
}

/// <summary>What is announced of a Service from this node.</summary>
/// <param name="Reason">None to announce.</param>
/// <param name="Addresses">Its addresses.</param>
/// <param name="Advertisements">The advertisements that announce them.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
internal sealed record BgpDecision(BgpSilence Reason, IReadOnlyList<IPAddress> Addresses, IReadOnlyList<BgpAdvertisement> Advertisements, DateTimeOffset? ValidUntil)
{
    public static BgpDecision Silent(BgpSilence reason) => new(reason, [], [], null);

    /// <summary>Whether the same is announced, or nothing for the same cause.</summary>
    public bool IsLike(BgpDecision? other) => other is not null && Reason == other.Reason && Addresses.SequenceEqual(other.Addresses)
        && Advertisements.Select(static ad => ad.Name).SequenceEqual(other.Advertisements.Select(static ad => ad.Name));
}

/// <summary>What the rules look at. Immutable.</summary>
/// <param name="Me">Our own node.</param>
/// <param name="Node">Our own Node; null while it is not known.</param>
/// <param name="Config">The configuration.</param>
/// <param name="IgnoreExcludeLabel">Whether the label that excludes nodes is ignored.</param>
/// <param name="Now">The time, UTC.</param>
internal sealed record BgpSurroundings(string Me, Node? Node, LoadBalancerConfig Config, bool IgnoreExcludeLabel, DateTimeOffset Now);

/// <summary>Decides which routes this node announces for a Service (MetalLB, "BGP mode"). There is no election: all nodes that may announce do. Pure.</summary>
internal static class BgpAnnouncementRules
{
    public static BgpDecision Decide(Service service, IReadOnlyCollection<EndpointSlice> slices, BgpSurroundings surroundings)
    {
        if (!AnnouncementRules.TryReadAddresses(service, out var addresses))
            return BgpDecision.Silent(BgpSilence.InvalidIP);
        if (addresses.Count == 0)
            return BgpDecision.Silent(BgpSilence.NoIPAllocated);
        if (AnnouncementRules.FindSource(service, addresses, surroundings.Config) is not { } source)
            return BgpDecision.Silent(BgpSilence.IpNotAllowed);
        if (!source.Protocol.HasFlag(AnnouncementProtocol.Bgp))
            return BgpDecision.Silent(BgpSilence.NotByBgp);
        if (!AnnouncementRules.TryReadEnd(service, out var validUntil) || validUntil <= surroundings.Now)
            return BgpDecision.Silent(BgpSilence.LeaseExpired);
        if (!AnnouncementRules.CanAnnounce(surroundings.Node, true))
            return BgpDecision.Silent(BgpSilence.NodeNetworkUnavailable);
        if (!AnnouncementRules.CanAnnounce(surroundings.Node, surroundings.IgnoreExcludeLabel))
            return BgpDecision.Silent(BgpSilence.NodeLabeledExcludeBalancers);

        var usable = AnnouncementRules.UsableEndpoints(slices);
        if (usable.Count == 0)
            return BgpDecision.Silent(BgpSilence.NoEndpoints);
        if (service.Spec.ExternalTrafficPolicy == "Local" && !usable.Exists(endpoint => endpoint.Node == surroundings.Me))
            return BgpDecision.Silent(BgpSilence.NoLocalEndpoints);

        var labels = surroundings.Node?.Metadata.Labels;
        var advertisements = AdvertisementsOf(service, source, surroundings.Config).Where(ad => LabelSelector.AnyMatches(ad.NodeSelectors, labels)).ToList();
        if (advertisements.Count == 0)
            return BgpDecision.Silent(BgpSilence.NoMatchingAdvertisement);
        if (HasConflict(advertisements, addresses))
            return BgpDecision.Silent(BgpSilence.ConflictingAdvertisements);
        return new BgpDecision(BgpSilence.None, addresses, advertisements, validUntil);
    }

    /// <summary>The route that an advertisement makes of an address.</summary>
    public static BgpPrefix PrefixOf(IPAddress address, BgpAdvertisement advertisement) =>
        BgpPrefix.Of(address, address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? advertisement.AggregationLength : advertisement.AggregationLengthV6);

    /// <summary>The advertisements of a pool that select a Service, whatever the node.</summary>
    public static IEnumerable<BgpAdvertisement> AdvertisementsOf(Service service, AddressSource source, LoadBalancerConfig config) =>
        config.BgpAdvertisements.Where(ad => ad.Sources.Contains(source.Name) && LabelSelector.AnyMatches(ad.ServiceSelectors, service.Metadata.Labels));

    /// <summary>Whether two advertisements say different things of one route to one peer.</summary>
    private static bool HasConflict(List<BgpAdvertisement> advertisements, List<IPAddress> addresses)
    {
        for (int i = 1; i < advertisements.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                var (left, right) = (advertisements[i], advertisements[j]);
                if (left.LocalPref != right.LocalPref && (left.Peers.Count == 0 || right.Peers.Count == 0 || left.Peers.Intersect(right.Peers).Any())
                    && addresses.Exists(address => PrefixOf(address, left) == PrefixOf(address, right)))
                    return true;
            }
        }
        return false;
    }
}
