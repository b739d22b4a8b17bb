using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>Who tells routers: our own sessions, or FRR by way of FRR-K8s. Owned by one loop.</summary>
internal interface IBgpPeers
{
    /// <summary>Names of the peers that are told something.</summary>
    IEnumerable<string> Names { get; }

    /// <summary>Sessions of our own; null where another program has them. Thread-safe.</summary>
    IReadOnlyList<BgpPeerView>? Sessions { get; }

    /// <summary>What a peer is to know; null for a peer that is told nothing. Thread-safe.</summary>
    IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>? TableOf(string peer);

    /// <summary>Takes up a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="labels">Labels of this node.</param>
    /// <param name="password">The password of a peer, or what is wrong with it.</param>
    /// <param name="routes">What a new session is told from the start.</param>
    /// <returns>Whether peers came or went.</returns>
    bool Configure(
        LoadBalancerConfig config, IReadOnlyDictionary<string, string>? labels, Func<BgpPeer, (BgpPassword Password, string? Fault)> password,
        Func<IEnumerable<string>, IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>> routes);

    /// <summary>Tells each peer what it is to know.</summary>
    void Publish(IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> tables);

    /// <summary>Ends, as the configuration says.</summary>
    Task StopAsync();
}
