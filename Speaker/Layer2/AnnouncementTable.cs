using System.Collections.Frozen;
using System.Net;
using DynamicLb.Kubernetes;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>An address that we answer for.</summary>
/// <param name="Address">The address.</param>
/// <param name="ValidUntil">When the entitlement ends; null for never.</param>
/// <param name="Label">The address as text, made once for the metrics.</param>
internal sealed record Announced(IPv4Address Address, DateTimeOffset? ValidUntil, string Label)
{
    public bool IsValid(DateTimeOffset now) => ValidUntil is not { } end || now < end;
}

/// <summary>
/// The addresses that we answer for. One loop writes, everybody reads: readers take the whole table at once, so a packet is answered without a lock.
/// </summary>
internal sealed class AnnouncementTable
{
    private readonly Dictionary<NamespacedName, IReadOnlyList<Announced>> _byService = [];
    private volatile FrozenDictionary<IPv4Address, Announced> _byAddress = FrozenDictionary<IPv4Address, Announced>.Empty;

    /// <summary>The addresses now. Thread-safe.</summary>
    public FrozenDictionary<IPv4Address, Announced> Snapshot => _byAddress;

    /// <summary>Sets what is announced for a Service. Those that are new, for which neighbours need to be told.</summary>
    public IReadOnlyList<Announced> Set(NamespacedName service, IReadOnlyList<IPAddress> addresses, DateTimeOffset? validUntil)
    {
        var before = _byAddress;
        var wanted = new List<Announced>();
        foreach (var address in addresses)
        {
            if (IPv4Address.TryFrom(address, out var ipv4))
                wanted.Add(new Announced(ipv4, validUntil, ipv4.ToString()));
        }
        if (_byService.TryGetValue(service, out var current) ? current.SequenceEqual(wanted) : wanted.Count == 0)
            return [];
        if (wanted.Count == 0)
            _byService.Remove(service);
        else
            _byService[service] = wanted;

        // Several Services may share an address: it is announced as long as the longest of them may.
        var table = new Dictionary<IPv4Address, Announced>();
        foreach (var announced in _byService.Values.SelectMany(static list => list))
        {
            if (!table.TryGetValue(announced.Address, out var other) || (other.ValidUntil is { } end && (announced.ValidUntil is not { } later || later > end)))
                table[announced.Address] = announced;
        }
        _byAddress = table.ToFrozenDictionary();
        return [.. wanted.Where(announced => !before.ContainsKey(announced.Address))];
    }
}
