using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>
/// The routes of each peer. Peers that are told the same share one table; routes of the same attributes share these. Services that share a route share it with all communities of their
/// advertisements and the highest LOCAL_PREF, so that nothing depends on the order in which they came. Pure.
/// </summary>
internal static class BgpRoutes
{
    /// <summary>LOCAL_PREF of an advertisement that says nothing, as routers understand it.</summary>
    public const uint DefaultLocalPref = 100;

    /// <summary>Works out the routes.</summary>
    /// <param name="decisions">What is announced.</param>
    /// <param name="peers">Names of the peers of this node.</param>
    /// <returns>The table of each peer.</returns>
    public static Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> Of(IReadOnlyCollection<BgpDecision> decisions, IEnumerable<string> peers)
    {
        var tables = new Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>();
        var bySignature = new Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>();
        var advertisements = decisions.SelectMany(static decision => decision.Advertisements).Distinct(ReferenceEqualityComparer.Instance).Cast<BgpAdvertisement>().ToList();
        foreach (string peer in peers)
        {
            string signature = string.Concat(advertisements.Select(ad => ad.Reaches(peer) ? '1' : '0'));
            if (!bySignature.TryGetValue(signature, out var table))
            {
                table = Table(decisions, peer);
                bySignature.Add(signature, table);
            }
            tables.Add(peer, table);
        }
        return tables;
    }

    /// <summary>Communities, as a BGPAdvertisement has them.</summary>
    public static List<string> CommunitiesOf(BgpRouteAttributes attributes)
    {
        var communities = new List<string>();
        foreach (uint community in attributes.Communities)
            communities.Add(new BgpCommunity(false, community, 0, 0).ToString());
        foreach (var community in attributes.LargeCommunities)
            communities.Add(new BgpCommunity(true, community.Global, community.First, community.Second).ToString());
        return communities;
    }

    private static Dictionary<BgpPrefix, BgpRouteAttributes> Table(IReadOnlyCollection<BgpDecision> decisions, string peer)
    {
        var of = new Dictionary<BgpAdvertisement, BgpRouteAttributes>(ReferenceEqualityComparer.Instance);
        var merged = new Dictionary<(BgpRouteAttributes, BgpRouteAttributes), BgpRouteAttributes>();
        var table = new Dictionary<BgpPrefix, BgpRouteAttributes>(decisions.Count);
        foreach (var decision in decisions)
        {
            foreach (var ad in decision.Advertisements)
            {
                if (!ad.Reaches(peer))
                    continue;
                if (!of.TryGetValue(ad, out var attributes))
                    of.Add(ad, attributes = Attributes(ad));
                foreach (var address in decision.Addresses)
                {
                    var prefix = BgpAnnouncementRules.PrefixOf(address, ad);
                    if (!table.TryGetValue(prefix, out var known))
                    {
                        table.Add(prefix, attributes);
                    }
                    else if (!known.Equals(attributes))
                    {
                        if (!merged.TryGetValue((known, attributes), out var both))
                            merged.Add((known, attributes), both = Merge(known, attributes));
                        table[prefix] = both;
                    }
                }
            }
        }
        return table;
    }

    private static BgpRouteAttributes Attributes(BgpAdvertisement ad) => new(
        ad.LocalPref == 0 ? DefaultLocalPref : ad.LocalPref, ad.Communities.Where(static community => !community.IsLarge).Select(static community => community.Global),
        ad.Communities.Where(static community => community.IsLarge).Select(static community => new BgpLargeCommunity(community.Global, community.First, community.Second)));

    private static BgpRouteAttributes Merge(BgpRouteAttributes left, BgpRouteAttributes right) => new(
        Math.Max(left.LocalPref, right.LocalPref), [.. left.Communities, .. right.Communities], [.. left.LargeCommunities, .. right.LargeCommunities]);
}
