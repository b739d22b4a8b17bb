using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Who is alive: a pure machine fed with what is seen of the speakers' Leases, by our own monotonic clock, so that clocks that differ do no harm. While we ourselves cannot
/// reach the API server, nothing is concluded from the others' silence: it is ours. Not thread-safe.
/// </summary>
/// <param name="me">Our own node: always alive to us.</param>
/// <param name="duration">How long a Lease holds after it was last seen to change.</param>
internal sealed class MemberTable(string me, TimeSpan duration)
{
    private readonly Dictionary<string, Observation> _observed = [];
    private TimeSpan _renewedAt;
    private bool _connected = true;

    /// <summary>Nodes whose speakers are alive, ours included.</summary>
    public IReadOnlySet<string> Members { get; private set; } = new HashSet<string> { me };

    /// <summary>Whether we reach the API server.</summary>
    public bool IsConnected => _connected;

    /// <summary>We renewed our own Lease.</summary>
    public void Renewed(TimeSpan now)
    {
        if (!_connected)
        {
            // Everybody has been silent to us for long: give them a full term to be heard again.
            foreach (var (node, observation) in _observed)
                _observed[node] = observation with { At = now };
        }
        _connected = true;
        _renewedAt = now;
    }

    /// <summary>A speaker's Lease was seen (null: it is gone).</summary>
    public void Observe(string node, Lease? lease, TimeSpan now)
    {
        if (lease is null || string.IsNullOrEmpty(lease.Spec.HolderIdentity))
            _observed.Remove(node);
        else if (!_observed.TryGetValue(node, out var known) || known.Renewed != lease.Spec.RenewTime)
            _observed[node] = new Observation(lease.Spec.RenewTime, now);
    }

    /// <summary>Draws conclusions. Whether the members changed.</summary>
    public bool Evaluate(TimeSpan now)
    {
        if (now - _renewedAt >= duration)
            _connected = false;
        if (!_connected)
            return false;
        var members = _observed.Where(entry => now - entry.Value.At < duration).Select(static entry => entry.Key).Append(me).ToHashSet();
        if (members.SetEquals(Members))
            return false;
        Members = members;
        return true;
    }

    private readonly record struct Observation(string? Renewed, TimeSpan At);
}
