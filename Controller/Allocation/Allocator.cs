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

/// <summary>How a pool is used.</summary>
internal readonly record struct PoolUse(string Pool, double Total, int InUse);

/// <summary>
/// Which Service holds which address of which pool. Pure: no clock, no I/O. Pools are tried in the order of the configuration, within a pool its ranges in their order, within
/// a range the lowest free address first, so the same history gives the same addresses. Not thread-safe.
/// </summary>
internal sealed class Allocator
{
    private readonly Dictionary<NamespacedName, Assignment> _assignments = [];
    private readonly Dictionary<IPAddress, NamespacedName> _owners = [];
    private List<Pool> _pools = [];

    /// <summary>Uses other pools from now on. Assignments that no pool covers any more are dropped; the Services that had them.</summary>
    public IReadOnlyList<NamespacedName> SetPools(IReadOnlyList<AddressPool> pools)
    {
        var before = _assignments.ToList();
        _assignments.Clear();
        _owners.Clear();
        _pools = [.. pools.Select(static pool => new Pool(pool))];
        return [.. before.Where(entry => Adopt(entry.Key, entry.Value.Addresses, null) is not null).Select(static entry => entry.Key)];
    }

    /// <summary>What a Service holds, or null.</summary>
    public Assignment? Get(NamespacedName service) => _assignments.GetValueOrDefault(service);

    /// <summary>Gives a Service the addresses named, all of one pool. Null, or why not; what it held before stays on refusal.</summary>
    /// <param name="service">The Service.</param>
    /// <param name="addresses">The addresses.</param>
    /// <param name="poolName">The pool they must be of, or null for whichever holds them.</param>
    public string? Adopt(NamespacedName service, IReadOnlyList<IPAddress> addresses, string? poolName)
    {
        var pool = _pools.Find(candidate => (poolName is null || candidate.Source.Name == poolName) && addresses.All(candidate.Source.MayContain));
        if (pool is null)
            return poolName is null ? $"no pool contains {string.Join(", ", addresses)}" : $"pool \"{poolName}\" does not contain {string.Join(", ", addresses)}";
        foreach (var address in addresses)
        {
            if (_owners.TryGetValue(address, out var owner) && owner != service)
                return $"{address} is already used by \"{owner}\"";
            if (pool.IsAvoided(address))
                return $"{address} ends in .0 or .255, which pool \"{pool.Source.Name}\" avoids";
        }
        Release(service);
        foreach (var address in addresses)
        {
            pool.Take(address);
            _owners[address] = service;
        }
        _assignments[service] = new Assignment(pool.Source.Name, addresses);
        return null;
    }

    /// <summary>Gives a Service free addresses, one for each family, all of one pool. Null, or why not.</summary>
    /// <param name="service">The Service; it must hold nothing.</param>
    /// <param name="families">The families, in the order in which the addresses are wanted.</param>
    /// <param name="poolName">The pool asked for, which may be one that is not assigned automatically; null for any that is.</param>
    public string? Allocate(NamespacedName service, IReadOnlyList<AddressFamily> families, string? poolName)
    {
        foreach (var pool in _pools)
        {
            if (poolName is null ? !pool.Source.AutoAssign : pool.Source.Name != poolName)
                continue;
            var taken = new List<IPAddress>();
            foreach (var family in families)
            {
                if (pool.TakeLowest(family) is { } address)
                    taken.Add(address);
            }
            if (taken.Count == families.Count)
            {
                foreach (var address in taken)
                    _owners[address] = service;
                _assignments[service] = new Assignment(pool.Source.Name, taken);
                return null;
            }
            taken.ForEach(pool.Return);
            if (poolName is not null)
                return $"no available IPs in pool \"{poolName}\" for {Describe(families)}";
        }
        return poolName is not null ? $"unknown pool \"{poolName}\"" : $"no available IPs in any pool for {Describe(families)}";
    }

    /// <summary>Takes back what a Service holds. Whether there was anything.</summary>
    public bool Release(NamespacedName service)
    {
        if (!_assignments.Remove(service, out var assignment))
            return false;
        var pool = _pools.Find(candidate => candidate.Source.Name == assignment.Pool);
        foreach (var address in assignment.Addresses)
        {
            _owners.Remove(address);
            pool?.Return(address);
        }
        return true;
    }

    /// <summary>How the pools are used.</summary>
    public IReadOnlyList<PoolUse> Use() => [.. _pools.Select(static pool => new PoolUse(pool.Source.Name, pool.Total, pool.InUse))];

    private static string Describe(IReadOnlyList<AddressFamily> families) =>
        string.Join(" and ", families.Select(static family => family == AddressFamily.InterNetwork ? "IPv4" : "IPv6"));

    private sealed class Pool(AddressPool source)
    {
        private readonly List<FreeAddresses> _ranges = [.. source.Ranges.Select(range => new FreeAddresses(range, source.AvoidBuggyIPs))];

        public AddressPool Source => source;

        public int InUse { get; private set; }

        public double Total => source.Ranges.Sum(static range => (double)(range.Last - range.First) + 1);

        public bool IsAvoided(IPAddress address) => RangeOf(address)?.IsAvoided(AddressRange.ToNumber(address)) == true;

        public IPAddress? TakeLowest(AddressFamily family)
        {
            foreach (var range in _ranges)
            {
                if (range.Range.Family == family && range.TakeLowest() is { } number)
                {
                    InUse++;
                    return AddressRange.ToAddress(family, number);
                }
            }
            return null;
        }

        public void Take(IPAddress address)
        {
            if (RangeOf(address)?.Take(AddressRange.ToNumber(address)) == true)
                InUse++;
        }

        public void Return(IPAddress address)
        {
            RangeOf(address)?.Return(AddressRange.ToNumber(address));
            InUse--;
        }

        private FreeAddresses? RangeOf(IPAddress address) => _ranges.Find(range => range.Range.Contains(address));
    }
}
