using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>
/// Who is alive: a pure machine fed with what is seen of the speakers' Leases, by our own monotonic clock, so that clocks that differ do no harm. Not thread-safe.
/// </summary>
/// <remarks>
/// A node is taken for dead when its Lease was not seen to change for its term, and only as long as we can hear: our own renewals have to come back to us on the same
/// watch. Otherwise the silence is ours (a watch that hangs, an API server that is away, a pause of our process), and nothing is concluded from it. After such a time everybody
/// who was alive before it has a full term to be heard again. Leases that were there when we came may be those of the dead, for which others announce already: until each has
/// changed, or its term has passed, we write ours without a holder, and only listen.
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

    /// <summary>Whether a renewal of ours by which the others know of us has ever come back.</summary>
    public bool HasJoined { get; private set; }

    /// <summary>Whether we know of every Lease that was there when we came whether somebody stands behind it: ours may have a holder.</summary>
    public bool MayJoin { get; private set; }

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
    public bool IsCutOff(TimeSpan now) => !HasJoined || now - _heard >= duration;

    /// <summary>A speaker's Lease was seen (null: it is gone). Whether it is a renewal of our own that came back, by which the others know of us.</summary>
    public bool Observe(string node, Lease? lease, TimeSpan now)
    {
        bool released = lease is null || string.IsNullOrEmpty(lease.Spec.HolderIdentity);
        if (node == me)
        {
            if (lease?.Spec.RenewTime is not { } stamp || !_written.Contains(stamp))
                return false;
            if (!CanHear(now))
            {
                foreach (string other in _observed.Keys.Where(other => _heard is null || (Members.Contains(other) && !_observed[other].IsOfBefore)).ToArray())
                    _observed[other] = _observed[other] with { At = now };
            }
            _heard = now;
            HasJoined |= !released;
            return !released;
        }
        if (released)
            _observed.Remove(node);
        else if (!_observed.TryGetValue(node, out var known))
            _observed[node] = new Observation(lease!.Spec.RenewTime, now, Term(lease), IsOfBefore: _heard is null);
        else if (known.Renewed != lease!.Spec.RenewTime)
            _observed[node] = new Observation(lease.Spec.RenewTime, now, Term(lease), IsOfBefore: false);
        return false;
    }

    /// <summary>Draws conclusions. Whether the members changed.</summary>
    public bool Evaluate(TimeSpan now)
    {
        bool hears = CanHear(now);
        var members = _observed
            .Where(entry => now - entry.Value.At < entry.Value.Term || (!hears && Members.Contains(entry.Key)) || _heard is null)
            .Select(static entry => entry.Key)
            .ToHashSet();
        MayJoin |= hears && !members.Any(node => _observed[node].IsOfBefore);
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

    /// <param name="Renewed">The time stamp, which says nothing but that it is another one.</param>
    /// <param name="At">When it was seen to change, or when we began to hear.</param>
    /// <param name="Term">How long it holds from then on.</param>
    /// <param name="IsOfBefore">It was there when we came, and has not changed since.</param>
    private readonly record struct Observation(string? Renewed, TimeSpan At, TimeSpan Term, bool IsOfBefore);
}
