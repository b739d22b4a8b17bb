using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Layer2;

/// <summary>How a node stands in the election of a Service's announcer.</summary>
internal enum StandingVerdict
{
    Elected = 0,
    LaterInOrder,
    NotCurrent,
    LessPreferred,
    NoEndpoint,
    NotHeard,
    NoInterface,
    Unknown,
    NotSelected,
    NoNetwork,
    Excluded,
    NotAlive,
}

/// <summary>A node in the election.</summary>
/// <param name="Node">The node.</param>
/// <param name="Verdict">How it stands.</param>
/// <param name="Score">Sum of the weights of the preferences that match it.</param>
/// <param name="Place">Its place among the equally preferred, from 1; 0 for none.</param>
internal readonly record struct Standing(string Node, StandingVerdict Verdict, int Score, int Place);

/// <content>The election told node by node.</content>
internal static partial class AnnouncementRules
{
    /// <summary>How every node stands, best first. Without an address or an advertisement there is no election, and nobody stands.</summary>
    /// <param name="service">The Service.</param>
    /// <param name="slices">Its EndpointSlices.</param>
    /// <param name="surroundings">What the rules look at.</param>
    /// <param name="nodes">All nodes: their names, whether their speakers live, and what is known of them.</param>
    public static IReadOnlyList<Standing> Standings(
        Service service, IReadOnlyCollection<EndpointSlice> slices, Surroundings surroundings, IReadOnlyCollection<(string Name, bool IsAlive, Node? Node)> nodes)
    {
        var advertisements = AdvertisementsOf(service, surroundings.Config);
        if (advertisements.Count == 0 || AddressesOf(service) is not [var first, ..])
            return [];
        var key = KeyOf(service, first, surroundings);
        var hosts = UsableEndpoints(slices).Select(static endpoint => endpoint.Node).ToHashSet();
        var interfaces = InterfacesOf(advertisements, surroundings);
        bool isBlind = !surroundings.HasLink(interfaces);
        Func<string, bool> serves = isBlind ? static _ => true : surroundings.WhoServes(key, interfaces);
        bool isLocal = service.Spec.ExternalTrafficPolicy == "Local";
        var candidates = new List<string>();
        var standings = new List<Standing>();
        foreach (var (name, isAlive, node) in nodes)
        {
            StandingVerdict? against =
                !CanAnnounce(node, true) ? StandingVerdict.NoNetwork
                : isAlive && !surroundings.Candidates.Contains(name) ? StandingVerdict.Excluded
                : !surroundings.Candidates.Contains(name) ? StandingVerdict.NotAlive
                : !advertisements.Exists(ad => Selects(ad, name, surroundings)) ? StandingVerdict.NotSelected
                : !serves(name) ? StandingVerdict.NotHeard
                : isLocal && !hosts.Contains(name) ? StandingVerdict.NoEndpoint
                : isBlind ? name == surroundings.Me ? StandingVerdict.NoInterface : StandingVerdict.Unknown
                : null;
            if (against is { } verdict)
                standings.Add(new Standing(name, verdict, ScoreOf(name, advertisements, surroundings), 0));
            else
                candidates.Add(name);
        }
        var preferred = MostPreferred(candidates, advertisements, surroundings);
        var staying = StayingOf(service, preferred, surroundings);
        var order = Election.Order(staying, key).ToList();
        foreach (string name in candidates)
        {
            int place = order.IndexOf(name) + 1;
            var verdict = place == 1 ? StandingVerdict.Elected : place > 1 ? StandingVerdict.LaterInOrder
                : preferred.Contains(name) ? StandingVerdict.NotCurrent : StandingVerdict.LessPreferred;
            standings.Add(new Standing(name, verdict, ScoreOf(name, advertisements, surroundings), place));
        }
        return [.. standings.OrderBy(static standing => standing.Verdict).ThenBy(static standing => standing.Place).ThenBy(static standing => standing.Node, StringComparer.Ordinal)];
    }

    /// <summary>The advertisements of the pool of a Service's addresses that select it.</summary>
    public static List<Layer2Advertisement> AdvertisementsOf(Service service, LoadBalancerConfig config) =>
        AddressesOf(service) is { Count: > 0 } addresses && FindSource(service, addresses, config) is { } source
            ? AdvertisementsOf(service, source, config)
            : [];

    /// <summary>The interfaces on which this node would announce a Service; null for all.</summary>
    public static IReadOnlySet<string>? InterfacesFor(Service service, Surroundings surroundings) => InterfacesOf(AdvertisementsOf(service, surroundings.Config), surroundings);

    /// <summary>Whether the addresses of a Service are leased, so that the address service has looked for other users of them.</summary>
    public static bool IsLeased(Service service, LoadBalancerConfig config) => FindSource(service, AddressesOf(service), config) is AddressServiceSource;

    /// <summary>The addresses in a Service's status, as far as they can be read.</summary>
    public static List<IPAddress> AddressesOf(Service service) =>
        [.. (service.Status.LoadBalancer.Ingress ?? []).Select(static entry => IPAddress.TryParse(entry.Ip, out var address) ? address : null).OfType<IPAddress>()];

    /// <summary>The addresses in a Service's status. False where there is an entry beside them that is none.</summary>
    public static bool TryReadAddresses(Service service, out List<IPAddress> addresses)
    {
        var ingress = service.Status.LoadBalancer.Ingress ?? [];
        addresses = AddressesOf(service);
        return addresses.Count == ingress.Count || ingress.All(static entry => entry.Ip is null);
    }
}
