using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What is done when another machine has an address.</summary>
internal enum ConflictPolicy
{
    /// <summary>Nobody is asked.</summary>
    Off = 0,

    /// <summary>An address that another machine has is not announced for the first time; asked for again until it is free.</summary>
    Refuse,

    /// <summary>It is announced all the same, and told.</summary>
    Defend,
}

/// <summary>
/// Whether an address may be announced: one that is new in the cluster is looked for on the LAN before (RFC 5227, RFC 4862). What one of us announced before, and what the address
/// service has leased (and looked for) is not new: a node that takes over must not lose time. Owned by one loop.
/// </summary>
internal sealed class AddressConflicts(ConflictPolicy policy)
{
    /// <summary>How long after a refusal the address is looked for again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(30);

    /// <summary>The same after the first refusal of what one of us may have had: it may have been the last answer of a node that hands over.</summary>
    public static readonly TimeSpan RetrySoon = TimeSpan.FromSeconds(1);

    /// <summary>Two claims of one machine so far apart are no change of hands between speakers.</summary>
    public static readonly TimeSpan ClaimsApart = TimeSpan.FromSeconds(2);

    /// <summary>A claim that is not repeated for so long is over.</summary>
    public static readonly TimeSpan ClaimsForget = TimeSpan.FromSeconds(60);

    private readonly HashSet<HostAddress> _fresh = [];
    private readonly HashSet<HostAddress> _presumed = [];
    private readonly HashSet<HostAddress> _doubtful = [];
    private readonly Dictionary<HostAddress, IReadOnlySet<string>?> _probing = [];
    private readonly Dictionary<HostAddress, MacAddress> _taken = [];
    private readonly Dictionary<HostAddress, (MacAddress Mac, TimeSpan First, TimeSpan Last)> _claims = [];
    private HashSet<HostAddress> _touched = [];
    private bool _started;

    /// <summary>Addresses that appear from now on are new; those that were there may be in use by us.</summary>
    public void Start() => _started = true;

    /// <summary>A Service has the address, and none had it before.</summary>
    /// <param name="address">The address.</param>
    /// <param name="isProbed">Whether somebody has looked for it already.</param>
    public void Come(HostAddress address, bool isProbed)
    {
        if (isProbed || policy == ConflictPolicy.Off)
            return;
        _fresh.Add(address);
        if (!_started)
            _presumed.Add(address);
    }

    /// <summary>No Service has the address any more.</summary>
    public void Gone(HostAddress address)
    {
        _fresh.Remove(address);
        _presumed.Remove(address);
        Leave(address);
    }

    /// <summary>Another node is to announce it, and nobody knows whether it does.</summary>
    public void Presume(HostAddress address)
    {
        if (_fresh.Contains(address))
            _presumed.Add(address);
    }

    /// <summary>It is in use by one of us: it need not be looked for.</summary>
    /// <param name="address">The address.</param>
    /// <param name="ifPresumed">Only if it is likely.</param>
    public void Use(HostAddress address, bool ifPresumed = false)
    {
        if (ifPresumed && !_presumed.Contains(address))
            return;
        _fresh.Remove(address);
        _presumed.Remove(address);
        _probing.Remove(address);
        _doubtful.Remove(address);
        if (_taken.Remove(address))
            _touched.Add(address);
    }

    /// <summary>It is not for us to announce now: who has it on the LAN is no longer ours to find out.</summary>
    public void Leave(HostAddress address)
    {
        _probing.Remove(address);
        _doubtful.Remove(address);
        if (_taken.Remove(address) | _claims.Remove(address))
            _touched.Add(address);
    }

    /// <summary>Whether it has to be looked for; true once until it <see cref="Probed">was</see>, and when it is to be announced elsewhere than where it is looked for.</summary>
    /// <param name="address">The address.</param>
    /// <param name="interfaces">Where it is to be announced; null for everywhere.</param>
    /// <param name="after">When to begin.</param>
    public bool MustProbe(HostAddress address, IReadOnlySet<string>? interfaces, out TimeSpan after)
    {
        after = !_taken.ContainsKey(address) ? TimeSpan.Zero : _doubtful.Contains(address) ? RetrySoon : RetryAfter;
        if (!_fresh.Contains(address) || (_probing.TryGetValue(address, out var known) && (known?.SetEquals(interfaces ?? FrozenSet<string>.Empty) ?? interfaces is null)))
            return false;
        _probing[address] = interfaces;
        return true;
    }

    /// <summary>Whether its first use waits for an answer.</summary>
    public bool IsProbing(HostAddress address) => _fresh.Contains(address) && !_taken.ContainsKey(address);

    /// <summary>Who has it, when it must not be announced for that; null when it may.</summary>
    public MacAddress? Refusal(HostAddress address) => _taken.TryGetValue(address, out var mac) ? mac : null;

    /// <summary>The other machine that has an address of ours, as told to users; null for none.</summary>
    public MacAddress? Conflict(HostAddress address) =>
        _taken.TryGetValue(address, out var mac) ? mac : _claims.TryGetValue(address, out var claim) && IsConflict(claim) ? claim.Mac : null;

    /// <summary>Addresses whose conflict may be another than when this was called last.</summary>
    public IReadOnlyCollection<HostAddress> TakeTouched()
    {
        if (_touched.Count == 0)
            return [];
        (var touched, _touched) = (_touched, []);
        return touched;
    }

    /// <summary>It was looked for.</summary>
    /// <param name="address">The address.</param>
    /// <param name="other">Who has it; null for nobody.</param>
    /// <param name="now">The time.</param>
    public void Probed(HostAddress address, MacAddress? other, TimeSpan now)
    {
        if (!_probing.Remove(address))
            return;
        _touched.Add(address);
        _taken.Remove(address);
        if (other is { } mac && policy == ConflictPolicy.Refuse)
        {
            _taken[address] = mac;
            if (_presumed.Remove(address))
                _doubtful.Add(address);
            else
                _doubtful.Remove(address);
            return;
        }
        _fresh.Remove(address);
        _presumed.Remove(address);
        _doubtful.Remove(address);
        // Announced now: its claims tell how it goes on.
        if (other is { } defended)
            _claims[address] = (defended, now - ClaimsApart, now);
    }

    /// <summary>Another machine says that an address that we announce is its own.</summary>
    public void Claimed(HostAddress address, MacAddress mac, TimeSpan now)
    {
        bool known = _claims.TryGetValue(address, out var claim) && now - claim.Last < ClaimsForget;
        // Of several machines the one that was told is told until it is silent.
        if (known && claim.Mac != mac && IsConflict(claim))
            return;
        _claims[address] = known && claim.Mac == mac ? (mac, claim.First, now) : (mac, now, now);
        _touched.Add(address);
    }

    /// <summary>Forgets claims that were not repeated.</summary>
    public void Forget(TimeSpan now)
    {
        foreach (var (address, claim) in _claims)
        {
            if (now - claim.Last < ClaimsForget)
                continue;
            _claims.Remove(address);
            _touched.Add(address);
        }
    }

    private static bool IsConflict((MacAddress Mac, TimeSpan First, TimeSpan Last) claim) => claim.Last - claim.First >= ClaimsApart;
}
