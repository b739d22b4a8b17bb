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

/// <content>What others may know of the decisions, and have to tell.</content>
internal sealed partial class ServiceReconciler
{
    private readonly System.Collections.Concurrent.ConcurrentDictionary<NamespacedName, Decision> _public = new();

    /// <summary>Called for every decision, by the loop: must be quick.</summary>
    public Action<NamespacedName, Decision>? Decided { get; set; }

    /// <summary>Called when another machine has an address of a Service (with words for people), or no more (null). By the loop: must be quick.</summary>
    public Action<NamespacedName, string?>? ConflictChanged { get; set; }

    /// <summary>Who announces a Service now, as far as the nodes say so. Thread-safe.</summary>
    public Func<NamespacedName, IReadOnlyCollection<string>>? AnnouncersOf { get; set; }

    /// <summary>Whether <see cref="AnnouncersOf"/> knows of all. Thread-safe.</summary>
    public Func<bool>? KnowsAnnouncers { get; set; }

    /// <summary>Looks at a Service again: others than before announce it. Thread-safe.</summary>
    public void LookAgain(NamespacedName service)
    {
        // Before all is known we have said nothing in this life: what there is of ours is from the one before.
        if (AnnouncersOf?.Invoke(service).Any(node => KnowsAnnouncers?.Invoke() != true || node != _options.NodeName) == true)
        {
            lock (_lock)
                _announced.Add(service);
        }
        _dirty.Touch(_addresses.GroupOf(service)?.Services ?? (IEnumerable<NamespacedName>)[service]);
    }

    /// <summary>A node may say that it announces a Service before we hear of its addresses: those that come are not new.</summary>
    private void KeepUnused(HashSet<NamespacedName> announced)
    {
        lock (_lock)
            _announced.UnionWith(announced.Where(name => _addresses.Of(name).Count == 0 && _services.Get(name) is not null));
    }

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
        GroupOf = _addresses.GroupOf,
        AnnouncersOf = _options.StickyOwners ? AnnouncersOf : null,
    };
}
