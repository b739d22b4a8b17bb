using System.Collections.Frozen;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Services;

/// <content>Addresses that other machines have.</content>
internal sealed partial class ServiceReconciler
{
    /// <summary>How long a claim of another machine is watched before it is answered: it may be the node that we are about to hand over to.</summary>
    public static readonly TimeSpan DefendAfter = TimeSpan.FromSeconds(1);

    /// <summary>RFC 5227 §1.1, DEFEND_INTERVAL: a claim is answered once in this time, or two machines would shout at each other for ever.</summary>
    public static readonly TimeSpan DefendEvery = TimeSpan.FromSeconds(10);

    private readonly AddressConflicts _conflicts;
    private readonly Dictionary<HostAddress, long> _defended = [];

    // What the condition of a Service says that we are to announce, where it tells of a conflict.
    private readonly Dictionary<NamespacedName, string> _conditions = [];
    private volatile FrozenDictionary<HostAddress, MacAddress> _told = FrozenDictionary<HostAddress, MacAddress>.Empty;
    private volatile FrozenDictionary<HostAddress, MacAddress> _yielded = FrozenDictionary<HostAddress, MacAddress>.Empty;
    private long? _begin;

    private TimeSpan Elapsed => _time.GetElapsedTime(_begin ??= _time.GetTimestamp());

    /// <summary>Takes up the addresses of a Service; none when it is not, or no longer, ours.</summary>
    private void Assign(NamespacedName name, Service? service, LoadBalancerConfig config)
    {
        IReadOnlyList<HostAddress> addresses = service is null ? []
            : [.. AnnouncementRules.AddressesOf(service).Select(static ip => HostAddress.TryFrom(ip, out var host) ? host : (HostAddress?)null).OfType<HostAddress>()];
        var (come, gone) = _addresses.Assign(name, addresses);
        foreach (var address in gone)
            _conflicts.Gone(address);
        foreach (var address in come)
            _conflicts.Come(address, AnnouncementRules.IsLeased(service!, config));
    }

    /// <summary>A decision to announce waits until it is known that no other machine has the addresses.</summary>
    /// <param name="name">The Service.</param>
    /// <param name="decision">The decision, as the rules have it.</param>
    /// <param name="isAnnounced">Whether a node was just seen to announce the Service.</param>
    private Decision Examine(NamespacedName name, Decision decision, bool isAnnounced)
    {
        if (decision is { Reason: SilenceReason.None, Macs.Count: > 0 } && _announcer.MacFault is { } fault)
            decision = Decision.Silent(SilenceReason.LeaseMacUnusable, decision.Owner) with { Detail = fault };
        foreach (var address in _addresses.Of(name))
        {
            if (isAnnounced)
                _conflicts.Use(address);
            else if (decision.Owner is { } owner && owner != _options.NodeName)
                _conflicts.Presume(address);
            if (decision.Reason != SilenceReason.None && !_addresses.HoldersOf(address).Any(other => other != name && IsWanted(other)))
                _conflicts.Leave(address);
        }
        if (decision.Reason != SilenceReason.None)
            return decision;
        bool isKnown = KnowsAnnouncers?.Invoke() == true;
        foreach (var address in decision.Addresses)
        {
            if (!isKnown)
                _conflicts.Use(address, ifPresumed: true);
            if (_conflicts.MustProbe(address, decision.Interfaces, out var after))
                _announcer.Probe(address, decision.Interfaces, after);
        }
        return decision.Addresses.Any(_conflicts.IsProbing) ? Decision.Silent(SilenceReason.Probing, decision.Owner) : Without(decision);
    }

    /// <summary>Whether we are to announce a Service, and would but for another machine.</summary>
    private bool IsWanted(NamespacedName service) => _decisions.TryGetValue(service, out var decision)
        && decision.Reason is SilenceReason.None or SilenceReason.Probing or SilenceReason.AddressConflict or SilenceReason.LeftToAnother;

    /// <summary>A decision to announce without the addresses that other machines have.</summary>
    private Decision Without(Decision decision)
    {
        var (free, left) = (new List<HostAddress>(decision.Addresses.Count), new List<string>());
        foreach (var address in decision.Addresses)
        {
            if (YieldedTo(address) is { } mac)
                left.Add($"{address} is left to {mac}");
            else if (_conflicts.Refusal(address) is null)
                free.Add(address);
        }
        return free.Count == decision.Addresses.Count ? decision
            : free.Count > 0 ? decision with { Addresses = free }
            : left.Count > 0 ? Decision.Silent(SilenceReason.LeftToAnother, decision.Owner) with { Detail = string.Join(", ", left) }
            : Decision.Silent(SilenceReason.AddressConflict, decision.Owner);
    }

    private void TakeProbe(HostAddress address, MacAddress? other, HashSet<NamespacedName> names)
    {
        // Another speaker that has the same in mind, or has it for a moment longer: the election decides.
        _conflicts.Probed(address, other is { } mac && _membership.IsSpeaker(mac) ? null : other, Elapsed);
        names.UnionWith(_addresses.HoldersOf(address));
    }

    /// <summary>
    /// Other machines say that addresses of ours are their own. Those that cannot know of us are the nodes that the others elected: we are silent for as long as that is so, and then
    /// have back what is still ours.
    /// </summary>
    private void TakeClaims(IEnumerable<(HostAddress Address, MacAddress Mac)> claims, HashSet<NamespacedName> names)
    {
        var yielded = _yielded.ToDictionary();
        int changes = 0;
        foreach (var (address, mac) in _yielded)
        {
            if (_membership.MustYieldTo(mac))
                continue;
            yielded.Remove(address);
            names.UnionWith(_addresses.HoldersOf(address));
            changes++;
        }
        foreach (var (address, mac) in claims)
        {
            if (!_membership.MustYieldTo(mac))
            {
                Contest(address, mac);
            }
            else if (yielded.TryAdd(address, mac))
            {
                names.UnionWith(_addresses.HoldersOf(address));
                LogYielded(_logger, address.ToString(), mac.ToString());
                changes++;
            }
        }
        if (changes > 0)
            _yielded = yielded.ToFrozenDictionary();
    }

    /// <summary>
    /// Another machine says that an address of ours is its own, and we are right: the neighbours are told so again, if the address is still ours after a moment.
    /// </summary>
    private void Contest(HostAddress address, MacAddress mac)
    {
        _membership.SeenOtherwise(mac);
        // With the MAC of its lease another speaker looks like this one.
        bool isTwin = _table.Snapshot.TryGetValue(address, out var item) && item.Mac == mac;
        if (!isTwin && !_membership.IsSpeaker(mac))
            _conflicts.Claimed(address, mac, Elapsed);
        if (_defended.TryGetValue(address, out long last) && _time.GetElapsedTime(last) < DefendEvery)
            return;
        if (_defended.Count > 10_000)
            _defended.Clear();
        _defended[address] = _time.GetTimestamp();
        LogClaimed(_logger, address.ToString(), mac.ToString());
        _announcer.Defend(address, DefendAfter);
    }

    /// <summary>Tells of conflicts that came, or are over.</summary>
    /// <param name="names">Services that were decided about.</param>
    private void TellConflicts(IEnumerable<NamespacedName> names)
    {
        _conflicts.Forget(Elapsed);
        var concerned = new HashSet<NamespacedName>(names);
        Dictionary<HostAddress, MacAddress>? told = null;
        foreach (var address in _conflicts.TakeTouched())
        {
            var conflict = _conflicts.Conflict(address);
            if (conflict == ConflictOf(address))
                continue;
            told ??= _told.ToDictionary();
            told.Remove(address);
            if (conflict is { } mac)
            {
                told[address] = mac;
                _metrics.ConflictFound();
                LogConflict(_logger, address.ToString(), mac.ToString());
                foreach (var name in _addresses.HoldersOf(address))
                {
                    if (_services.Get(name) is { } service)
                        _events.Conflict(service, Words([(address, mac)]), _conflicts.Refusal(address) is not null);
                }
            }
            concerned.UnionWith(_addresses.HoldersOf(address));
        }
        if (told is not null)
            _told = told.ToFrozenDictionary();
        foreach (var name in concerned)
            TellCondition(name);
    }

    /// <summary>Of a Service that we are to announce the condition is ours; not while we do not know what to say.</summary>
    private void TellCondition(NamespacedName name)
    {
        // As nearly always.
        if (_told.Count == 0 && !_conditions.ContainsKey(name))
            return;
        if (!_decisions.TryGetValue(name, out var decision) || decision.Owner != _options.NodeName || decision.Reason == SilenceReason.Probing)
            return;
        var conflicts = _addresses.Of(name).Select(address => (Address: address, Mac: _conflicts.Conflict(address))).Where(static entry => entry.Mac is not null)
            .Select(static entry => (entry.Address, entry.Mac!.Value)).ToList();
        string? words = conflicts.Count == 0 ? null : Words(conflicts);
        if (words == _conditions.GetValueOrDefault(name))
            return;
        if (words is null)
            _conditions.Remove(name);
        else
            _conditions[name] = words;
        ConflictChanged?.Invoke(name, words);
    }

    /// <summary>Who begins to announce a Service begins with what its condition says; who ends leaves it to the next, or, where there is none, says that it is over.</summary>
    private void PassCondition(NamespacedName name, Service? service, Decision decision)
    {
        bool isOurs = decision.Owner == _options.NodeName;
        // What the node before us had still to write may come later.
        if (isOurs && !_conditions.ContainsKey(name) && service?.Status.Conditions?.FirstOrDefault(static item => item is { Type: Conditions.AddressConflict, Status: "True" }) is { } condition)
            _conditions[name] = condition.Message ?? "";
        if (!isOurs && _conditions.Remove(name) && decision.Owner is null && service is not null)
            ConflictChanged?.Invoke(name, null);
    }

    private string Words(IEnumerable<(HostAddress Address, MacAddress Mac)> conflicts) =>
        $"{string.Join(", ", conflicts.Select(static entry => $"{entry.Address} is in use by {entry.Mac}"))}, as node \"{_options.NodeName}\" sees it";

    [LoggerMessage(1, LogLevel.Warning, "{Mac} says that it has {Address}, which this node announces; the neighbours are told again")]
    private static partial void LogClaimed(ILogger logger, string address, string mac);

    [LoggerMessage(2, LogLevel.Warning, "{Address} is left to {Mac}, since the other speakers do not hear of this node")]
    private static partial void LogYielded(ILogger logger, string address, string mac);

    [LoggerMessage(3, LogLevel.Warning, "{Address} is in use by {Mac}, which is none of ours")]
    private static partial void LogConflict(ILogger logger, string address, string mac);
}
