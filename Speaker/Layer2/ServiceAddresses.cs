using System.Collections.Concurrent;
using System.Net;
using DynamicLb.Kubernetes;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Services that are connected by addresses that they share: one node has to announce all of them.</summary>
/// <param name="Key">The lowest of their first addresses: the one that elects.</param>
/// <param name="Services">All of them.</param>
internal sealed record SharingGroup(IPAddress Key, IReadOnlySet<NamespacedName> Services);

/// <summary>Which Services have which addresses, and which are connected thereby. Owned by one loop; <see cref="GroupOf"/> is thread-safe.</summary>
internal sealed class ServiceAddresses
{
    private readonly Dictionary<HostAddress, HashSet<NamespacedName>> _holders = [];
    private readonly Dictionary<NamespacedName, IReadOnlyList<HostAddress>> _assigned = [];
    private readonly HashSet<NamespacedName> _moved = [];

    // Only of those that share.
    private readonly ConcurrentDictionary<NamespacedName, SharingGroup> _groups = new();

    /// <summary>Services that have an address.</summary>
    public IReadOnlyCollection<NamespacedName> HoldersOf(HostAddress address) => _holders.TryGetValue(address, out var names) ? names : [];

    /// <summary>The addresses of a Service.</summary>
    public IReadOnlyList<HostAddress> Of(NamespacedName service) => _assigned.GetValueOrDefault(service) ?? [];

    /// <summary>The Services with which a Service shares addresses; null when it shares none. Thread-safe.</summary>
    public SharingGroup? GroupOf(NamespacedName service) => _groups.GetValueOrDefault(service);

    /// <summary>The addresses of a Service are these; none when it is gone.</summary>
    /// <returns>Those that no Service had before, and those that no Service has any more.</returns>
    public (IReadOnlyList<HostAddress> Come, IReadOnlyList<HostAddress> Gone) Assign(NamespacedName service, IReadOnlyList<HostAddress> addresses)
    {
        var before = Of(service);
        if (before.SequenceEqual(addresses))
            return ([], []);
        _moved.Add(service);
        if (GroupOf(service) is { } group)
            _moved.UnionWith(group.Services);
        var (come, gone) = (new List<HostAddress>(), new List<HostAddress>());
        foreach (var address in before.Except(addresses))
        {
            if (!_holders.TryGetValue(address, out var names) || !names.Remove(service) || names.Count > 0)
                continue;
            _holders.Remove(address);
            gone.Add(address);
        }
        foreach (var address in addresses)
        {
            if (!_holders.TryGetValue(address, out var names))
            {
                _holders[address] = names = [];
                come.Add(address);
            }
            names.Add(service);
        }
        if (addresses.Count == 0)
            _assigned.Remove(service);
        else
            _assigned[service] = addresses;
        return (come, gone);
    }

    /// <summary>Works out the groups of what was assigned since it was called last.</summary>
    /// <returns>Services that are in another group than before, or that are elected by another address.</returns>
    public IReadOnlyCollection<NamespacedName> Regroup()
    {
        var (changed, seen) = (new HashSet<NamespacedName>(), new HashSet<NamespacedName>());
        foreach (var service in _moved)
        {
            if (seen.Contains(service))
                continue;
            var services = Connected(service);
            seen.UnionWith(services);
            if (services.Count == 1)
            {
                if (_groups.TryRemove(service, out _))
                    changed.Add(service);
                continue;
            }
            var group = new SharingGroup(services.Min(name => _assigned[name][0]).ToIPAddress(), services);
            var before = GroupOf(service);
            if (before is not null && before.Key.Equals(group.Key) && services.SetEquals(before.Services) && services.All(name => GroupOf(name) == before))
                continue;
            foreach (var name in services)
                _groups[name] = group;
            changed.UnionWith(services);
        }
        _moved.Clear();
        return changed;
    }

    private HashSet<NamespacedName> Connected(NamespacedName service)
    {
        var services = new HashSet<NamespacedName> { service };
        var addresses = new HashSet<HostAddress>();
        var next = new Queue<NamespacedName>(services);
        while (next.TryDequeue(out var name))
        {
            foreach (var address in Of(name).Where(addresses.Add))
            {
                foreach (var other in HoldersOf(address).Where(services.Add))
                    next.Enqueue(other);
            }
        }
        return services;
    }
}
