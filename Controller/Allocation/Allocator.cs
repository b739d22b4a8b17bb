using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.Allocation;

/// <summary>The addresses that a Service holds from a pool.</summary>
internal sealed record Assignment(string Pool, IReadOnlyList<IPAddress> Addresses)
{
    public bool Equals(Assignment? other) => other is not null && Pool == other.Pool && Addresses.SequenceEqual(other.Addresses);

    public override int GetHashCode() => HashCode.Combine(Pool, Addresses.Count);
}

/// <summary>
/// Which Service holds which address of which pool. Pure: no clock, no I/O, no randomness. Sources are tried in this order: those pinned to the Service by their priority, then those
/// that are for all; among equals pools before address services, each in the order of the configuration. Within a pool come its ranges in their order, within a range the lowest
/// address that is free or that may be shared: the same history gives the same addresses. What a Service holds it keeps whenever it is refused something else. Not thread-safe.
/// </summary>
internal sealed class Allocator
{
    private readonly Dictionary<NamespacedName, (Assignment Assignment, Applicant Applicant)> _held = [];
    private Dictionary<string, PoolState> _pools = [];
    private List<AddressSource> _pinned = [];
    private List<AddressSource> _open = [];
    private List<AddressSource> _all = [];
    private RangeState[] _ranges = [];

    /// <summary>Rises whenever something became free that others may be waiting for.</summary>
    public long Freed { get; private set; }

    /// <summary>Uses other sources from now on. Assignments that no pool covers any more are dropped: the Services that had them, and their addresses.</summary>
    public IReadOnlyList<(NamespacedName Service, IReadOnlyList<IPAddress> Addresses)> SetSources(IReadOnlyList<AddressPool> pools, IReadOnlyList<AddressServiceSource> services)
    {
        var before = _held.ToList();
        _held.Clear();
        _pools = pools.ToDictionary(static pool => pool.Name, static pool => new PoolState(pool));
        _all = [.. pools, .. services];
        // Stable sorts: what has the same rank stays in order.
        _pinned = [.. _all.Where(static source => source.Allocation is not null).OrderBy(static source => source.Allocation!.Rank)];
        _open = [.. _all.Where(static source => source.Allocation is null)];
        _ranges = [.. _pools.Values.SelectMany(static pool => pool.Ranges).OrderBy(static range => range.Range.Family).ThenBy(static range => range.Range.First)];
        Freed++;
        return
        [
            .. before.Where(entry => Assign(entry.Value.Applicant, entry.Value.Assignment.Addresses, null) is not null)
                .Select(static entry => (entry.Key, entry.Value.Assignment.Addresses)),
        ];
    }

    /// <summary>What a Service holds, or null.</summary>
    public Assignment? Get(NamespacedName service) => _held.TryGetValue(service, out var held) ? held.Assignment : null;

    /// <summary>Gives a Service the addresses named, all of one pool, in place of what it holds; what it holds already, after it or its pool changed. Null, or why not.</summary>
    /// <param name="applicant">The Service.</param>
    /// <param name="addresses">The addresses, at least one.</param>
    /// <param name="poolName">The pool they must be of, or null for whichever holds them.</param>
    public Refusal? Assign(Applicant applicant, IReadOnlyList<IPAddress> addresses, string? poolName)
    {
        string named = string.Join(", ", addresses);
        if (addresses.Count == 0 || RangeOf(addresses[0]) is not { } first)
            return new Refusal(RefusalReason.NoPoolContains, $"no pool contains {named}");
        var pool = first.Pool;
        var ranges = new RangeState[addresses.Count];
        for (int i = 0; i < addresses.Count; i++)
        {
            if (RangeOf(addresses[i]) is not { } range)
                return new Refusal(RefusalReason.NoPoolContains, $"no pool contains {addresses[i]}");
            if (range.Pool != pool)
                return new Refusal(RefusalReason.NotInOnePool, $"{named} are not all of one pool");
            if (range.IsAvoided(AddressRange.ToNumber(addresses[i])))
                return new Refusal(RefusalReason.NoPoolContains, $"{addresses[i]} ends in .0 or .255, which pool \"{pool.Source.Name}\" avoids");
            ranges[i] = range;
        }
        if (poolName is not null && pool.Source.Name != poolName)
            return new Refusal(RefusalReason.NotInRequestedPool, $"pool \"{poolName}\" does not contain {named}");
        if (!applicant.MayUse(pool.Source))
            return new Refusal(RefusalReason.NotPermitted, $"pool \"{pool.Source.Name}\" of {named} is not for \"{applicant.Name}\": its serviceAllocation does not match");
        for (int i = 0; i < addresses.Count; i++)
        {
            if (ranges[i].Check(addresses[i], applicant) is { } refusal)
                return refusal;
        }
        var assignment = new Assignment(pool.Source.Name, addresses);
        if (_held.TryGetValue(applicant.Name, out var held))
        {
            if (held.Assignment.Equals(assignment) && held.Applicant.Sharing == applicant.Sharing && held.Applicant.Ports.SequenceEqual(applicant.Ports))
            {
                _held[applicant.Name] = (assignment, applicant);
                return null;
            }
            Release(applicant.Name);
        }
        for (int i = 0; i < addresses.Count; i++)
            ranges[i].Take(addresses[i], applicant);
        _held[applicant.Name] = (assignment, applicant);
        // Whoever has a key may be what another with that key waits for.
        if (applicant.Sharing is not null)
            Freed++;
        return null;
    }

    /// <summary>Gives a Service free addresses, all of one source, in place of what it holds; or says which address service is to be asked.</summary>
    /// <param name="applicant">The Service.</param>
    /// <param name="wish">The families.</param>
    /// <param name="sourceName">The source asked for, which may be one that is not assigned automatically; null for any that is.</param>
    /// <param name="prefer">Whether an address service is in a state to be asked; one that is not is named only where nothing else is to be had.</param>
    public AllocationResult Allocate(Applicant applicant, FamilyWish wish, string? sourceName, Func<AddressServiceSource, bool> prefer)
    {
        if (sourceName is not null)
        {
            if (_all.Find(source => source.Name == sourceName) is not { } asked)
                return new AllocationResult(null, new Refusal(RefusalReason.UnknownPool, $"unknown pool \"{sourceName}\""));
            if (!applicant.MayUse(asked))
            {
                return new AllocationResult(
                    null, new Refusal(RefusalReason.NotPermitted, $"pool \"{sourceName}\" is not for \"{applicant.Name}\": its serviceAllocation does not match"));
            }
            return TryAll([asked], applicant, wish, static _ => true)
                ?? new AllocationResult(null, new Refusal(RefusalReason.PoolExhausted, $"no available IPs in pool \"{sourceName}\" for {wish}"));
        }
        var pinned = _pinned.Where(source => source.AutoAssign && applicant.MayUse(source)).ToList();
        var open = _open.Where(static source => source.AutoAssign).ToList();
        return TryAll(pinned, applicant, wish, prefer) ?? TryAll(open, applicant, wish, prefer)
            ?? TryAll(pinned, applicant, wish, static _ => true) ?? TryAll(open, applicant, wish, static _ => true)
            ?? new AllocationResult(null, new Refusal(RefusalReason.NothingAvailable, $"no available IPs in any pool for {wish}"));
    }

    /// <summary>Gives a Service that holds one address a second one, of the other family and the same pool. Null, or why not.</summary>
    public Refusal? Extend(Applicant applicant)
    {
        if (Get(applicant.Name) is not { Addresses: [var first] } held)
            return null;
        var family = first.AddressFamily == AddressFamily.InterNetwork ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;
        return _pools[held.Pool].FindLowest(family, applicant) is { } second
            ? Assign(applicant, [first, second], held.Pool)
            : new Refusal(RefusalReason.PoolExhausted, $"no available IPs in pool \"{held.Pool}\" for {FamilyWish.Single(family)}");
    }

    /// <summary>Takes back what a Service holds. Whether there was anything.</summary>
    public bool Release(NamespacedName service)
    {
        if (!_held.Remove(service, out var held))
            return false;
        foreach (var address in held.Assignment.Addresses)
            RangeOf(address)!.Return(address, service);
        Freed++;
        return true;
    }

    /// <summary>How the pools are used.</summary>
    public IReadOnlyList<PoolUse> Use() => [.. _pools.Values.Select(static pool => pool.Use)];

    private AllocationResult? TryAll(List<AddressSource> sources, Applicant applicant, FamilyWish wish, Func<AddressServiceSource, bool> prefer)
    {
        foreach (var families in wish.Alternatives)
        {
            foreach (var source in sources)
            {
                if (source is AddressServiceSource service)
                {
                    if (families.All(service.Leases) && prefer(service))
                        return new AllocationResult(service, null);
                    continue;
                }
                var pool = _pools[source.Name];
                var addresses = families.Select(family => pool.FindLowest(family, applicant)).OfType<IPAddress>().ToList();
                if (addresses.Count == families.Count && Assign(applicant, addresses, source.Name) is null)
                    return new AllocationResult(null, null);
            }
        }
        return null;
    }

    /// <summary>The range that an address is in: no two overlap.</summary>
    private RangeState? RangeOf(IPAddress address)
    {
        var number = AddressRange.ToNumber(address);
        int low = 0, high = _ranges.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            var range = _ranges[middle].Range;
            int order = range.Family != address.AddressFamily ? range.Family.CompareTo(address.AddressFamily) : number < range.First ? 1 : number > range.Last ? -1 : 0;
            if (order == 0)
                return _ranges[middle];
            if (order > 0)
                high = middle - 1;
            else
                low = middle + 1;
        }
        return null;
    }
}
