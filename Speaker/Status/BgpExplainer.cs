using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bfd;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Services;

namespace DynamicLb.Speaker.Status;

/// <summary>Says what BGP has to do with a Service: <see cref="BgpAnnouncementRules"/> once more, for every node, and the sessions of this one. Thread-safe.</summary>
internal sealed class BgpExplainer(SpeakerOptions options, IBgpPeers peers, Func<IReadOnlyList<IBfdWatch>> watches)
{
    /// <summary>What there is to say; null where the Service's addresses are not announced by BGP.</summary>
    public ExplainedBgp? Explain(ServiceView view)
    {
        if (view.Surroundings is not { } surroundings || AnnouncementRules.AddressesOf(view.Service) is not { Count: > 0 } addresses
            || AnnouncementRules.FindSource(view.Service, addresses, surroundings.Config) is not { } source || !source.Protocol.HasFlag(AnnouncementProtocol.Bgp))
            return null;
        var config = surroundings.Config;
        var advertisements = BgpAnnouncementRules.AdvertisementsOf(view.Service, source, config).ToList();
        var mine = Decide(options.NodeName, view.Nodes.FirstOrDefault(node => node.Name == options.NodeName).Node);
        var told = config.BgpPeers.OrderBy(static peer => peer.Name, StringComparer.Ordinal).Select(peer => Describe(peer, mine)).ToList();
        var nodes = view.Nodes.OrderBy(static node => node.Name, StringComparer.Ordinal)
            .Select(node => Describe(node.Name, node.IsAlive, node.Name == options.NodeName ? mine : Decide(node.Name, node.Node))).ToList();
        return new ExplainedBgp(Sentence(mine, advertisements, nodes, told), mine.Decision.Reason.ToString())
        {
            Advertisements = [.. advertisements.Select(static ad => ad.Name)],
            Nodes = nodes,
            Peers = told,
        };

        Standing Decide(string name, Node? node)
        {
            var decision = BgpAnnouncementRules.Decide(view.Service, view.Slices, new BgpSurroundings(name, node, config, options.IgnoreExcludeLabel, surroundings.Now));
            var selecting = config.BgpPeers.Where(peer => LabelSelector.AnyMatches(peer.Spec.NodeSelectors, node?.Metadata.Labels)).Select(static peer => peer.Name).ToList();
            var reached = selecting.FindAll(peer => decision.Advertisements.Any(ad => ad.Reaches(peer)));
            string why = decision.Reason != BgpSilence.None ? WhyNot(decision.Reason)
                : reached.Count > 0 ? $"announces to {string.Join(", ", reached)}"
                : selecting.Count > 0 ? "the BGPAdvertisements are for none of its peers"
                : config.BgpPeers.Count > 0 ? "no BGPPeer selects it"
                : "there is no BGPPeer";
            return new Standing(decision, selecting, reached, why);
        }
    }

    private ExplainedBgpNode Describe(string node, bool isAlive, Standing standing)
    {
        bool isAnnouncer = standing.Reached.Count > 0 && (isAlive || node == options.NodeName);
        return new ExplainedBgpNode(node, isAnnouncer, standing.Reached.Count > 0 && !isAnnouncer ? "its speaker is not alive, as far as this one can tell" : standing.Why);
    }

    private ExplainedBgpPeer Describe(BgpPeer peer, Standing mine)
    {
        if (!mine.Selecting.Contains(peer.Name))
            return new ExplainedBgpPeer(peer.Name, false, "its nodeSelectors do not select this node");
        var sessions = peers.Sessions;
        var view = sessions?.FirstOrDefault(session => session.Name == peer.Name);
        var session = view is null ? null : BgpEndpoint.Explain(view, [], watches());
        if (mine.Decision.Reason != BgpSilence.None)
            return new ExplainedBgpPeer(peer.Name, false, "not told: this node does not announce the Service") { Session = session };
        if (!mine.Reached.Contains(peer.Name))
            return new ExplainedBgpPeer(peer.Name, false, "not told: no BGPAdvertisement of the Service is for this peer") { Session = session };
        var status = view?.Status;
        var established = status is { State: BgpState.Established, Session: { } agreed } ? agreed : null;
        var table = peers.TableOf(peer.Name);
        var routes = mine.Decision.Advertisements.Where(ad => ad.Reaches(peer.Name)).SelectMany(ad => mine.Decision.Addresses.Select(address => BgpAnnouncementRules.PrefixOf(address, ad)))
            .Distinct().Order().Select(prefix => Describe(prefix, table?.GetValueOrDefault(prefix), sessions is null, status, established)).ToList();
        string why = sessions is null ? "left to FRR, which has the session: ask it"
            : view is null ? "not taken up yet"
            : established is null ? "to be told when there is a session"
            : Outcome(routes, status!);
        return new ExplainedBgpPeer(peer.Name, routes.Exists(static route => route.IsTold), why) { Routes = routes, Session = session };
    }

    /// <summary>What a peer with a session has been told.</summary>
    private static string Outcome(List<ExplainedRoute> routes, BgpSessionStatus status) =>
        routes.TrueForAll(static route => route.IsTold) ? "told"
        : routes.Exists(static route => route.IsTold) ? "told in part: the session does not carry the other family"
        : status.Pending > 0 ? "to be told: other changes are on their way"
        : "not told: the session does not carry its family";

    private static ExplainedRoute Describe(BgpPrefix prefix, BgpRouteAttributes? attributes, bool isLeft, BgpSessionStatus? status, BgpEstablished? session) => new(
        prefix.ToString(), attributes is not null && (isLeft || (session is not null && session.Families.Contains(prefix.Family) && status!.Pending == 0)))
    {
        LocalPref = session is { IsInternal: false } ? null : attributes?.LocalPref,
        Communities = attributes is null ? [] : BgpRoutes.CommunitiesOf(attributes),
    };

    private string Sentence(Standing mine, List<BgpAdvertisement> advertisements, List<ExplainedBgpNode> nodes, List<ExplainedBgpPeer> told)
    {
        if (mine.Reached.Count > 0)
        {
            int count = told.Count(static peer => peer.IsTold);
            return count > 0 ? $"announced by BGP from this node, {options.NodeName}, to {count} of {mine.Reached.Count} peers" : $"this node, {options.NodeName}, is to announce it by BGP, and has told no peer yet";
        }
        var others = nodes.Where(static node => node.IsAnnouncer).Select(static node => node.Node).ToList();
        return others.Count > 0 ? $"to be announced by BGP from {string.Join(", ", others)}: ask their speakers for their sessions; not from this node, {options.NodeName}: {mine.Why}"
            : mine.Decision.Reason is BgpSilence.LeaseExpired or BgpSilence.NoEndpoints ? $"not announced by BGP: {mine.Why}"
            : advertisements.Count == 0 ? "not announced by BGP: no BGPAdvertisement of its pool selects it"
            : "no node can announce it by BGP: see the nodes";
    }

    private static string WhyNot(BgpSilence reason) => reason switch
    {
        BgpSilence.LeaseExpired => "the lease of the address has ended and was not renewed",
        BgpSilence.NodeNetworkUnavailable => ServiceExplainer.NoNetwork,
        BgpSilence.NodeLabeledExcludeBalancers => ServiceExplainer.Excluded,
        BgpSilence.NoEndpoints => "the Service has no endpoint that takes traffic",
        BgpSilence.NoLocalEndpoints => ServiceExplainer.NoLocalEndpoint,
        BgpSilence.NoMatchingAdvertisement => "no BGPAdvertisement of the pool is for the Service and this node",
        BgpSilence.ConflictingAdvertisements => "BGPAdvertisements say different localPref of one route to one peer",
        BgpSilence.InvalidIP => "the Service's status has an address that cannot be read",
        _ => reason.ToString(),
    };

    /// <summary>A node: what it decides, peers that select it, those of them that it tells, and why.</summary>
    private sealed record Standing(BgpDecision Decision, List<string> Selecting, List<string> Reached, string Why);
}
