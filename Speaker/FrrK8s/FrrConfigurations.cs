using System.Globalization;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;

namespace DynamicLb.Speaker.FrrK8s;

/// <summary>A route for a peer.</summary>
/// <param name="Prefix">In CIDR notation.</param>
/// <param name="LocalPref">LOCAL_PREF; null where the advertisement names none.</param>
/// <param name="Communities"><c>65000:1</c> or <c>large:65000:1:2</c>.</param>
internal sealed record FrrRoute(string Prefix, uint? LocalPref, IReadOnlyList<string> Communities);

/// <summary>A peer of this node and what it is told.</summary>
/// <param name="Peer">The peer.</param>
/// <param name="Password">Its password in clear text, unless it stays in its Secret; null for none. A secret.</param>
/// <param name="Secret">Its Secret, where FRR-K8s reads it itself.</param>
/// <param name="Routes">What it is told.</param>
internal sealed record FrrPeer(BgpPeer Peer, string? Password, FrrSecret? Secret, IReadOnlyList<FrrRoute> Routes)
{
    /// <summary>Without the password.</summary>
    public override string ToString() => Peer.Name;
}

/// <summary>Makes the FRRConfiguration of a node. Everything in it is sorted, so that the same configuration is the same text. Pure.</summary>
internal static class FrrConfigurations
{
    private const int BgpPort = 179;

    /// <summary>The object's name, as MetalLB has it.</summary>
    public static string NameOf(string node) => $"metallb-{node}";

    /// <summary>Makes the spec.</summary>
    /// <param name="hostName">The node's label <c>kubernetes.io/hostname</c>, which is not always its name.</param>
    /// <param name="peers">The peers of the node.</param>
    /// <param name="profiles">All BFD profiles.</param>
    public static FrrConfigurationSpec Of(string hostName, IEnumerable<FrrPeer> peers, IEnumerable<BfdProfile> profiles) => new()
    {
        NodeSelector = new FrrNodeSelector { MatchLabels = new Dictionary<string, string>(StringComparer.Ordinal) { ["kubernetes.io/hostname"] = hostName } },
        Bgp = new FrrBgp
        {
            Routers =
            [
                .. peers.GroupBy(static peer => (peer.Peer.Spec.MyASN, Id: Text(peer.Peer.Spec.RouterID), Vrf: Text(peer.Peer.Spec.Vrf)))
                    .OrderBy(static group => group.Key.Vrf, StringComparer.Ordinal).ThenBy(static group => group.Key.MyASN).ThenBy(static group => group.Key.Id, StringComparer.Ordinal)
                    .Select(static group => new FrrRouter
                    {
                        Asn = group.Key.MyASN,
                        Id = group.Key.Id,
                        Vrf = group.Key.Vrf,
                        Neighbors = [.. group.OrderBy(static peer => peer.Peer.Identity, StringComparer.Ordinal).ThenBy(static peer => peer.Peer.Name, StringComparer.Ordinal).Select(Neighbor)],
                        Prefixes = Sorted(group.SelectMany(static peer => peer.Routes)),
                    }),
            ],
            BfdProfiles = [.. profiles.OrderBy(static profile => profile.Name, StringComparer.Ordinal).Select(Profile)],
        },
    };

    private static FrrNeighbor Neighbor(FrrPeer peer)
    {
        var spec = peer.Peer.Spec;
        return new FrrNeighbor
        {
            Asn = string.IsNullOrEmpty(spec.DynamicASN) ? spec.PeerASN : null,
            DynamicAsn = Text(spec.DynamicASN),
            LocalAsn = spec.LocalASN,
            SourceAddress = Text(spec.SourceAddress),
            Address = peer.Peer.PeerAddress?.ToString(),
            Interface = peer.Peer.PeerAddress is null ? Text(spec.Interface) : null,
            Port = spec.PeerPort ?? BgpPort,
            Password = peer.Secret is null ? Text(peer.Password) : null,
            PasswordSecret = peer.Secret,
            HoldTime = Duration(peer.Peer.HoldTime),
            KeepaliveTime = Duration(peer.Peer.KeepaliveTime),
            ConnectTime = Duration(peer.Peer.ConnectTime),
            EbgpMultiHop = spec.EbgpMultiHop,
            BfdProfile = Text(spec.BfdProfile),
            EnableGracefulRestart = spec.EnableGracefulRestart,
            DisableMp = spec.DisableMP,
            DualStackAddressFamily = spec.DualStackAddressFamily,
            ToAdvertise = new FrrAdvertise
            {
                Allowed = new FrrAllowed { Prefixes = Sorted(peer.Routes) },
                WithLocalPref =
                [
                    .. peer.Routes.Where(static route => route.LocalPref is not null).GroupBy(static route => route.LocalPref!.Value).OrderBy(static group => group.Key)
                        .Select(static group => new FrrLocalPref(Sorted(group), group.Key)),
                ],
                WithCommunity =
                [
                    .. peer.Routes.SelectMany(static route => route.Communities.Select(community => (community, route))).GroupBy(static pair => pair.community, static pair => pair.route)
                        .OrderBy(static group => group.Key, StringComparer.Ordinal).Select(static group => new FrrCommunity(Sorted(group), group.Key)),
                ],
            },
        };
    }

    private static FrrBfdProfile Profile(BfdProfile profile) => new()
    {
        Name = profile.Name,
        ReceiveInterval = profile.Spec.ReceiveInterval,
        TransmitInterval = profile.Spec.TransmitInterval,
        DetectMultiplier = profile.Spec.DetectMultiplier,
        EchoInterval = profile.Spec.EchoInterval,
        EchoMode = profile.Spec.EchoMode == true,
        PassiveMode = profile.Spec.PassiveMode == true,
        MinimumTtl = profile.Spec.MinimumTtl,
    };

    private static string[] Sorted(IEnumerable<FrrRoute> routes) => [.. routes.Select(static route => route.Prefix).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    private static string? Text(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static string? Duration(TimeSpan? time) => time is { } given ? string.Create(CultureInfo.InvariantCulture, $"{(long)given.TotalSeconds}s") : null;
}
