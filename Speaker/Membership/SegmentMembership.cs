using System.Net;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Speaker.Heartbeats;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Who is alive, by what is heard on the segment, and by the Leases of those that do not beat there: a node without the key, or behind a switch that does not pass multicast.
/// Thread-safe.
/// </summary>
internal sealed class SegmentMembership : IMembership
{
    private readonly string _me;
    private readonly NodeMembership _leases;
    private readonly HeartbeatExchange _heartbeats;
    private readonly PauseGuard _guard;
    private readonly Lock _lock = new();
    private volatile IReadOnlySet<string> _members = new HashSet<string>();
    private volatile Segments _segments;

    /// <param name="options">The settings.</param>
    /// <param name="leases">What the Leases tell.</param>
    /// <param name="heartbeats">What is heard on the segment.</param>
    /// <param name="guard">The pauses of all that has to be heard: the one by which nothing is answered.</param>
    /// <param name="links">The interfaces; somebody else runs it.</param>
    public SegmentMembership(SpeakerOptions options, NodeMembership leases, HeartbeatExchange heartbeats, PauseGuard guard, ILinkMonitor links)
    {
        _guard = guard;
        _me = options.NodeName;
        _leases = leases;
        _heartbeats = heartbeats;
        _segments = new Segments(links.Current, options.ExcludedInterfaces);
        links.Changed += () =>
        {
            // Pods come and go with their interfaces: nothing to decide anew.
            var segments = new Segments(links.Current, options.ExcludedInterfaces);
            if (segments.IsLike(_segments))
                return;
            _segments = segments;
            Combine(true);
        };
        leases.Changed += () => Combine(false);
        leases.Rejoined += () => Rejoined?.Invoke();
        heartbeats.Changed += () =>
        {
            if (heartbeats.IsKnown)
                leases.KnownOtherwise();
            Combine(true);
        };
        heartbeats.Rejoined += () => Rejoined?.Invoke();
    }

    /// <inheritdoc/>
    public event Action? Changed;

    /// <inheritdoc/>
    public event Action? Rejoined;

    /// <inheritdoc/>
    public IReadOnlySet<string> Members => _members;

    /// <inheritdoc/>
    public bool MustYieldTo(MacAddress mac) => _leases.IsLeaving || _guard.IsPaused || (_leases.IsCutOff && !IsHeardBy(mac, _heartbeats.Sight));

    /// <inheritdoc/>
    public void SeenOtherwise(MacAddress mac) => _heartbeats.SeenOtherwise(mac);

    /// <inheritdoc/>
    public bool IsSpeaker(MacAddress mac) => _heartbeats.Knows(mac);

    /// <inheritdoc/>
    public bool HasLink(IReadOnlySet<string>? interfaces) => _segments.Has(interfaces);

    /// <inheritdoc/>
    public Func<string, bool> WhoServes(IPAddress address, IReadOnlySet<string>? interfaces)
    {
        if (!_heartbeats.IsOn)
            return static _ => true;
        var (sight, links) = (_heartbeats.Sight, _segments.Of(address, interfaces));
        return node => sight.CanServe(node, _me, links);
    }

    /// <summary>Whether a machine knows of us without our Lease: it beats itself, or all who may be elected do.</summary>
    private bool IsHeardBy(MacAddress mac, HeartbeatSight sight) =>
        sight.IsHeard && (_heartbeats.Knows(mac) || _members.All(node => node == _me || sight.Alive.Contains(node)));

    /// <summary>The members, from what both tell.</summary>
    /// <param name="me">Our own node.</param>
    /// <param name="byLease">Nodes whose Leases are alive.</param>
    /// <param name="beating">Whether a node's Lease says that it sends heartbeats.</param>
    /// <param name="isOn">Whether we exchange heartbeats.</param>
    /// <param name="sight">What is heard.</param>
    internal static HashSet<string> Unite(string me, IReadOnlySet<string> byLease, Func<string, bool> beating, bool isOn, HeartbeatSight sight)
    {
        if (!isOn)
            return [.. byLease];
        var members = new HashSet<string>(sight.Alive, StringComparer.Ordinal);
        members.UnionWith(byLease.Where(node => node != me && !(sight.Silent.Contains(node) && beating(node))));
        if (sight.IsReady && byLease.Contains(me))
            members.Add(me);
        return members;
    }

    /// <param name="reach">Whether the segments may be reached by others than before, with the same members.</param>
    private void Combine(bool reach)
    {
        lock (_lock)
        {
            var members = Unite(_me, _leases.Members, _leases.IsBeating, _heartbeats.IsOn, _heartbeats.Sight);
            if (!reach && members.SetEquals(_members))
                return;
            _members = members;
        }
        Changed?.Invoke();
    }
}
