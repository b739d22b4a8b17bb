using DynamicLb.Kubernetes;
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
/// Whether an address may be announced: one that is new in the cluster is looked for on the LAN before (RFC 5227, RFC 4862). What was there when this speaker started, what another
/// speaker announced before, and what the address service has leased (and looked for) is not new: a node that takes over must not lose time. Owned by one loop.
/// </summary>
internal sealed class AddressConflicts(ConflictPolicy policy)
{
    /// <summary>How long after a refusal the address is looked for again.</summary>
    public static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(30);

    /// <summary>Two claims of one machine so far apart are no change of hands between speakers.</summary>
    public static readonly TimeSpan ClaimsApart = TimeSpan.FromSeconds(2);

    /// <summary>A claim that is not repeated for so long is over.</summary>
    public static readonly TimeSpan ClaimsForget = TimeSpan.FromSeconds(60);

    private readonly Dictionary<HostAddress, HashSet<NamespacedName>> _holders = [];
    private readonly Dictionary<NamespacedName, IReadOnlyList<HostAddress>> _assigned = [];
    private readonly HashSet<HostAddress> _fresh = [];
    private readonly HashSet<HostAddress> _probing = [];
    private readonly Dictionary<HostAddress, MacAddress> _taken = [];
    private readonly Dictionary<HostAddress, (MacAddress Mac, TimeSpan First, TimeSpan Last)> _claims = [];
    private bool _started;

    /// <summary>Services that have an address.</summary>
    public IReadOnlyCollection<NamespacedName> HoldersOf(HostAddress address) => _holders.TryGetValue(address, out var names) ? names : [];

    /// <summary>From now on addresses that appear are new.</summary>
    public void Start() => _started = true;

    /// <summary>The addresses of a Service are these.</summary>
    /// <param name="name">The Service.</param>
    /// <param name="addresses">Its addresses; none when it is gone.</param>
    /// <param name="isProbed">Whether somebody has looked for them already.</param>
    public void Assign(NamespacedName name, IReadOnlyList<HostAddress> addresses, bool isProbed)
    {
        var before = _assigned.GetValueOrDefault(name) ?? [];
        if (before.SequenceEqual(addresses))
            return;
        foreach (var gone in before.Except(addresses))
        {
            if (!_holders.TryGetValue(gone, out var names) || !names.Remove(name) || names.Count > 0)
                continue;
            _holders.Remove(gone);
            _fresh.Remove(gone);
            _probing.Remove(gone);
            _taken.Remove(gone);
            _claims.Remove(gone);
        }
        foreach (var address in addresses)
        {
            if (!_holders.TryGetValue(address, out var names))
            {
                _holders[address] = names = [];
                if (_started && !isProbed && policy != ConflictPolicy.Off)
                    _fresh.Add(address);
            }
            names.Add(name);
        }
        if (addresses.Count == 0)
            _assigned.Remove(name);
        else
            _assigned[name] = addresses;
    }

    /// <summary>Another speaker announces it: it is in use, by us.</summary>
    public void AnnouncedElsewhere(IEnumerable<HostAddress> addresses)
    {
        foreach (var address in addresses)
        {
            _fresh.Remove(address);
            _probing.Remove(address);
            _taken.Remove(address);
        }
    }

    /// <summary>Whether it has to be looked for now; true once.</summary>
    public bool MustProbe(HostAddress address) => _fresh.Contains(address) && _probing.Add(address);

    /// <summary>Whether its first use waits for an answer.</summary>
    public bool IsProbing(HostAddress address) => _fresh.Contains(address) && !_taken.ContainsKey(address);

    /// <summary>Who has it, when it must not be announced for that; null when it may.</summary>
    public MacAddress? Refusal(HostAddress address) => policy == ConflictPolicy.Refuse && _taken.TryGetValue(address, out var mac) ? mac : null;

    /// <summary>The other machine that has an address of ours, as told to users; null for none.</summary>
    public MacAddress? Conflict(HostAddress address) =>
        _taken.TryGetValue(address, out var mac) ? mac : _claims.TryGetValue(address, out var claim) && claim.Last - claim.First >= ClaimsApart ? claim.Mac : null;

    /// <summary>It was looked for.</summary>
    /// <param name="address">The address.</param>
    /// <param name="other">Who has it; null for nobody.</param>
    /// <returns>Whether it is to be looked for again after <see cref="RetryAfter"/>.</returns>
    public bool Probed(HostAddress address, MacAddress? other)
    {
        if (!_probing.Contains(address))
            return false;
        if (other is not { } mac)
        {
            _fresh.Remove(address);
            _probing.Remove(address);
            _taken.Remove(address);
            return false;
        }
        _taken[address] = mac;
        if (policy == ConflictPolicy.Refuse)
            return true;
        // Announced now: its claims tell how it goes on.
        _fresh.Remove(address);
        _probing.Remove(address);
        return false;
    }

    /// <summary>Another machine says that an address that we announce is its own. Whether that makes a conflict that was none before.</summary>
    public bool Claimed(HostAddress address, MacAddress mac, TimeSpan now)
    {
        bool before = Conflict(address) == mac;
        _claims[address] = _claims.TryGetValue(address, out var claim) && claim.Mac == mac && now - claim.Last < ClaimsForget ? (mac, claim.First, now) : (mac, now, now);
        return !before && Conflict(address) == mac;
    }

    /// <summary>Forgets claims that were not repeated. Those whose conflict is over.</summary>
    public IReadOnlyList<HostAddress> Forget(TimeSpan now)
    {
        var over = new List<HostAddress>();
        foreach (var (address, claim) in _claims)
        {
            if (now - claim.Last < ClaimsForget)
                continue;
            bool was = Conflict(address) is not null;
            _claims.Remove(address);
            if (policy == ConflictPolicy.Defend)
                _taken.Remove(address);
            if (was && Conflict(address) is null)
                over.Add(address);
        }
        return over;
    }
}
