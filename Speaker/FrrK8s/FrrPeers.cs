using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Bgp;

namespace DynamicLb.Speaker.FrrK8s;

/// <summary>Leaves the sessions to FRR: what routers are to be told becomes an FRRConfiguration. Owned by one loop.</summary>
/// <param name="options">The settings.</param>
/// <param name="space">Our own namespace, where passwords are.</param>
/// <param name="frrSpace">The namespace of FRR-K8s.</param>
/// <param name="writer">Writes it.</param>
/// <param name="logger">The log.</param>
internal sealed partial class FrrPeers(SpeakerOptions options, string space, string frrSpace, FrrConfigurationWriter writer, ILogger<FrrPeers> logger) : IBgpPeers
{
    private const string HostName = "kubernetes.io/hostname";

    private Dictionary<string, string> _faults = new(StringComparer.Ordinal);
    private Dictionary<string, (BgpPeer Peer, BgpPassword Password)> _peers = new(StringComparer.Ordinal);
    private volatile IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> _tables = new Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>();
    private IReadOnlyList<BfdProfile> _profiles = [];
    private string _hostName = options.NodeName;

    public IEnumerable<string> Names => _peers.Keys;

    /// <summary>FRR has them.</summary>
    public IReadOnlyList<BgpPeerView>? Sessions => null;

    public IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>? TableOf(string peer) => _tables.GetValueOrDefault(peer);

    public bool Configure(
        LoadBalancerConfig config, IReadOnlyDictionary<string, string>? labels, Func<BgpPeer, (BgpPassword Password, string? Fault)> password,
        Func<IEnumerable<string>, IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>> routes)
    {
        var before = _peers;
        var told = _faults;
        _peers = new(StringComparer.Ordinal);
        _faults = new(StringComparer.Ordinal);
        foreach (var peer in config.BgpPeers.Where(peer => LabelSelector.AnyMatches(peer.Spec.NodeSelectors, labels)))
        {
            // A Secret that is only named may be anywhere but here.
            var (key, fault) = options.Bgp.PassesFrrSecrets && peer.Spec.PasswordSecret?.Name is { Length: > 0 } ? (BgpPassword.None, null) : password(peer);
            // FRR-K8s has no field for TCP-AO.
            if (fault is null && key.Kind is not (BgpAuthentication.None or BgpAuthentication.Md5))
                fault = "FRR-K8s knows no TCP-AO";
            if (fault is null && _peers.Values.FirstOrDefault(entry => entry.Peer.Identity == peer.Identity) is { Peer: { } first })
                fault = $"FRR has one session with each router, and {first.Name} has that with {peer.Identity}";
            if (fault is null)
            {
                _peers[peer.Name] = (peer, key);
                continue;
            }
            if (told.GetValueOrDefault(peer.Name) != fault)
                LogFault(logger, peer.Name, fault);
            _faults[peer.Name] = fault;
        }
        _profiles = config.BfdProfiles;
        // Not every node's label is its name.
        _hostName = labels?.GetValueOrDefault(HostName) ?? options.NodeName;
        _tables = routes(_peers.Keys);
        Write();
        return !before.Keys.Order(StringComparer.Ordinal).SequenceEqual(_peers.Keys.Order(StringComparer.Ordinal));
    }

    public void Publish(IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> tables)
    {
        _tables = tables;
        Write();
    }

    /// <summary>Nothing: FRR goes on announcing while the speaker is replaced.</summary>
    public Task StopAsync() => Task.CompletedTask;

    private void Write() => writer.Want(FrrConfigurations.Of(
        _hostName,
        _peers.Values.Select(entry =>
        {
            string? secret = entry.Peer.Spec.PasswordSecret?.Name;
            // FRR-K8s reads Secrets of its own namespace; others are read for it.
            bool isThere = !string.IsNullOrEmpty(secret) && (space == frrSpace || options.Bgp.PassesFrrSecrets);
            return new FrrPeer(entry.Peer, isThere ? null : entry.Password.Key, isThere ? new FrrSecret(secret!, frrSpace) : null, Routes(_tables.GetValueOrDefault(entry.Peer.Name)));
        }),
        _profiles));

    private static List<FrrRoute> Routes(IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>? table)
    {
        var routes = new List<FrrRoute>();
        foreach (var (prefix, attributes) in table ?? new Dictionary<BgpPrefix, BgpRouteAttributes>())
        {
            routes.Add(new FrrRoute(prefix.ToString(), attributes.LocalPref == BgpRoutes.DefaultLocalPref ? null : attributes.LocalPref, BgpRoutes.CommunitiesOf(attributes)));
        }
        return routes;
    }

    [LoggerMessage(1, LogLevel.Error, "BGP peer {Peer} is not configured in FRR: {Cause}")]
    private static partial void LogFault(ILogger logger, string peer, string cause);
}
