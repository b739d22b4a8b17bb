using DynamicLb.Networking.Addresses;
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
    private readonly Lock _lock = new();
    private volatile IReadOnlySet<string> _members = new HashSet<string>();

    public SegmentMembership(SpeakerOptions options, NodeMembership leases, HeartbeatExchange heartbeats)
    {
        _me = options.NodeName;
        _leases = leases;
        _heartbeats = heartbeats;
        leases.Changed += Combine;
        leases.Rejoined += () => Rejoined?.Invoke();
        heartbeats.Changed += Combine;
        heartbeats.Rejoined += () => Rejoined?.Invoke();
    }

    /// <inheritdoc/>
    public event Action? Changed;

    /// <inheritdoc/>
    public event Action? Rejoined;

    /// <inheritdoc/>
    public IReadOnlySet<string> Members => _members;

    /// <inheritdoc/>
    public bool MustYield => _leases.IsLeaving || _heartbeats.Guard.IsPaused || _leases.Guard.IsPaused || (_leases.IsCutOff && !_heartbeats.Sight.IsHeard);

    /// <inheritdoc/>
    public void SeenOtherwise(MacAddress mac) => _heartbeats.SeenOtherwise(mac);

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

    private void Combine()
    {
        lock (_lock)
        {
            var members = Unite(_me, _leases.Members, _leases.IsBeating, _heartbeats.IsOn, _heartbeats.Sight);
            if (members.SetEquals(_members))
                return;
            _members = members;
        }
        Changed?.Invoke();
    }
}
