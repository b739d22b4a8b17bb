using System.Net.Sockets;

namespace DynamicLb.Contracts.Configuration.Rules;

/// <summary>What BGP implementations cannot do: MetalLB's native mode, its FRR modes, and ours.</summary>
internal sealed class BgpModeRules(ConfigPass pass)
{
    private const int DefaultPort = 179;

    public void Check(
        List<Read<AddressPool>> pools, List<BgpAdvertisement> ads, Dictionary<string, (ConfigOrigin Origin, BgpCommunity Value)> communities, List<Read<BgpPeer>> peers)
    {
        if (pass.Set.BgpRules == BgpRules.Native)
            CheckNative(pools, ads, communities, peers);
        for (int i = 1; i < peers.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (pass.ShareNode(peers[i].Value.Spec.NodeSelectors, peers[j].Value.Spec.NodeSelectors))
                    CheckPair(peers[i], peers[j].Value);
            }
        }
    }

    private void CheckPair(Read<BgpPeer> peer, BgpPeer earlier)
    {
        // Routers tell sessions of one node apart by our address, and we by their port.
        var (spec, other) = (peer.Value.Spec, earlier.Spec);
        if (peer.Value.Identity == earlier.Identity
            && (pass.Set.BgpRules == BgpRules.Frr || ((spec.PeerPort ?? DefaultPort) == (other.PeerPort ?? DefaultPort) && (spec.SourceAddress ?? "") == (other.SourceAddress ?? ""))))
            pass.Fault(peer.Origin, peer.Value.PeerAddress is null ? "interface" : "peerAddress", $"peer \"{peer.Value.Identity}\" already exists on a common node, as \"{earlier.Name}\"");
        if (pass.Set.BgpRules != BgpRules.Frr)
            return;
        if ((peer.Value.Spec.RouterID ?? "") != (earlier.Spec.RouterID ?? ""))
            pass.Fault(peer.Origin, "routerID", $"all peers of a node have the same router ID with FRR, and \"{earlier.Name}\" has another");
        if (peer.Value.Spec.MyASN != earlier.Spec.MyASN && (peer.Value.Spec.Vrf ?? "") == (earlier.Spec.Vrf ?? ""))
            pass.Fault(peer.Origin, "myASN", $"all peers of a node and VRF have the same myASN with FRR, and \"{earlier.Name}\" has another");
    }

    private void CheckNative(
        List<Read<AddressPool>> pools, List<BgpAdvertisement> ads, Dictionary<string, (ConfigOrigin Origin, BgpCommunity Value)> communities, List<Read<BgpPeer>> peers)
    {
        const string Cannot = "is not supported in native mode";
        foreach (var (origin, peer, _) in peers)
        {
            var spec = peer.Spec;
            (string Path, bool IsUsed)[] features =
            [
                ("bfdProfile", !string.IsNullOrEmpty(spec.BfdProfile)), ("keepaliveTime", !string.IsNullOrEmpty(spec.KeepaliveTime) && peer.KeepaliveTime > TimeSpan.Zero),
                ("vrf", !string.IsNullOrEmpty(spec.Vrf)), ("connectTime", !string.IsNullOrEmpty(spec.ConnectTime)),
                ("enableGracefulRestart", spec.EnableGracefulRestart == true), ("disableMP", spec.DisableMP == true),
                ("dualStackAddressFamily", spec.DualStackAddressFamily == true), ("dynamicASN", !string.IsNullOrEmpty(spec.DynamicASN)),
                ("interface", !string.IsNullOrEmpty(spec.Interface)), ("localASN", spec.LocalASN is not null),
            ];
            foreach (var (path, _) in features.Where(static feature => feature.IsUsed))
                pass.Fault(origin, path, Cannot);
        }
        foreach (var profile in pass.Set.BfdProfiles)
            pass.Fault(profile.Origin, "", $"BFD {Cannot}");
        foreach (var item in pass.Set.BgpAdvertisements)
        {
            if (ads.Find(ad => ad.Name == item.Name) is not { } ad)
                continue;
            if (pools.Find(pool => ad.Sources.Contains(pool.Value.Name) && pool.Value.Ranges.Any(static range => range.Family == AddressFamily.InterNetworkV6)) is { } pool)
                pass.Fault(item.Origin, "ipAddressPools", $"pool \"{pool.Value.Name}\" has IPv6 addresses, which {Cannot.Replace("is", "are", StringComparison.Ordinal)}");
            if (ad.Communities.Any(static community => community.IsLarge))
                pass.Fault(item.Origin, "communities", $"a large community {Cannot}");
        }
        foreach (var (name, (origin, _)) in communities.Where(static entry => entry.Value.Value.IsLarge))
            pass.Fault(origin, "communities", $"the large community \"{name}\" {Cannot}");
    }
}
