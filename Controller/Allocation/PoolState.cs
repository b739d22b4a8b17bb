using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;

namespace DynamicLb.Controller.Allocation;

/// <summary>How a pool is used. Counts of 2^62 and more are <see cref="long.MaxValue"/>.</summary>
/// <param name="Pool">The pool.</param>
/// <param name="TotalIPv4">IPv4 addresses that it can give.</param>
/// <param name="TotalIPv6">IPv6 addresses that it can give.</param>
/// <param name="InUseIPv4">IPv4 addresses in use; one that Services share counts once.</param>
/// <param name="InUseIPv6">IPv6 addresses in use.</param>
internal readonly record struct PoolUse(string Pool, long TotalIPv4, long TotalIPv6, long InUseIPv4, long InUseIPv6)
{
    public long Total => PoolState.Saturate((UInt128)TotalIPv4 + (UInt128)TotalIPv6);

    public long InUse => InUseIPv4 + InUseIPv6;
}

/// <summary>The addresses of a pool: its ranges, and who has what in them. Not thread-safe.</summary>
internal sealed class PoolState
{
    private static readonly UInt128 Huge = UInt128.One << 62;

    private readonly long _totalV4;
    private readonly long _totalV6;
    private long _inUseV4;
    private long _inUseV6;

    public PoolState(AddressPool source)
    {
        Source = source;
        Ranges = [.. source.Ranges.Select(range => new RangeState(this, range))];
        _totalV4 = Count(AddressFamily.InterNetwork);
        _totalV6 = Count(AddressFamily.InterNetworkV6);
    }

    public AddressPool Source { get; }

    public IReadOnlyList<RangeState> Ranges { get; }

    public PoolUse Use => new(Source.Name, _totalV4, _totalV6, _inUseV4, _inUseV6);

    public static long Saturate(UInt128 count) => count >= Huge ? long.MaxValue : (long)count;

    /// <summary>The address to give next: range by range, the lowest that is free or that may be shared.</summary>
    public IPAddress? FindLowest(AddressFamily family, Applicant applicant)
    {
        foreach (var range in Ranges)
        {
            if (range.Range.Family == family && range.FindLowest(applicant) is { } address)
                return address;
        }
        return null;
    }

    public void CountUse(AddressFamily family, int change)
    {
        if (family == AddressFamily.InterNetwork)
            _inUseV4 += change;
        else
            _inUseV6 += change;
    }

    private long Count(AddressFamily family)
    {
        UInt128 sum = 0;
        foreach (var range in Source.Ranges.Where(range => range.Family == family))
        {
            if (range.Last - range.First >= Huge - 1)
                return long.MaxValue;
            sum += range.Last - range.First + 1;
            if (!Source.AvoidBuggyIPs || family != AddressFamily.InterNetwork)
                continue;
            // Those that end in .0, and those that end in .255.
            sum -= range.First == 0 ? (range.Last / 256) + 1 : (range.Last / 256) - ((range.First - 1) / 256);
            sum -= ((range.Last + 1) / 256) - (range.First / 256);
        }
        return Saturate(sum);
    }
}

/// <summary>One range of a pool. Finding, taking and giving back cost O(log n) in its size and in the number of Services. Not thread-safe.</summary>
internal sealed class RangeState(PoolState pool, AddressRange range)
{
    private readonly FreeAddresses _free = new(range, pool.Source.AvoidBuggyIPs);
    private readonly Dictionary<UInt128, AddressUse> _uses = [];
    private readonly Dictionary<SharingGroup, SharedAddresses> _shared = [];

    public PoolState Pool => pool;

    public AddressRange Range => range;

    public bool IsAvoided(UInt128 address) => _free.IsAvoided(address);

    public IPAddress? FindLowest(Applicant applicant)
    {
        var lowest = _free.Lowest;
        if (applicant.Sharing is { } group && _shared.TryGetValue(group, out var shared) && shared.FindLowest(applicant.Ports) is { } offset
            && (lowest is null || range.First + offset < lowest))
            lowest = range.First + offset;
        return lowest is { } number ? AddressRange.ToAddress(range.Family, number) : null;
    }

    /// <summary>Null when the applicant can have an address, else why not. What it has itself does not stand in its way.</summary>
    public Refusal? Check(IPAddress address, Applicant applicant)
    {
        if (!_uses.TryGetValue(AddressRange.ToNumber(address), out var use) || use.IsOnlyOf(applicant.Name))
            return null;
        if (applicant.Sharing is null || use.Group != applicant.Sharing)
            return new Refusal(RefusalReason.InUse, $"can't change sharing key for \"{applicant.Name}\", address {address} also in use by {use.Others(applicant.Name)}");
        foreach (var port in applicant.Ports)
        {
            if (use.Ports.TryGetValue(port, out var owner) && owner != applicant.Name)
                return new Refusal(RefusalReason.PortInUse, $"port {port} is already in use on \"{address}\" by \"{owner}\"");
        }
        return null;
    }

    /// <summary>Gives an address that <see cref="Check"/> has nothing against.</summary>
    public void Take(IPAddress address, Applicant applicant)
    {
        var number = AddressRange.ToNumber(address);
        if (!_uses.TryGetValue(number, out var use))
        {
            _free.Take(number);
            pool.CountUse(range.Family, 1);
            use = new AddressUse(applicant.Sharing);
            _uses[number] = use;
            if (applicant.Sharing is { } group)
            {
                if (!_shared.TryGetValue(group, out var added))
                    _shared[group] = added = new SharedAddresses(Bits(range.Last - range.First));
                added.Add(number - range.First);
            }
        }
        use.Add(applicant);
        if (applicant.Sharing is not { } own)
            return;
        foreach (var port in applicant.Ports)
            use.Ports[port] = applicant.Name;
        _shared[own].Take(number - range.First, applicant.Ports);
    }

    /// <summary>Takes an address back from an owner.</summary>
    public void Return(IPAddress address, NamespacedName owner)
    {
        var number = AddressRange.ToNumber(address);
        var use = _uses[number];
        var applicant = use.Remove(owner);
        if (use.Group is { } group)
        {
            foreach (var port in applicant.Ports)
                use.Ports.Remove(port);
            _shared[group].Free(number - range.First, applicant.Ports);
        }
        if (use.HasOwner)
            return;
        _uses.Remove(number);
        _free.Return(number);
        pool.CountUse(range.Family, -1);
        if (use.Group is not { } last)
            return;
        _shared[last].Remove(number - range.First);
        if (_shared[last].IsEmpty)
            _shared.Remove(last);
    }

    private static int Bits(UInt128 largest) => 128 - (int)UInt128.LeadingZeroCount(largest);

    /// <summary>Who has an address, and which of its ports. Most addresses are not shared, and there is one of these for each: they take no tables.</summary>
    private sealed class AddressUse(SharingGroup? group)
    {
        private readonly Dictionary<NamespacedName, Applicant>? _owners = group is null ? null : [];
        private Applicant? _only;

        public SharingGroup? Group => group;

        public Dictionary<SharedPort, NamespacedName> Ports { get; } = group is null ? NoPorts : [];

        public bool HasOwner => _only is not null || _owners is { Count: > 0 };

        public bool IsOnlyOf(NamespacedName name) => _owners is null ? _only?.Name == name : _owners.Count == 1 && _owners.ContainsKey(name);

        public void Add(Applicant applicant)
        {
            if (_owners is null)
                _only = applicant;
            else
                _owners[applicant.Name] = applicant;
        }

        /// <summary>Takes it from an owner.</summary>
        public Applicant Remove(NamespacedName owner)
        {
            Applicant? applicant = _only;
            _only = null;
            _owners?.Remove(owner, out applicant);
            return applicant!;
        }

        public string Others(NamespacedName but) => string.Join(
            ", ", (_owners?.Keys ?? (IEnumerable<NamespacedName>)[_only!.Name]).Where(owner => owner != but).Select(static owner => owner.ToString()).Order(StringComparer.Ordinal).Take(10));

        private static readonly Dictionary<SharedPort, NamespacedName> NoPorts = [];
    }
}
