using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>What one look at a Service came to.</summary>
/// <param name="Addresses">The addresses it shall have.</param>
/// <param name="Pool">Where they come from, or null.</param>
/// <param name="ValidUntil">When they end; null for never.</param>
/// <param name="Satisfied">Whether it has what it asked for; otherwise it is looked at again after a while.</param>
internal sealed record Outcome(IReadOnlyList<IPAddress> Addresses, string? Pool, DateTimeOffset? ValidUntil, bool Satisfied)
{
    public static Outcome Nothing(bool satisfied) => new([], null, null, satisfied);
}

/// <summary>
/// Decides the addresses of a Service from what it asks for, what it has, the pools and the address services. It only decides: no call here waits for anybody, and deciding twice comes
/// to the same. Thread-safe: one decision at a time, under a lock that is never held over I/O.
/// </summary>
internal sealed class AddressDecider(LeaseBrokers brokers, IEventRecorder events)
{
    private readonly Lock _lock = new();
    private readonly Allocator _allocator = new();
    private readonly ConcurrentDictionary<NamespacedName, string> _told = new();
    private LoadBalancerConfig _config = LoadBalancerConfig.Empty;

    /// <summary>How the pools are used.</summary>
    public IReadOnlyList<PoolUse> PoolUse
    {
        get { lock (_lock) return _allocator.Use(); }
    }

    /// <summary>Uses another configuration; and takes up, before anything is given out, what Services have already.</summary>
    public void Configure(LoadBalancerConfig config, IEnumerable<Service> assigned)
    {
        lock (_lock)
        {
            _config = config;
            _allocator.SetPools(config.AddressPools);
            // Those with more addresses first, as MetalLB does: a second holder of an address has to look for another.
            foreach (var service in assigned.OrderByDescending(static service => ServiceStatusWriter.AddressesOf(service).Count))
            {
                var name = NamespacedName.Of(service);
                if (_allocator.Get(name) is null && config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) is not AddressServiceSource)
                    _allocator.Adopt(name, ServiceStatusWriter.AddressesOf(service), null);
            }
        }
    }

    /// <summary>Takes back whatever a Service has. Whether a pool has more room now.</summary>
    public bool Forget(NamespacedName service)
    {
        _told.TryRemove(service, out _);
        foreach (var broker in brokers.All)
            broker.Release(service);
        lock (_lock)
            return _allocator.Release(service);
    }

    /// <summary>Decides.</summary>
    public Outcome Decide(Service service)
    {
        var name = NamespacedName.Of(service);
        var current = ServiceStatusWriter.AddressesOf(service);
        var request = ServiceRequest.Of(service);
        if (request.Families.Count == 0)
        {
            Tell(service, name, "AllocationFailed", "it has no cluster address");
            return Keep(service, current, true);
        }
        if (request.Fault is { } fault)
        {
            // A request that cannot be understood takes nothing away.
            Tell(service, name, current.Count > 0 ? "LoadBalancerFailed" : "AllocationFailed", fault);
            lock (_lock)
                return Hold(service, name, request, current) ?? Keep(service, current, true);
        }
        lock (_lock)
        {
            return Choose(service, name, request, current) switch
            {
                AddressServiceSource source => Lease(service, name, request, source, current),
                _ => Allocate(service, name, request, current),
            };
        }
    }

    /// <summary>The address service that is to serve a Service; null for the pools.</summary>
    private AddressServiceSource? Choose(Service service, NamespacedName name, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        if (request.Pool is { } pool)
            return _config.Find(pool) as AddressServiceSource;
        if (request.Addresses.Count > 0)
        {
            // A pool first: it holds the address for certain. An address service only where it says so by its cidrs.
            if (_config.AddressPools.Any(candidate => request.Addresses.All(candidate.MayContain)))
                return null;
            return _config.AddressServices.FirstOrDefault(source => source.Cidrs.Count > 0 && request.Addresses.All(source.MayContain));
        }
        if (current.Count > 0 && _config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) is AddressServiceSource before)
            return before;
        // What it asked once it goes on asking, as long as nothing speaks against it.
        if (_config.AddressServices.FirstOrDefault(source => brokers.Find(source.Name)?.Serves(name) == true) is { } begun)
            return begun;
        if (_allocator.Get(name) is not null || _allocator.Allocate(name, request.Families, null) is null || !request.Families.Contains(AddressFamily.InterNetwork))
            return null;
        var usable = _config.AddressServices.Where(static source => source.AutoAssign).ToList();
        return usable.Find(source => brokers.Find(source.Name)?.IsReachable == true) ?? usable.FirstOrDefault();
    }

    private Outcome Allocate(Service service, NamespacedName name, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        string? refusal = null;
        var held = _allocator.Get(name);
        if (held is null && current.Count > 0 && _allocator.Adopt(name, current, null) is null)
            held = _allocator.Get(name);
        if (held is not null && !Fits(held, request))
        {
            // First what is asked for, then let go: what cannot be had costs nothing.
            refusal = request.Addresses.Count > 0 ? _allocator.Adopt(name, request.Addresses, request.Pool) : Move(name, held, request);
            if (refusal is not null && FamiliesOf(held.Addresses).SetEquals(request.Families))
            {
                Tell(service, name, "AllocationFailed", refusal);
                ReleaseLeases(name);
                return new Outcome(held.Addresses, held.Pool, null, false);
            }
        }
        else if (held is null)
        {
            refusal = request.Addresses.Count > 0
                ? _allocator.Adopt(name, request.Addresses, request.Pool)
                : _allocator.Allocate(name, request.Families, request.Pool);
        }

        if (refusal is not null)
        {
            _allocator.Release(name);
            if (Hold(service, name, request, current) is { } leased)
            {
                Tell(service, name, "AllocationFailed", refusal);
                return leased with { Satisfied = false };
            }
            Tell(service, name, current.Count > 0 ? "ClearAssignment" : "AllocationFailed", refusal);
            ReleaseLeases(name);
            return Outcome.Nothing(false);
        }
        var assignment = _allocator.Get(name)!;
        ReleaseLeases(name);
        if (!assignment.Addresses.SequenceEqual(current))
            TellAssigned(service, name, assignment.Addresses);
        else
            _told.TryRemove(name, out _);
        return new Outcome(assignment.Addresses, assignment.Pool, null, true);
    }

    /// <summary>Keeps the lease that a Service has while what it asks for is not to be had; null when it has none.</summary>
    private Outcome? Hold(Service service, NamespacedName name, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        if (current.Count == 0 || !request.Families.Contains(AddressFamily.InterNetwork)
            || _config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) is not AddressServiceSource source || !current.All(source.MayContain))
            return null;
        return Lease(service, name, request with { Pool = null, Addresses = [] }, source, current, quiet: true);
    }

    private string? Move(NamespacedName name, Assignment held, ServiceRequest request)
    {
        _allocator.Release(name);
        string? refusal = _allocator.Allocate(name, request.Families, request.Pool);
        if (refusal is not null && FamiliesOf(held.Addresses).SetEquals(request.Families))
            _allocator.Adopt(name, held.Addresses, held.Pool);
        return refusal;
    }

    private Outcome Lease(Service service, NamespacedName name, ServiceRequest request, AddressServiceSource source, IReadOnlyList<IPAddress> current,
        bool quiet = false)
    {
        bool ours = service.Metadata.Annotation(Annotations.AllocatedFromPool) == source.Name;
        if (brokers.Find(source.Name) is not { } broker)
            return Keep(service, current, false);
        if (request.Families is not [AddressFamily.InterNetwork] && !request.Families.Contains(AddressFamily.InterNetwork))
        {
            Tell(service, name, "AllocationFailed", $"address service \"{source.Name}\" leases IPv4 addresses only");
            return Keep(service, current, true);
        }
        foreach (var other in brokers.All.Where(other => other != broker))
            other.Release(name);

        // After a restart the address in the status is the one to ask for: the address service knows it, or gets it again.
        var named = request.Addresses is [var first, ..] ? first : null;
        var asked = named ?? (ours && current is [var held, ..] ? held : null);
        var lease = broker.Want(name, service.Metadata.Uid, named, asked);
        switch (lease.Phase)
        {
            case LeasePhase.Leased:
                _allocator.Release(name);
                IPAddress[] addresses = [lease.Address!];
                if (request.Addresses.Count > 0 && !request.Addresses.Contains(lease.Address!))
                    Tell(service, name, "AddressDiffers", $"asked for {request.Addresses[0]}, but DHCP gave {lease.Address} through \"{source.Name}\"");
                else if (!current.SequenceEqual(addresses))
                    TellAssigned(service, name, addresses);
                else if (!quiet)
                    _told.TryRemove(name, out _);
                return new Outcome(addresses, source.Name, lease.ValidUntil, true);
            case LeasePhase.Failed when asked is null || !ours:
                Tell(service, name, "AddressPending", $"waiting for an address from \"{source.Name}\": {lease.Cause}");
                return Keep(service, current, true);
            case LeasePhase.Failed when quiet:
                return Keep(service, current, true);
            case LeasePhase.Failed:
                Tell(service, name, "AddressUnconfirmed", $"the lease of {asked} cannot be confirmed by \"{source.Name}\": {lease.Cause}");
                return Keep(service, current, true);
            default:
                if (current.Count == 0)
                    Tell(service, name, "AddressPending", $"waiting for an address from \"{source.Name}\"", warning: false);
                return Keep(service, current, true);
        }
    }

    /// <summary>Leaves a Service what it has.</summary>
    private static Outcome Keep(Service service, IReadOnlyList<IPAddress> current, bool satisfied)
    {
        if (current.Count == 0)
            return Outcome.Nothing(satisfied);
        var validUntil = DateTimeOffset.TryParse(
            service.Metadata.Annotation(Annotations.ValidUntil), System.Globalization.CultureInfo.InvariantCulture,
            System.Globalization.DateTimeStyles.AssumeUniversal, out var end)
            ? end
            : (DateTimeOffset?)null;
        return new Outcome(current, service.Metadata.Annotation(Annotations.AllocatedFromPool), validUntil, satisfied);
    }

    private void ReleaseLeases(NamespacedName name)
    {
        foreach (var broker in brokers.All)
            broker.Release(name);
    }

    private static bool Fits(Assignment held, ServiceRequest request) =>
        (request.Pool is null || request.Pool == held.Pool)
        && (request.Addresses.Count == 0 || request.Addresses.ToHashSet().SetEquals(held.Addresses))
        && FamiliesOf(held.Addresses).SetEquals(request.Families);

    private static HashSet<AddressFamily> FamiliesOf(IReadOnlyList<IPAddress> addresses) => [.. addresses.Select(static address => address.AddressFamily)];

    private void TellAssigned(Service service, NamespacedName name, IReadOnlyList<IPAddress> addresses)
    {
        string message = $"Assigned IP [{string.Join(" ", addresses.Select(static address => $"\"{address}\""))}]";
        if (_told.TryGetValue(name, out var before) && before == message)
            return;
        _told[name] = message;
        events.Normal(service, "IPAllocated", message);
    }

    /// <summary>Tells once; again when something else is to be told.</summary>
    private void Tell(Service service, NamespacedName name, string reason, string message, bool warning = true)
    {
        string key = $"{reason} {message}";
        if (_told.TryGetValue(name, out var before) && before == key)
            return;
        _told[name] = key;
        if (warning)
            events.Warning(service, reason, message);
        else
            events.Normal(service, reason, message);
    }
}
