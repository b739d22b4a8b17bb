using System.Collections.Frozen;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Services;

/// <summary>What a Service is judged by, as it is known at one moment.</summary>
/// <param name="Service">The Service.</param>
/// <param name="Slices">Its EndpointSlices.</param>
/// <param name="Surroundings">The rest; null before a configuration was read.</param>
/// <param name="Nodes">All nodes: name, whether its speaker lives, and the Node if it is known.</param>
internal sealed record ServiceView(
    Service Service, IReadOnlyCollection<EndpointSlice> Slices, Surroundings? Surroundings, IReadOnlyCollection<(string Name, bool IsAlive, Node? Node)> Nodes);

/// <content>Addresses that other machines have, and what others may know of the decisions.</content>
internal sealed partial class ServiceReconciler
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<NamespacedName, Decision> _public = new();
    private long? _begin;

    /// <summary>Called for every decision, by the loop: must be quick.</summary>
    public Action<NamespacedName, Decision>? Decided { get; set; }

    /// <summary>Called when another machine has an address of a Service (with words for people), or no more (null). By the loop: must be quick.</summary>
    public Action<NamespacedName, string?>? ConflictChanged { get; set; }

    /// <summary>Who announces a Service now, where owners are sticky. Thread-safe.</summary>
    public Func<NamespacedName, IReadOnlyCollection<string>>? AnnouncersOf { get; set; }

    private TimeSpan Elapsed => _time.GetElapsedTime(_begin ??= _time.GetTimestamp());

    /// <summary>Looks at a Service again. Thread-safe.</summary>
    public void LookAgain(NamespacedName service) => _dirty.Touch([service]);

    /// <summary>What was decided last about a Service; null for nothing. Thread-safe.</summary>
    public Decision? DecisionOf(NamespacedName service) => _public.GetValueOrDefault(service);

    /// <summary>The other machine that has an address of ours; null for none. Thread-safe.</summary>
    public MacAddress? ConflictOf(HostAddress address) => _told.TryGetValue(address, out var mac) ? mac : null;

    /// <summary>The machine to which an address of ours is left, since the other speakers cannot know of this one; null where none is. Thread-safe.</summary>
    public MacAddress? YieldedTo(HostAddress address) => _yielded.TryGetValue(address, out var mac) ? mac : null;

    /// <summary>What there is to know about a Service; null when there is none. Thread-safe.</summary>
    public ServiceView? Look(NamespacedName name)
    {
        if (_services.Get(name) is not { } service)
            return null;
        var members = _membership.Members;
        var nodes = _nodes.Items.Select(node => (node.Metadata.Name ?? "", members.Contains(node.Metadata.Name ?? ""), (Node?)node))
            .Concat(members.Where(member => _nodes.Get(new NamespacedName("", member)) is null).Select(static member => (member, true, (Node?)null))).ToList();
        return new ServiceView(service, _slices.Of(name), _config is { } config ? Look(config, _time.GetUtcNow()) : null, nodes);
    }

    private Surroundings Look(LoadBalancerConfig config, DateTimeOffset now) => new(
        _options.NodeName,
        [.. _membership.Members.Where(node => AnnouncementRules.CanAnnounce(_nodes.Get(new NamespacedName("", node)), _options.IgnoreExcludeLabel))],
        config, now)
    {
        LabelsOf = node => _nodes.Get(new NamespacedName("", node))?.Metadata.Labels,
        HasLink = _membership.HasLink,
        WhoServes = _membership.WhoServes,
        AnnouncersOf = _options.StickyOwners ? AnnouncersOf : null,
    };

    /// <summary>A decision to announce waits until it is known that no other machine has the addresses.</summary>
    private Decision Examine(NamespacedName name, Service? service, Decision decision, Surroundings surroundings)
    {
        bool isServed = service is not null && decision.Reason != SilenceReason.NotLoadBalancer;
        var addresses = isServed ? AnnouncementRules.AddressesOf(service!).Select(static ip => HostAddress.TryFrom(ip, out var host) ? host : default).ToList() : [];
        _conflicts.Assign(name, addresses, isServed && AnnouncementRules.IsLeased(service!, surroundings.Config));
        if (decision is { Reason: SilenceReason.None, Macs.Count: > 0 } && _announcer.MacFault is { } fault)
            decision = Decision.Silent(SilenceReason.LeaseMacUnusable, decision.Owner) with { Detail = fault };
        if (decision.Owner is { } owner && owner != _options.NodeName)
            _conflicts.AnnouncedElsewhere(addresses);
        if (decision.Reason == SilenceReason.None)
        {
            foreach (var address in decision.Addresses.Where(_conflicts.MustProbe))
                _announcer.Probe(address, decision.Interfaces, TimeSpan.Zero);
            if (decision.Addresses.Any(_conflicts.IsProbing))
                decision = Decision.Silent(SilenceReason.Probing, decision.Owner);
            else
                decision = Without(decision);
        }
        if (decision.Reason == SilenceReason.NotLoadBalancer)
            _public.TryRemove(name, out _);
        else
            _public[name] = decision;
        return decision;
    }

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
        if (other is { } mac && _membership.IsSpeaker(mac))
            other = null;
        var before = _conflicts.Conflict(address);
        if (_conflicts.Probed(address, other))
            _announcer.Probe(address, null, AddressConflicts.RetryAfter);
        names.UnionWith(_conflicts.HoldersOf(address));
        if (_conflicts.Conflict(address) != before)
            TellConflict(address);
    }

    /// <summary>Tells about the conflict of an address as it is now; or that it is over.</summary>
    private void TellConflict(HostAddress address)
    {
        var told = _told.ToDictionary();
        string? words = null;
        if (_conflicts.Conflict(address) is { } mac)
        {
            told[address] = mac;
            words = $"{address} is in use by {mac}, as node \"{_options.NodeName}\" sees it";
            _metrics.ConflictFound();
            LogConflict(_logger, address.ToString(), mac.ToString());
        }
        else
        {
            told.Remove(address);
        }
        _told = told.ToFrozenDictionary();
        foreach (var name in _conflicts.HoldersOf(address))
        {
            ConflictChanged?.Invoke(name, words);
            if (words is not null && _services.Get(name) is { } service)
                _events.Conflict(service, words, _conflicts.Refusal(address) is not null);
        }
    }

    [LoggerMessage(3, LogLevel.Warning, "{Address} is in use by {Mac}, which is none of ours")]
    private static partial void LogConflict(ILogger logger, string address, string mac);
}
