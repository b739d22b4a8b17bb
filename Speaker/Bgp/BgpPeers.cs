using System.Collections.Concurrent;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Networking.Bgp;

namespace DynamicLb.Speaker.Bgp;

/// <summary>A peer of this node, as others see it. Immutable.</summary>
/// <param name="Name">The BGPPeer.</param>
/// <param name="Label">Address or interface, and port.</param>
/// <param name="Vrf">The VRF.</param>
/// <param name="Status">How its session is doing.</param>
/// <param name="Counters">Its messages; null when there can be no session.</param>
internal sealed record BgpPeerView(string Name, string Label, string Vrf, BgpSessionStatus Status, BgpCounters? Counters);

/// <summary>
/// Keeps a session with each peer that is configured for this node. A peer whose plan is unchanged keeps its session; another is ended and begun anew. Owned by one loop;
/// <see cref="Views"/> is thread-safe.
/// </summary>
internal sealed partial class BgpPeers(SpeakerOptions options, IEnumerable<IBfdSessions> bfd, TimeProvider time, Random random, ILogger<BgpPeers> logger)
    : IBgpPeers
{
    private readonly ConcurrentDictionary<string, BgpPeerSession> _sessions = new();
    private readonly ConcurrentDictionary<string, string> _faults = new();
    private readonly List<Task> _ending = [];
    private BgpListening? _listening;
    private volatile IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>? _tables;

    /// <summary>Tells that a session came or went, or failed to come. Called by any thread.</summary>
    public event Action? Changed;

    /// <summary>Names of the peers that have a session, or try for one.</summary>
    public IEnumerable<string> Names => _sessions.Keys;

    /// <summary>All peers, in the order of their names. Thread-safe.</summary>
    public IReadOnlyList<BgpPeerView> Views =>
    [
        .. _sessions.Values.GroupBy(static session => (session.Plan.Label, session.Plan.VrfLabel)).SelectMany(static group => group.Select(session => new BgpPeerView(
                // Sessions with one router by different addresses of ours are told apart by their names.
                session.Plan.Name, group.Skip(1).Any() ? $"{group.Key.Label} ({session.Plan.Name})" : group.Key.Label, group.Key.VrfLabel, session.Session.Status, session.Session.Counters)))
            .Concat(_faults.Select(static fault => new BgpPeerView(fault.Key, "", "", new BgpSessionStatus(BgpState.Idle, fault.Value, 0, 0, 0), null)))
            .OrderBy(static view => view.Name, StringComparer.Ordinal),
    ];

    /// <summary>What a peer is to know, in order. Thread-safe.</summary>
    public IReadOnlyList<string> RoutesOf(string peer) => TableOf(peer) is { } table ? [.. table.Keys.Order().Select(static prefix => prefix.ToString())] : [];

    IReadOnlyList<BgpPeerView>? IBgpPeers.Sessions => Views;

    /// <summary>What a peer is to know; null for a peer that is told nothing. Thread-safe.</summary>
    public IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>? TableOf(string peer) => _tables?.GetValueOrDefault(peer);

    /// <summary>Takes up a configuration.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="labels">Labels of this node.</param>
    /// <param name="password">The password of a peer, or what is wrong with it.</param>
    /// <param name="routes">What a new session is told from the start.</param>
    /// <returns>Whether peers came or went.</returns>
    public bool Configure(
        LoadBalancerConfig config, IReadOnlyDictionary<string, string>? labels, Func<BgpPeer, (BgpPassword Password, string? Fault)> password,
        Func<IEnumerable<string>, IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>> routes)
    {
        var plans = new Dictionary<string, BgpPeerPlan>();
        var faults = new Dictionary<string, string>();
        foreach (var peer in config.BgpPeers.Where(peer => LabelSelector.AnyMatches(peer.Spec.NodeSelectors, labels)))
        {
            var (key, fault) = password(peer);
            if (fault is null)
                plans[peer.Name] = BgpPeerPlan.Of(peer, key, config.BfdProfiles, options.Bgp);
            else
                faults[peer.Name] = fault;
        }
        foreach (string name in _faults.Keys.Where(name => !faults.ContainsKey(name)))
            _faults.TryRemove(name, out _);
        foreach (var (name, fault) in faults)
        {
            if (!_faults.TryGetValue(name, out var told) || told != fault)
                LogNoPassword(logger, name, fault);
            _faults[name] = fault;
        }
        if (options.Bgp.ListenPort != 0)
            (_listening ??= new BgpListening(options.Bgp.ListenPort, () => _sessions.Values, time, logger)).Follow(plans.Values);
        bool changed = false;
        foreach (var (name, session) in _sessions)
        {
            bool stays = plans.TryGetValue(name, out var plan);
            if (stays && plan == session.Plan)
                continue;
            _sessions.TryRemove(name, out _);
            var reason = BgpNotification.Cease(stays ? BgpCease.OtherConfigurationChange : BgpCease.PeerDeconfigured);
            _ending.RemoveAll(static task => task.IsCompleted);
            _ending.Add(session.StopAsync(reason, false));
            changed = true;
        }
        var added = plans.Where(plan => !_sessions.ContainsKey(plan.Key)).Select(static plan => plan.Value).ToList();
        if (added.Count == 0)
            return changed;
        var tables = routes(added.Select(static plan => plan.Name));
        foreach (var plan in added)
        {
            var session = new BgpPeerSession(plan, options.NodeName, bfd.FirstOrDefault(), time, random, logger, () => Changed?.Invoke());
            // Known before the session is up, so that the mark behind the last route tells the truth (RFC 4724 §4.1).
            session.Session.Want(tables[plan.Name]);
            _sessions[plan.Name] = session;
        }
        return true;
    }

    /// <summary>Tells each peer what it is to know.</summary>
    public void Publish(IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> tables)
    {
        _tables = tables;
        foreach (var (name, session) in _sessions)
        {
            if (tables.TryGetValue(name, out var table))
                session.Session.Want(table);
        }
    }

    /// <summary>Ends all sessions: those with graceful restart without a word, so that routers go on; the others withdraw first and say that we leave.</summary>
    public async Task StopAsync()
    {
        if (_listening is not null)
            await _listening.DisposeAsync();
        foreach (string name in _sessions.Keys)
        {
            if (!_sessions.TryRemove(name, out var session))
                continue;
            bool keeps = session.Plan.GracefulRestart;
            _ending.Add(session.StopAsync(keeps ? null : BgpNotification.Cease(BgpCease.AdministrativeShutdown, $"the speaker of node {options.NodeName} stops"), !keeps));
        }
        await Task.WhenAll(_ending);
    }

    [LoggerMessage(1, LogLevel.Error, "BGP peer {Peer}: no session without its password: {Cause}")]
    private static partial void LogNoPassword(ILogger logger, string peer, string cause);
}
