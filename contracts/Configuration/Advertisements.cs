using System.Net;
using DynamicLb.Contracts.Resources;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Which addresses are announced. Immutable.</summary>
/// <param name="Name">The name.</param>
/// <param name="Sources">Names of the pools and address services that are meant, all of which exist.</param>
/// <param name="NodeSelectors">Nodes that announce; none for all.</param>
/// <param name="ServiceSelectors">Services that are meant; none for all.</param>
public abstract record Advertisement(
    string Name, IReadOnlySet<string> Sources, IReadOnlyList<LabelSelector> NodeSelectors, IReadOnlyList<LabelSelector> ServiceSelectors);

/// <summary>Announcement by ARP and NDP.</summary>
/// <param name="Name">The name.</param>
/// <param name="Sources">Names of the pools and address services that are meant.</param>
/// <param name="NodeSelectors">Nodes that may announce; none for all.</param>
/// <param name="ServiceSelectors">Services that are meant; none for all.</param>
/// <param name="Interfaces">Interfaces to announce on; none for all.</param>
/// <param name="Preferred">Nodes that are preferred.</param>
public sealed record Layer2Advertisement(
    string Name, IReadOnlySet<string> Sources, IReadOnlyList<LabelSelector> NodeSelectors, IReadOnlyList<LabelSelector> ServiceSelectors,
    IReadOnlyList<string> Interfaces, IReadOnlyList<PreferredNodeSelector> Preferred)
    : Advertisement(Name, Sources, NodeSelectors, ServiceSelectors);

/// <summary>Announcement by BGP.</summary>
/// <param name="Name">The name.</param>
/// <param name="Sources">Names of the pools and address services that are meant.</param>
/// <param name="NodeSelectors">Nodes that announce; none for all.</param>
/// <param name="ServiceSelectors">Services that are meant; none for all.</param>
/// <param name="AggregationLength">Prefix length of IPv4 routes, 1 to 32.</param>
/// <param name="AggregationLengthV6">Prefix length of IPv6 routes, 1 to 128.</param>
/// <param name="LocalPref">LOCAL_PREF.</param>
/// <param name="Communities">Communities, sorted.</param>
/// <param name="Peers">Names of the peers to announce to; none for all.</param>
public sealed record BgpAdvertisement(
    string Name, IReadOnlySet<string> Sources, IReadOnlyList<LabelSelector> NodeSelectors, IReadOnlyList<LabelSelector> ServiceSelectors,
    int AggregationLength, int AggregationLengthV6, uint LocalPref, IReadOnlyList<BgpCommunity> Communities, IReadOnlyList<string> Peers)
    : Advertisement(Name, Sources, NodeSelectors, ServiceSelectors)
{
    /// <summary>Whether it announces to a peer.</summary>
    public bool Reaches(string peer) => Peers.Count == 0 || Peers.Contains(peer);
}

/// <summary>A BGP session, validated.</summary>
/// <param name="Name">The name.</param>
/// <param name="Spec">What it says; every field has a permitted value.</param>
/// <param name="PeerAddress">The router's address; null for an unnumbered session.</param>
/// <param name="HoldTime">Hold time in whole seconds; null for the default, zero for none.</param>
/// <param name="KeepaliveTime">Keepalive time; null exactly when the hold time is.</param>
/// <param name="ConnectTime">Time between attempts to connect, or null for the default.</param>
public sealed record BgpPeer(string Name, BGPPeerSpec Spec, IPAddress? PeerAddress, TimeSpan? HoldTime, TimeSpan? KeepaliveTime, TimeSpan? ConnectTime)
{
    /// <summary>The router, by address or interface, and VRF. FRR has one session with each.</summary>
    public string Identity => (PeerAddress?.ToString() ?? Spec.Interface) + (string.IsNullOrEmpty(Spec.Vrf) ? "" : $"-{Spec.Vrf}");
}

/// <summary>Parameters of BFD, validated.</summary>
/// <param name="Name">The name.</param>
/// <param name="Spec">What it says; every field has a permitted value.</param>
public sealed record BfdProfile(string Name, BFDProfileSpec Spec);
