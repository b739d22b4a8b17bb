using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Who is alive: a pure machine fed with what is seen of the speakers' Leases, by our own monotonic clock, so that clocks that differ do no harm. Not thread-safe.
/// </summary>
/// <remarks>
/// A node is taken for dead when its Lease was not seen to change for its term, and only as long as we can hear: our own renewals have to come back to us on the same
/// watch. Otherwise the silence is ours (a watch that hangs, an API server that is away, a pause of our process), and nothing is concluded from it. After such a time everybody
/// has a full term to be heard again.
/// </remarks>
/// <param name="me">Our own node.</param>
/// <param name="duration">How long our own Lease holds after a renewal.</param>
internal sealed class MemberTable(string me, TimeSpan duration)
{
    private const int RememberedWrites = 16;
    private static readonly TimeSpan LongestTerm = TimeSpan.FromMinutes(5);

    private readonly Dictionary<string, Observation> _observed = [];
    private readonly Queue<string> _written = new();
    private TimeSpan? _heard;

    /// <summary>Nodes whose speakers are alive; ours among them from the moment on that others can know of it.</summary>
    public IReadOnlySet<string> Members { get; private set; } = new HashSet<string>();

    /// <summary>Whether a renewal of ours has ever come back.</summary>
    public bool HasJoined => _heard is not null;

    /// <summary>We write our Lease with this time stamp; to be told before it is sent.</summary>
    public void Writing(string renewTime)
    {
        if (_written.Count == RememberedWrites)
            _written.Dequeue();
        _written.Enqueue(renewTime);
    }

    /// <summary>Our process was paused: what was written before says nothing about now.</summary>
    public void ForgetWrites() => _written.Clear();

    /// <summary>Whether the others have had to take us for dead: nothing of ours came back for a whole term.</summary>
    public bool IsCutOff(TimeSpan now) => _heard is not { } heard || now - heard >= duration;

    /// <summary>A speaker's Lease was seen (null: it is gone). Whether it is a renewal of our own that came back.</summary>
    public bool Observe(string node, Lease? lease, TimeSpan now)
    {
        bool released = lease is null || string.IsNullOrEmpty(lease.Spec.HolderIdentity);
        if (node == me)
        {
            if (released || lease!.Spec.RenewTime is not { } stamp || !_written.Contains(stamp))
                return false;
            if (!CanHear(now))
            {
                foreach (string other in _observed.Keys.ToArray())
                    _observed[other] = _observed[other] with { At = now };
            }
            _heard = now;
            return true;
        }
        if (released)
            _observed.Remove(node);
        else if (!_observed.TryGetValue(node, out var known) || known.Renewed != lease!.Spec.RenewTime)
            _observed[node] = new Observation(lease!.Spec.RenewTime, now, Term(lease));
        return false;
    }

    /// <summary>Draws conclusions. Whether the members changed.</summary>
    public bool Evaluate(TimeSpan now)
    {
        bool hears = CanHear(now);
        var members = _observed
            .Where(entry => now - entry.Value.At < entry.Value.Term || (!hears && Members.Contains(entry.Key)) || !HasJoined)
            .Select(static entry => entry.Key)
            .ToHashSet();
        if (HasJoined)
            members.Add(me);
        if (members.SetEquals(Members))
            return false;
        Members = members;
        return true;
    }

    // Half a term: a node that is alive was heard at most a third of a term before we went deaf, so it is not taken for dead in between.
    private bool CanHear(TimeSpan now) => _heard is { } heard && now - heard < duration / 2;

    /// <summary>Each node says itself how long its Lease holds, so that nodes with different settings understand each other.</summary>
    private TimeSpan Term(Lease lease) =>
        lease.Spec.LeaseDurationSeconds is int seconds and > 0 && TimeSpan.FromSeconds(seconds) is var term && term <= LongestTerm ? term : duration;

    private readonly record struct Observation(string? Renewed, TimeSpan At, TimeSpan Term);
}
