using System.Collections.Frozen;
using System.Globalization;
using System.Net;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
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
    NoMatchingAdvertisement,
    SharedIPWithServiceSelector,
    LeaseExpired,
    NoEndpoints,
    NotOwner,

    /// <summary>The address is new, and is looked for on the LAN before it is used.</summary>
    Probing,

    /// <summary>Another machine has the address.</summary>
    AddressConflict,

    /// <summary>Another machine claims the address while the other speakers cannot know of this one: it is taken for the node that they elected.</summary>
    LeftToAnother,

    /// <summary>None of the interfaces to announce on takes part on this node.</summary>
    NoInterface,

    /// <summary>It is to be announced with the MAC of its lease, and nobody has said what that is.</summary>
    NoLeaseMac,

    /// <summary>It is to be announced with the MAC of its lease, which this node cannot do.</summary>
    LeaseMacUnusable,

    /// <summary>No configuration has been read yet; in explanations only.</summary>
    NoConfiguration,
}

/// <summary>What a speaker does about a Service.</summary>
/// <param name="Reason">None to announce.</param>
/// <param name="Addresses">The addresses to announce.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Owner">The node that announces, or would; null when nobody can.</param>
internal sealed record Decision(SilenceReason Reason, IReadOnlyList<HostAddress> Addresses, DateTimeOffset? ValidUntil, string? Owner)
{
    /// <summary>Interfaces to announce on; null for all.</summary>
    public IReadOnlySet<string>? Interfaces { get; init; }

    /// <summary>Hardware addresses of those that are announced with that of their lease.</summary>
    public IReadOnlyDictionary<HostAddress, MacAddress> Macs { get; init; } = FrozenDictionary<HostAddress, MacAddress>.Empty;

    /// <summary>More about the reason, in words; null where it says all.</summary>
    public string? Detail { get; init; }

    public static Decision Silent(SilenceReason reason, string? owner = null) => new(reason, [], null, owner);

    /// <summary>Whether the same is announced, by the same node, for the same cause.</summary>
    public bool IsLike(Decision? other) => other is not null && Reason == other.Reason && Owner == other.Owner && Addresses.SequenceEqual(other.Addresses)
        && Macs.Count == other.Macs.Count && Macs.All(entry => other.Macs.TryGetValue(entry.Key, out var mac) && mac == entry.Value)
        && (Interfaces is null ? other.Interfaces is null : other.Interfaces is not null && Interfaces.SetEquals(other.Interfaces));
}

/// <summary>What the rules look at. Immutable.</summary>
/// <param name="Me">Our own node.</param>
/// <param name="Candidates">Nodes that may announce: their speaker is alive, ours included once the others know of it, and nothing speaks against the node.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Now">The time, UTC.</param>
internal sealed record Surroundings(string Me, IReadOnlyList<string> Candidates, LoadBalancerConfig Config, DateTimeOffset Now)
{
    /// <summary>Labels of a node; null for none.</summary>
    public Func<string, IReadOnlyDictionary<string, string>?> LabelsOf { get; init; } = static _ => null;

    /// <summary>Whether one of these interfaces (null: any) takes part on this node.</summary>
    public Func<IReadOnlySet<string>?, bool> HasLink { get; init; } = static _ => true;

    /// <summary>Who reaches the users of an address, as far as we can hear by these interfaces of ours (null: all).</summary>
    public Func<IPAddress, IReadOnlySet<string>?, Func<string, bool>> WhoServes { get; init; } = static (_, _) => static _ => true;

    /// <summary>The Services with which one shares addresses; null when it shares none.</summary>
    public Func<NamespacedName, SharingGroup?> GroupOf { get; init; } = static _ => null;

    /// <summary>Nodes that announce a Service now and go on as long as they can be elected; null unless owners are sticky.</summary>
    public Func<NamespacedName, IReadOnlyCollection<string>>? AnnouncersOf { get; init; }
}

/// <summary>Decides whether this node announces a Service's addresses by ARP and NDP (MetalLB, "Layer 2 mode"). Pure.</summary>
internal static partial class AnnouncementRules
{
    public static Decision Decide(Service service, IReadOnlyCollection<EndpointSlice> slices, Surroundings surroundings)
    {
        if (!TryReadAddresses(service, out var addresses))
            return Decision.Silent(SilenceReason.InvalidIP);
        if (addresses.Count == 0)
            return Decision.Silent(SilenceReason.NoIPAllocated);
        if (FindSource(service, addresses, surroundings.Config) is not { } source)
            return Decision.Silent(SilenceReason.IpNotAllowed);
        if (!source.Protocol.HasFlag(AnnouncementProtocol.Layer2))
            return Decision.Silent(SilenceReason.UnsupportedProtocol, Election.Winner(surroundings.Candidates, addresses[0]));
        if (!TryReadEnd(service, out var validUntil) || validUntil <= surroundings.Now)
            return Decision.Silent(SilenceReason.LeaseExpired);
        var announceable = new List<HostAddress>();
        foreach (var address in addresses)
        {
            if (HostAddress.TryFrom(address, out var host))
                announceable.Add(host);
        }
        var usable = UsableEndpoints(slices);
        if (usable.Count == 0)
            return Decision.Silent(SilenceReason.NoEndpoints);
        var advertisements = AdvertisementsOf(service, source, surroundings.Config);
        if (advertisements.Count == 0)
            return Decision.Silent(SilenceReason.NoMatchingAdvertisement);
        // Services that share an address may be chosen by different advertisements, and would be announced from different nodes.
        if (IsShared(service) && advertisements.Exists(static ad => ad.ServiceSelectors.Count > 0))
            return Decision.Silent(SilenceReason.SharedIPWithServiceSelector);
        IEnumerable<string> candidates = surroundings.Candidates.Where(node => advertisements.Exists(ad => Selects(ad, node, surroundings)));
        var interfaces = InterfacesOf(advertisements, surroundings);
        // Without a link of its own a node cannot hear who serves the segment: it knows of all that they live.
        bool isBlind = !surroundings.HasLink(interfaces);
        if (!isBlind)
            candidates = candidates.Where(surroundings.WhoServes(KeyOf(service, addresses[0], surroundings), interfaces));
        if (service.Spec.ExternalTrafficPolicy == "Local")
        {
            var hosts = usable.Select(static endpoint => endpoint.Node).ToHashSet();
            candidates = candidates.Where(hosts.Contains);
        }
        string? owner = Election.Winner(
            StayingOf(service, MostPreferred(candidates, advertisements, surroundings), surroundings), KeyOf(service, addresses[0], surroundings));
        if (isBlind)
            return Decision.Silent(SilenceReason.NoInterface, owner == surroundings.Me ? owner : null) with { Detail = NoneOf(interfaces) };
        if (owner is null || owner != surroundings.Me)
            return Decision.Silent(SilenceReason.NotOwner, owner);
        var macs = MacsOf(service, announceable, source);
        // DHCPv6 knows no MACs.
        return source is AddressServiceSource { AnnouncedMac: AnnouncedMac.Lease } && announceable.Find(address => address.IsIPv4 && !macs.ContainsKey(address)) is { IsIPv4: true } without
            ? Decision.Silent(SilenceReason.NoLeaseMac, owner) with { Detail = $"the MAC of the lease of {without} is not known" }
            : new Decision(SilenceReason.None, announceable, validUntil, owner) { Interfaces = interfaces, Macs = macs };
    }

    private static string NoneOf(IReadOnlySet<string>? interfaces) => interfaces is null
        ? "no interface takes part"
        : $"none of the interfaces of its L2Advertisements takes part ({string.Join(", ", interfaces.Order(StringComparer.Ordinal))})";

    /// <summary>The hardware addresses that a Service's addresses have by their leases, where they are to be announced with them.</summary>
    private static FrozenDictionary<HostAddress, MacAddress> MacsOf(Service service, List<HostAddress> addresses, AddressSource source)
    {
        if (source is not AddressServiceSource { AnnouncedMac: AnnouncedMac.Lease })
            return FrozenDictionary<HostAddress, MacAddress>.Empty;
        var macs = new Dictionary<HostAddress, MacAddress>();
        foreach (var (address, text) in LeasedMac.Of(service))
        {
            if (IPv4Address.TryFrom(address, out var ip) && addresses.Contains(ip) && MacAddress.TryParse(text, out var mac) && !mac.IsMulticast && mac != MacAddress.Zero)
                macs[ip] = mac;
        }
        return macs.ToFrozenDictionary();
    }

    private static bool Selects(Layer2Advertisement ad, string node, Surroundings surroundings) =>
        LabelSelector.AnyMatches(ad.NodeSelectors, surroundings.LabelsOf(node));

    private static bool IsShared(Service service) =>
        service.Metadata.Annotation(Annotations.AllowSharedIP) is not null || service.Metadata.Annotation(Annotations.LegacyAllowSharedIP) is not null;

    /// <summary>
    /// The address that elects. Both of a dual-stack Service go to one node: the first decides, as with MetalLB. So do all that are connected by Services that share them, or an
    /// address would have two announcers: of them decides the lowest that is the first of a Service.
    /// </summary>
    private static IPAddress KeyOf(Service service, IPAddress first, Surroundings surroundings) => surroundings.GroupOf(NamespacedName.Of(service))?.Key ?? first;

    /// <summary>Those of the candidates that announce it, or what shares addresses with it, now, where owners are sticky and one of them does; else all of them.</summary>
    private static List<string> StayingOf(Service service, List<string> candidates, Surroundings surroundings)
    {
        if (surroundings.AnnouncersOf is not { } announcersOf)
            return candidates;
        var name = NamespacedName.Of(service);
        var current = (surroundings.GroupOf(name)?.Services ?? (IEnumerable<NamespacedName>)[name]).SelectMany(announcersOf).ToHashSet(StringComparer.Ordinal);
        var staying = candidates.FindAll(current.Contains);
        return staying.Count > 0 ? staying : candidates;
    }

    /// <summary>The candidates with the highest score: the weights of all preferences that match a node, of all advertisements that select it.</summary>
    private static List<string> MostPreferred(IEnumerable<string> candidates, List<Layer2Advertisement> advertisements, Surroundings surroundings)
    {
        var best = new List<string>();
        int highest = 0;
        foreach (string node in candidates)
        {
            int score = ScoreOf(node, advertisements, surroundings);
            if (score > highest)
            {
                best.Clear();
                highest = score;
            }
            if (score == highest)
                best.Add(node);
        }
        return best;
    }

    private static int ScoreOf(string node, List<Layer2Advertisement> advertisements, Surroundings surroundings) =>
        advertisements.Where(ad => Selects(ad, node, surroundings)).SelectMany(static ad => ad.Preferred)
            .Where(preferred => preferred.Preference?.Matches(surroundings.LabelsOf(node)) == true).Sum(static preferred => preferred.Weight);

    /// <summary>The interfaces of all advertisements that select this node; null, for all, when one of them names none.</summary>
    private static HashSet<string>? InterfacesOf(List<Layer2Advertisement> advertisements, Surroundings surroundings)
    {
        var own = advertisements.Where(ad => Selects(ad, surroundings.Me, surroundings)).ToList();
        return own.Count == 0 || own.Exists(static ad => ad.Interfaces.Count == 0) ? null : [.. own.SelectMany(static ad => ad.Interfaces)];
    }

    internal static bool TryReadEnd(Service service, out DateTimeOffset? end)
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
    internal static AddressSource? FindSource(Service service, List<IPAddress> addresses, LoadBalancerConfig config)
    {
        if (service.Metadata.Annotation(Annotations.AllocatedFromPool) is { } name && config.Find(name) is { } named)
            return addresses.TrueForAll(named.MayContain) ? named : null;
        return config.AddressPools.FirstOrDefault(pool => addresses.TrueForAll(pool.MayContain));
    }

    private static List<Layer2Advertisement> AdvertisementsOf(Service service, AddressSource source, LoadBalancerConfig config) =>
        [.. config.Layer2Advertisements.Where(ad => ad.Sources.Contains(source.Name) && LabelSelector.AnyMatches(ad.ServiceSelectors, service.Metadata.Labels))];

    /// <summary>The endpoints that take traffic.</summary>
    internal static List<Kubernetes.Resources.Endpoint> UsableEndpoints(IReadOnlyCollection<EndpointSlice> slices) =>
        [.. slices.SelectMany(static slice => slice.Endpoints ?? []).Where(IsUsable)];

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

    /// <summary>Whether the labels of a Node are what they were: much else changes all the time, and decides nothing here.</summary>
    internal static bool HaveSameLabels(Node left, Node right)
    {
        var (before, after) = (left.Metadata.Labels, right.Metadata.Labels);
        return (before?.Count ?? 0) == (after?.Count ?? 0) && (before is null || before.All(label => after!.TryGetValue(label.Key, out var value) && value == label.Value));
    }
}
