using System.Collections.Frozen;
using System.Net.Sockets;

namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>Rules of L2Advertisements and BGPAdvertisements.</summary>
internal sealed class AdvertisementRules(ConfigPass pass)
{
    public List<Layer2Advertisement> ReadLayer2(List<Read<AddressPool>> pools, List<Read<AddressServiceSource>> services)
    {
        pass.Names(pass.Set.L2Advertisements);
        var ads = new List<Layer2Advertisement>();
        foreach (var (origin, spec, _) in pass.Set.L2Advertisements)
        {
            var sources = Sources(origin, spec.IPAddressPools, spec.IPAddressPoolSelectors, pools, services);
            pass.Selectors(origin, "nodeSelectors", spec.NodeSelectors);
            pass.Selectors(origin, "serviceSelectors", spec.ServiceSelectors);
            for (int i = 0; i < (spec.PreferredNodeSelectors?.Count ?? 0); i++)
            {
                string path = $"preferredNodeSelectors[{i}]";
                var preferred = spec.PreferredNodeSelectors![i];
                if (preferred.Weight is < 1 or > 100)
                    pass.Fault(origin, $"{path}.weight", $"{preferred.Weight} is not from 1 to 100");
                if (preferred.Preference is null)
                    pass.Fault(origin, $"{path}.preference", "is required");
                foreach (var (inner, reason) in preferred.Preference?.Faults() ?? [])
                    pass.Fault(origin, $"{path}.preference.{inner}", reason);
            }
            if (!pass.Bad.Contains(origin))
            {
                ads.Add(new Layer2Advertisement(
                    origin.Name, sources, spec.NodeSelectors ?? [], spec.ServiceSelectors ?? [], [.. (spec.Interfaces ?? []).Distinct()], spec.PreferredNodeSelectors ?? []));
            }
        }
        return ads;
    }

    public List<BgpAdvertisement> ReadBgp(
        List<Read<AddressPool>> pools, List<Read<AddressServiceSource>> services, Dictionary<string, (ConfigOrigin Origin, BgpCommunity Value)> communities,
        List<Read<BgpPeer>> peers, Dictionary<string, BfdProfile> profiles)
    {
        pass.Names(pass.Set.BgpAdvertisements);
        var ads = new List<BgpAdvertisement>();
        foreach (var (origin, spec, _) in pass.Set.BgpAdvertisements)
        {
            int length = spec.AggregationLength ?? 32, lengthV6 = spec.AggregationLengthV6 ?? 128;
            if (length is < 1 or > 32)
                pass.Fault(origin, "aggregationLength", $"invalid aggregation length {length}: it is from 1 to 32");
            if (lengthV6 is < 1 or > 128)
                pass.Fault(origin, "aggregationLengthV6", $"invalid aggregation length {lengthV6}: it is from 1 to 128");
            if (spec.LocalPref is < 0 or > uint.MaxValue)
                pass.Fault(origin, "localPref", $"{spec.LocalPref} is not from 0 to {uint.MaxValue}");
            pass.Distinct(origin, "peers", spec.Peers, "peer");
            pass.Selectors(origin, "nodeSelectors", spec.NodeSelectors);
            pass.Selectors(origin, "serviceSelectors", spec.ServiceSelectors);
            if (spec.ServiceSelectors is { Count: > 0 } && (length != 32 || lengthV6 != 128))
                pass.Fault(origin, "serviceSelectors", "serviceSelectors and aggregationLength are mutually exclusive");
            var values = Communities(origin, spec.Communities, communities);
            var sources = Sources(origin, spec.IPAddressPools, spec.IPAddressPoolSelectors, pools, services);
            var ad = new BgpAdvertisement(
                origin.Name, sources, spec.NodeSelectors ?? [], spec.ServiceSelectors ?? [], length, lengthV6, (uint)Math.Clamp(spec.LocalPref ?? 0, 0, uint.MaxValue), values,
                spec.Peers ?? []);
            var own = pools.Where(pool => sources.Contains(pool.Value.Name)).ToList();
            CheckLengths(origin, ad, own);
            CheckEcho(origin, ad, own, peers, profiles);
            CheckLocalPref(origin, ad, own, ads);
            if (!pass.Bad.Contains(origin))
                ads.Add(ad);
        }
        return ads;
    }

    private FrozenSet<string> Sources(
        ConfigOrigin origin, IReadOnlyList<string>? names, IReadOnlyList<LabelSelector>? selectors, List<Read<AddressPool>> pools,
        List<Read<AddressServiceSource>> services)
    {
        pass.Distinct(origin, "ipAddressPools", names, "pool");
        pass.Selectors(origin, "ipAddressPoolSelectors", selectors);
        var all = pools.Select(static pool => (pool.Value.Name, pool.Labels)).Concat(services.Select(static service => (service.Value.Name, service.Labels))).ToList();
        foreach (string name in (names ?? []).Where(name => !all.Exists(source => source.Name == name) && !pass.IsRefusedSource(name)))
            pass.Notice(origin, "ipAddressPools", $"there is no pool or address service '{name}'");
        if (names is null or { Count: 0 } && selectors is null or { Count: 0 })
            return all.Select(static source => source.Name).ToFrozenSet();
        return all.Where(source => names?.Contains(source.Name) == true || selectors?.Any(selector => selector.Matches(source.Labels)) == true)
            .Select(static source => source.Name).ToFrozenSet();
    }

    private List<BgpCommunity> Communities(
        ConfigOrigin origin, IReadOnlyList<string>? texts, Dictionary<string, (ConfigOrigin Origin, BgpCommunity Value)> aliases)
    {
        pass.Distinct(origin, "communities", texts, "community");
        var values = new HashSet<BgpCommunity>();
        for (int i = 0; i < (texts?.Count ?? 0); i++)
        {
            if (aliases.TryGetValue(texts![i], out var alias))
                values.Add(alias.Value);
            else if (BgpCommunity.WellKnown.TryGetValue(texts[i], out var known))
                values.Add(known);
            else if (BgpCommunity.TryParse(texts[i], out var value, out bool mayBeAlias) is not { } reason)
                values.Add(value);
            else if (!mayBeAlias || !pass.Set.ToleratesAbsent)
                pass.Fault(origin, $"communities[{i}]", mayBeAlias ? $"{reason}, and no Community defines it" : reason);
        }
        return [.. values.OrderBy(static value => value.SortKey)];
    }

    /// <summary>A route that is wider than the pool would draw traffic of others to us.</summary>
    private void CheckLengths(ConfigOrigin origin, BgpAdvertisement ad, List<Read<AddressPool>> pools)
    {
        foreach (var pool in pools)
        {
            foreach (var range in pool.Value.Ranges)
            {
                bool isV4 = range.Family == AddressFamily.InterNetwork;
                int length = isV4 ? ad.AggregationLength : ad.AggregationLengthV6, widest = range.WidestPrefix;
                if (length < widest)
                {
                    pass.Fault(
                        origin, isV4 ? "aggregationLength" : "aggregationLengthV6",
                        $"invalid aggregation length {length}: prefix {widest} in pool \"{pool.Value.Name}\" is more specific than the aggregation length, for addresses {range}");
                }
            }
        }
    }

    private void CheckEcho(ConfigOrigin origin, BgpAdvertisement ad, List<Read<AddressPool>> pools, List<Read<BgpPeer>> peers, Dictionary<string, BfdProfile> profiles)
    {
        if (pools.Find(static pool => pool.Value.Ranges.Any(static range => range.Family == AddressFamily.InterNetworkV6)) is not { } pool)
            return;
        foreach (var peer in peers.Select(static peer => peer.Value).Where(peer => ad.Reaches(peer.Name)))
        {
            if (peer.Spec.BfdProfile is { } name && profiles.TryGetValue(name, out var profile) && profile.Spec.EchoMode == true)
                pass.Fault(origin, "peers", $"pool \"{pool.Value.Name}\" has IPv6 addresses, and peer \"{peer.Name}\" has BFD echo mode (profile \"{name}\"), which is for IPv4 only");
        }
    }

    private void CheckLocalPref(ConfigOrigin origin, BgpAdvertisement ad, List<Read<AddressPool>> pools, List<BgpAdvertisement> earlier)
    {
        foreach (var other in earlier.Where(other => other.LocalPref != ad.LocalPref))
        {
            if (ad.ServiceSelectors.Count > 0 || other.ServiceSelectors.Count > 0)
                continue;
            bool sharePeer = ad.Peers.Count == 0 || other.Peers.Count == 0 || ad.Peers.Intersect(other.Peers).Any();
            if (!sharePeer || !pass.ShareNode(ad.NodeSelectors, other.NodeSelectors))
                continue;
            foreach (var pool in pools.Where(pool => other.Sources.Contains(pool.Value.Name) && SameRoutes(ad, other, pool.Value)))
            {
                pass.Fault(
                    origin, "localPref",
                    $"invalid localpref {ad.LocalPref}: advertisement \"{other.Name}\" announces the same routes of pool \"{pool.Value.Name}\" to the same peers from the same nodes with {other.LocalPref}");
            }
        }
    }

    private static bool SameRoutes(BgpAdvertisement left, BgpAdvertisement right, AddressPool pool)
    {
        bool v4 = pool.Ranges.Any(static range => range.Family == AddressFamily.InterNetwork), v6 = pool.Ranges.Any(static range => range.Family == AddressFamily.InterNetworkV6);
        return (v4 && left.AggregationLength == right.AggregationLength) || (v6 && left.AggregationLengthV6 == right.AggregationLengthV6);
    }
}
