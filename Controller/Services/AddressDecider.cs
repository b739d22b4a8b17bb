using System.Collections.Concurrent;
using System.Net;
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
    /// <summary>The lease that it goes by, where that is not the one under its own name (<see cref="Annotations.Lease"/>).</summary>
    public string? Lease { get; init; }

    /// <summary>What it lost and is not replaced (<see cref="Annotations.FailedLease"/>).</summary>
    public string? FailedLease { get; init; }

    /// <summary>The MACs of leases that its addresses are announced with (<see cref="Annotations.LeaseMacs"/>).</summary>
    public string? LeaseMacs { get; init; }

    /// <summary>Why it was lost, in words.</summary>
    public string? Cause { get; init; }

    /// <summary>When to look at it again although nothing happened; null for no such time.</summary>
    public DateTimeOffset? LookAgain { get; init; }

    public static Outcome Nothing(bool satisfied) => new([], null, null, satisfied);
}

/// <summary>Labels of namespaces, by which pools are pinned.</summary>
/// <param name="namespace">The namespace; null from one that is not known (yet).</param>
internal delegate IReadOnlyDictionary<string, string>? NamespaceLabels(string @namespace);

/// <summary>
/// Decides the addresses of a Service from what it asks for, what it has, the pools and the address services. It only decides: no call here waits for anybody, and deciding twice comes
/// to the same. Thread-safe: one decision at a time, under a lock that is never held over I/O.
/// </summary>
internal sealed partial class AddressDecider(LeaseBrokers brokers, NamespaceLabels namespaces, IEventRecorder events, TimeProvider time, ILogger<AddressDecider>? logger = null)
{
    private readonly Lock _lock = new();
    private Allocator _allocator = new();

    // What Services had by our decision when a configuration took it away: a status that was written a moment ago may not have come back yet.
    private readonly Dictionary<NamespacedName, IReadOnlyList<IPAddress>> _displaced = [];
    private readonly ConcurrentDictionary<(NamespacedName Service, string Slot), int> _told = new();
    private LoadBalancerConfig _config = LoadBalancerConfig.Empty;

    /// <summary>How the pools are used.</summary>
    public IReadOnlyList<PoolUse> PoolUse
    {
        get { lock (_lock) return _allocator.Use(); }
    }

    /// <summary>Rises whenever something became free that others may be waiting for.</summary>
    public long Freed
    {
        get { lock (_lock) return _allocator.Freed; }
    }

    /// <summary>Forgets everything, as at a start: a leader in between has decided since.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _allocator = new Allocator();
            _holders = new LeaseHolders();
            _trials.Clear();
            _refused.Clear();
            _unable.Clear();
            _displaced.Clear();
            _told.Clear();
            _config = LoadBalancerConfig.Empty;
        }
    }

    /// <summary>Uses another configuration; and takes up, before anything is given out, what Services have already.</summary>
    public void Configure(LoadBalancerConfig config, IEnumerable<Service> assigned)
    {
        lock (_lock)
        {
            _config = config;
            foreach (var (service, addresses) in _allocator.SetSources(config.AddressPools, config.AddressServices))
                _displaced[service] = addresses;
            var names = config.AddressServices.Select(static source => source.Name).ToHashSet();
            _holders.Keep(names);
            foreach (var (name, trial) in _trials.Where(trial => !names.Contains(trial.Value.Source)).ToList())
                _trials.Remove(name);
            // Those with more addresses first, as MetalLB does: a second holder of an address has to look for another.
            foreach (var service in assigned.OrderByDescending(static service => ServiceStatusWriter.AddressesOf(service).Count))
            {
                var name = NamespacedName.Of(service);
                if ((LeasedFrom(service) ?? FailedLeases(service).Source) is { } source)
                    TakeUp(service, source);
                else if (_allocator.Get(name) is null)
                    _allocator.Assign(ApplicantOf(service), _displaced.GetValueOrDefault(name) ?? ServiceStatusWriter.AddressesOf(service), null);
            }
        }
    }

    /// <summary>Takes back whatever a Service has.</summary>
    public void Forget(NamespacedName service)
    {
        Forgive(service);
        ReleaseLeases(service);
        lock (_lock)
        {
            _displaced.Remove(service);
            _allocator.Release(service);
        }
    }

    /// <summary>Decides.</summary>
    public Outcome Decide(Service service)
    {
        var name = NamespacedName.Of(service);
        var current = ServiceStatusWriter.AddressesOf(service);
        var request = ServiceRequest.Of(service);
        if (_config.AddressPools.Count == 0 && _config.AddressServices.Count == 0)
        {
            // Nothing is configured: nothing is given, and nobody is told. What a source gave that is only refused stays.
            Forget(name);
            return IsOfRefusedSource(service) ? Keep(service, current, true) : Outcome.Nothing(true);
        }
        if (request.Families.Count == 0)
        {
            TellFailed(service, name, "it has no cluster address");
            return Keep(service, current, true);
        }
        if (request.Wish is null)
        {
            Tell(service, name, "not enough clusterips", $"ipFamilyPolicy RequireDualStack needs cluster addresses of both families, there is only {service.Spec.ClusterIP}");
            ReleaseLeases(name);
            lock (_lock)
                _allocator.Release(name);
            return Outcome.Nothing(true);
        }
        var applicant = ApplicantOf(service);
        lock (_lock)
        {
            if (request.Fault is { } fault)
            {
                // A request that cannot be understood takes nothing away; what was sought for the one before is wanted no more.
                DropTrial(name);
                if (current.Count > 0)
                    Tell(service, name, "LoadBalancerFailed", fault);
                else
                    TellFailed(service, name, fault);
                return HoldLease(service, applicant, request, current) ?? Keep(service, current, true);
            }
            if (_config.RefusedSources.Contains(request.Pool ?? "") || (current.Count > 0 && request.Pool is null && IsOfRefusedSource(service)))
            {
                if (request.Pool is not null)
                    TellFailed(service, name, $"pool \"{request.Pool}\" has faults");
                return Keep(service, current, false);
            }
            var source = ServiceFor(service, applicant, request, current);
            if (source is not null && Sought(service, applicant, request, source, current) is { } sought)
                return Try(service, applicant, request, source, current, sought);
            DropTrial(name);
            _displaced.Remove(name, out var displaced);
            return source is not null
                ? Lease(service, applicant, request, source, current)
                : Allocate(service, applicant, request, displaced ?? current);
        }
    }

    private Outcome Allocate(Service service, Applicant applicant, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        var name = applicant.Name;
        var (held, cleared) = Confirm(service, applicant, request, current);
        var result = default(AllocationResult);
        if (held is null || !Fits(held, request))
        {
            // First what is asked for, then let go: what cannot be had costs nothing.
            result = Obtain(applicant, request);
            if (result.Refusal is { } refusal)
            {
                if (held is not null)
                {
                    TellFailed(service, name, refusal.Message);
                    ReleaseLeases(name);
                    return new Outcome(held.Addresses, held.Pool, null, false);
                }
                if (cleared is null && HoldLease(service, applicant, request, current) is { } leased)
                {
                    TellFailed(service, name, refusal.Message);
                    return leased with { Satisfied = false };
                }
                TellFailed(service, name, refusal.Message);
                ReleaseLeases(name);
                return Outcome.Nothing(false);
            }
            if (result.AddressService is { } source)
                return Lease(service, applicant, request, source, cleared is null ? current : []);
        }
        ReleaseLeases(name);
        bool told = Extend(service, applicant, request);
        var assignment = _allocator.Get(name)!;
        if (!told && !assignment.Addresses.SequenceEqual(current))
            TellAssigned(service, name, assignment.Addresses);
        else if (!told)
            Forgive(name);
        return new Outcome(assignment.Addresses, assignment.Pool, null, true);
    }

    /// <summary>What a Service holds from a pool, if it still may; else why it must let go of it.</summary>
    private (Assignment? Held, string? Cleared) Confirm(Service service, Applicant applicant, ServiceRequest request, IReadOnlyList<IPAddress> current)
    {
        var name = applicant.Name;
        var before = _allocator.Get(name)?.Addresses ?? current;
        if (before.Count == 0)
            return (null, null);
        string? cleared = _allocator.Assign(applicant, before, null)?.Message;
        if (cleared is null && !request.Accepts(before))
            cleared = $"the families of {string.Join(", ", before)} are not those that it may have: {request.Wish}";
        if (cleared is null)
            return (_allocator.Get(name), null);
        _allocator.Release(name);
        if (_config.Find(service.Metadata.Annotation(Annotations.AllocatedFromPool)) is AddressServiceSource source && applicant.MayUse(source))
            return (null, null);
        Tell(service, name, "ClearAssignment", $"current IP of \"{name}\" is not acceptable any more, a new one will be attempted: {cleared}", warning: false);
        return (null, cleared);
    }

    private AllocationResult Obtain(Applicant applicant, ServiceRequest request) => request.Addresses.Count > 0
        ? new AllocationResult(null, _allocator.Assign(applicant, request.Addresses, request.Pool))
        : _allocator.Allocate(applicant, request.Wish!, request.Pool, source => brokers.Find(source.Name)?.IsReachable == true);

    /// <summary>A Service that would have addresses of both families, and had one, gets the second when its pool has one. Whether there was something to tell.</summary>
    private bool Extend(Service service, Applicant applicant, ServiceRequest request)
    {
        if (request.Addresses.Count > 0 || request.Wish!.Alternatives is not [{ Count: 2 }, ..] || _allocator.Get(applicant.Name) is not { Addresses.Count: 1 } held)
            return false;
        if (_allocator.Extend(applicant) is { } refusal)
            Tell(service, applicant.Name, "AdditionalAssignFailed", refusal.Message, warning: false);
        else
            Tell(service, applicant.Name, "IPAllocated", $"Assigned additional IP \"{_allocator.Get(applicant.Name)!.Addresses.Except(held.Addresses).First()}\"", warning: false);
        return true;
    }

    private static bool Fits(Assignment held, ServiceRequest request) =>
        (request.Pool is null || request.Pool == held.Pool)
        && (request.Addresses.Count == 0 || request.Addresses.ToHashSet().SetEquals(held.Addresses));

    private bool IsOfRefusedSource(Service service) => _config.RefusedSources.Contains(service.Metadata.Annotation(Annotations.AllocatedFromPool) ?? "");

    private Applicant ApplicantOf(Service service) => ServiceRequest.ApplicantOf(service, namespaces(service.Metadata.Namespace ?? ""));
}
