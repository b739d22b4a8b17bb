namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Which speakers live, from the Leases they renew. Pure: the caller brings the time, as a monotonic span since any fixed moment, so that
/// differing or jumping wall clocks do no harm. One caller at a time.
/// </summary>
/// <remarks>
/// A node lives as long as its Lease was seen to change within <paramref name="duration"/>. While our own renewals fail we cannot tell a dead
/// node from an API server that is away: then the last picture stays (nobody dies), and begins anew when renewals succeed again.
/// </remarks>
/// <param name="self">Name of this node, which lives.</param>
/// <param name="duration">How long a Lease holds without renewal.</param>
internal sealed class MembershipView(string self, TimeSpan duration)
{
    private readonly Dictionary<string, Seen> _nodes = new(StringComparer.Ordinal);
    private TimeSpan? _renewed;
    private bool _cutOff;

    /// <summary>Our own renewals have failed for longer than our Lease holds: the others may have elected somebody else.</summary>
    public bool IsCutOff => _cutOff;

    /// <summary>Our own Lease was renewed.</summary>
    public void Renewed(TimeSpan now)
    {
        if (_cutOff)
        {
            // The others had no chance to show themselves.
            foreach (var node in _nodes.Keys.ToArray())
                _nodes[node] = _nodes[node] with { At = now };
        }
        _renewed = now;
        _cutOff = false;
    }

    /// <summary>A Lease was seen. An unchanged version is no sign of life; an empty holder has given it up.</summary>
    public void Observe(string node, string? holder, string? version, TimeSpan now)
    {
        if (string.IsNullOrEmpty(holder))
            _nodes.Remove(node);
        else if (!_nodes.TryGetValue(node, out var seen) || seen.Version != version)
            _nodes[node] = new Seen(version, now);
    }

    /// <summary>A Lease is gone.</summary>
    public void Remove(string node) => _nodes.Remove(node);

    /// <summary>The nodes that live now.</summary>
    public IReadOnlySet<string> Living(TimeSpan now)
    {
        _cutOff = _renewed is null || now - _renewed > duration;
        var living = new HashSet<string>(StringComparer.Ordinal) { self };
        foreach (var (node, seen) in _nodes)
        {
            if (_cutOff || now - seen.At <= duration)
                living.Add(node);
        }
        return living;
    }

    private readonly record struct Seen(string? Version, TimeSpan At);
}
