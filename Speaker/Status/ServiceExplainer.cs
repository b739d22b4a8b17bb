using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Services;

namespace DynamicLb.Speaker.Status;

/// <summary>Says why a Service is announced, or not, and by whom: <see cref="AnnouncementRules"/> once more, with every step told. Thread-safe.</summary>
internal sealed class ServiceExplainer(SpeakerOptions options, ServiceReconciler reconciler, ResponderContext context, ILinkMonitor links, BgpExplainer bgp)
{
    internal const string Excluded = "labelled exclude-from-external-load-balancers";
    internal const string NoNetwork = "its condition NetworkUnavailable is true";
    internal const string NoLocalEndpoint = "hosts no usable endpoint, and externalTrafficPolicy is Local";

    /// <summary>What there is to say; null when there is no such Service.</summary>
    public ServiceExplanation? Explain(NamespacedName name)
    {
        if (reconciler.Look(name) is not { } seen)
            return null;
        var (service, slices, surroundings, nodes) = (seen.Service, seen.Slices, seen.Surroundings, seen.Nodes);
        var endpoints = slices.SelectMany(static slice => slice.Endpoints ?? []).ToList();
        var decision = !options.Common.Serves(service) ? Decision.Silent(SilenceReason.NotLoadBalancer)
            : surroundings is null ? Decision.Silent(SilenceReason.NoConfiguration)
            : reconciler.DecisionOf(name) ?? AnnouncementRules.Decide(service, slices, surroundings);
        var standing = surroundings is null ? [] : AnnouncementRules.Standings(service, slices, surroundings, nodes);
        var addresses = (service.Status.LoadBalancer.Ingress ?? []).Where(static entry => entry.Ip is not null).Select(entry => Describe(entry.Ip!, decision)).ToList();
        var announcers = reconciler.AnnouncersOf?.Invoke(name) ?? [];
        var byBgp = options.Common.Serves(service) ? bgp.Explain(seen) : null;
        string verdict = Sentence(service, decision, addresses, announcers);
        if (byBgp is not null)
            verdict = decision.Reason == SilenceReason.UnsupportedProtocol ? byBgp.Verdict : $"{verdict}; {byBgp.Verdict}";
        bool isEndKnown = AnnouncementRules.TryReadEnd(service, out var end);
        return new ServiceExplanation(name.ToString(), options.NodeName, verdict, decision.Reason.ToString(), decision.Owner)
        {
            Bgp = byBgp,
            Addresses = addresses,
            Source = service.Metadata.Annotation(Annotations.AllocatedFromPool),
            ValidUntil = isEndKnown ? end : null,
            UnreadableEnd = isEndKnown ? null : service.Metadata.Annotation(Annotations.ValidUntil),
            Announcers = [.. announcers.Order(StringComparer.Ordinal)],
            Advertisements = surroundings is null ? [] : [.. AnnouncementRules.AdvertisementsOf(service, surroundings.Config).Select(static ad => ad.Name)],
            Endpoints = [.. endpoints.SelectMany(static endpoint => (endpoint.Addresses ?? []).Select(address => new ExplainedEndpoint(address, endpoint.Node, AnnouncementRules.IsUsable(endpoint))))],
            Nodes = [.. standing.Select(Describe)],
            Interfaces = DescribeInterfaces(service, surroundings),
        };
    }

    private ExplainedAddress Describe(string text, Decision decision)
    {
        if (!IPAddress.TryParse(text, out var parsed) || !HostAddress.TryFrom(parsed, out var address))
            return new ExplainedAddress(text, false);
        string? conflict = reconciler.ConflictOf(address)?.ToString();
        var item = context.Table.Snapshot.GetValueOrDefault(address);
        string? silence = WhySilent(address, item, conflict);
        return new ExplainedAddress(text, silence is null)
        {
            // Where this node is not to announce it, that is why.
            Silence = decision.Reason == SilenceReason.None ? silence : null,
            LastAsked = item?.Traffic.LastAsked,
            LastAsker = item?.Traffic.LastAsked is null ? null : item.Traffic.LastAsker.ToString(),
            LastAnswered = item?.Traffic.LastAnswered,
            Mac = item?.Mac?.ToString(),
            Conflict = conflict,
        };
    }

    /// <summary>Why this node does not answer for an address now; null when it does.</summary>
    private string? WhySilent(HostAddress address, Announced? item, string? conflict)
    {
        if (reconciler.YieldedTo(address) is { } other)
            return $"left to {other}, since the other speakers cannot know of this node";
        if (item is null)
            return conflict is null ? "not taken up yet" : $"{conflict} has it";
        if (!item.IsValid(context.Time))
            return "its lease has ended";
        if (context.Guard.IsPaused)
            return "this node stood still, and waits until the others know of it again";
        var on = links.Current.Where(state => Layer2Announcer.IsEligible(state, options.ExcludedInterfaces) && item.IsOn(state.Link.Name)).ToList();
        return on.Count == 0 ? "no interface takes part"
            : !on.Exists(static state => state.HasCarrier) ? "no interface that takes part has a carrier"
            : !on.Exists(state => state.HasCarrier && context.CanUseMacOf(item, state.Link.Name)) ? $"the MAC of its lease, {item.Mac}, is not in place yet"
            : null;
    }

    private static ExplainedNode Describe(Standing standing) => new(
        standing.Node,
        standing.Verdict switch
        {
            StandingVerdict.Elected => "elected",
            StandingVerdict.LaterInOrder => $"number {standing.Place} in the order of this address",
            StandingVerdict.LessPreferred => $"less preferred (weight {standing.Score})",
            StandingVerdict.NotCurrent => "another node announces already, and owners are sticky",
            StandingVerdict.NotAlive => "its speaker is not alive, as far as this one can tell",
            StandingVerdict.Excluded => Excluded,
            StandingVerdict.NoNetwork => NoNetwork,
            StandingVerdict.NotSelected => "no L2Advertisement of the pool selects it",
            StandingVerdict.NotHeard => "is not heard on the segment of the address",
            StandingVerdict.NoInterface => "none of its interfaces that take part is one of the L2Advertisements",
            StandingVerdict.Unknown => "is alive; this node has no interface by which to tell whether it can announce",
            StandingVerdict.NoEndpoint => NoLocalEndpoint,
            _ => standing.Verdict.ToString(),
        },
        standing.Verdict is StandingVerdict.Elected or StandingVerdict.LaterInOrder or StandingVerdict.LessPreferred or StandingVerdict.NotCurrent, standing.Score);

    private List<ExplainedInterface> DescribeInterfaces(Service service, Surroundings? surroundings)
    {
        var only = surroundings is null ? null : AnnouncementRules.InterfacesFor(service, surroundings);
        var eligible = links.Current.Where(state => Layer2Announcer.IsEligible(state, options.ExcludedInterfaces)).ToList();
        var items = AnnouncementRules.AddressesOf(service)
            .Select(ip => HostAddress.TryFrom(ip, out var address) && context.Table.Snapshot.TryGetValue(address, out var item) ? item : null).OfType<Announced>().ToList();
        // Where all its addresses have MACs of their own, other networks see nothing of it.
        var near = items.Count > 0 && items.TrueForAll(static item => item.Mac is not null) ? items.SelectMany(item => Layer2Announcer.LinksFor(item, eligible)).ToHashSet() : null;
        return [.. links.Current.Select(link => Describe(link, only, near))];
    }

    private ExplainedInterface Describe(InterfaceState state, IReadOnlySet<string>? only, HashSet<string>? near)
    {
        string? against = Layer2Announcer.WhyNot(state, options.ExcludedInterfaces)
            ?? (only is not null && !only.Contains(state.Link.Name) ? "not among the interfaces of the L2Advertisements"
                : near is not null && !near.Contains(state.Link.Name) ? "not of the address's network, which alone sees the MAC of its lease" : null);
        return new ExplainedInterface(state.Link.Name, state.Link.Mac.ToString(), against is null, against ?? (state.HasCarrier ? "announced on" : "announced on, but it has no carrier"));
    }

    private string Sentence(Service service, Decision decision, List<ExplainedAddress> addresses, IReadOnlyCollection<string> announcers) => decision.Reason switch
    {
        SilenceReason.None when addresses.TrueForAll(static address => address.IsAnswered) => $"announced from this node, {options.NodeName}",
        SilenceReason.None when addresses.Exists(static address => address.IsAnswered) => $"announced from this node, {options.NodeName}, but for {WhySilent(addresses)}",
        SilenceReason.None => $"this node, {options.NodeName}, is to announce it, and does not: {WhySilent(addresses)}",
        SilenceReason.NotLoadBalancer => service.Spec.Type != "LoadBalancer" ? "not of type LoadBalancer" : $"of the class '{service.Spec.LoadBalancerClass}', which is not served here",
        SilenceReason.NoConfiguration => "no configuration has been read yet",
        SilenceReason.NoIPAllocated => "has no address yet: see its Events for what the controller says",
        SilenceReason.InvalidIP => "its status has an address that cannot be read",
        SilenceReason.IpNotAllowed => "its addresses lie in no pool of the configuration",
        SilenceReason.UnsupportedProtocol => "no L2Advertisement and no BGPAdvertisement is for its pool",
        SilenceReason.NoMatchingAdvertisement => "no L2Advertisement of its pool selects it",
        SilenceReason.SharedIPWithServiceSelector => "its address is shared, which does not go with an L2Advertisement that selects Services",
        SilenceReason.LeaseExpired => "its lease has ended and was not renewed",
        SilenceReason.NoEndpoints => "has no endpoint that takes traffic",
        SilenceReason.NoLeaseMac => $"it is to be announced with the MAC of its lease, and {decision.Detail}",
        SilenceReason.LeaseMacUnusable => $"it is to be announced with the MAC of its lease by this node, {options.NodeName}, and {decision.Detail}",
        SilenceReason.Probing => "its address is new: this node looks whether another machine has it",
        SilenceReason.AddressConflict => $"another machine has its address: {string.Join(", ", addresses.Where(static a => a.Conflict is not null).Select(static a => $"{a.Address} is at {a.Conflict}"))}",
        SilenceReason.LeftToAnother => $"{decision.Detail}, since the other speakers cannot know of this node, {options.NodeName}",
        SilenceReason.NoInterface => $"this node, {options.NodeName}, cannot announce it: {decision.Detail}",
        SilenceReason.NotOwner when decision.Owner is null => "no node can announce it: see the nodes",
        SilenceReason.NotOwner when announcers.Contains(decision.Owner) => $"announced from node {decision.Owner}; ask its speaker for what neighbours asked",
        SilenceReason.NotOwner => $"to be announced by node {decision.Owner}, which has not said that it does: ask its speaker",
        _ => decision.Reason.ToString(),
    };

    private static string WhySilent(List<ExplainedAddress> addresses) =>
        string.Join("; ", addresses.Where(static address => !address.IsAnswered).Select(static address => $"{address.Address}: {address.Silence ?? "cannot be announced"}"));
}
