using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Addresses that other hosts were found to use. Some servers forget a DECLINE, or never learn of another's, and would offer them again to the next client.
/// Bounded; a new one replaces the oldest. It belongs to the loop.
/// </summary>
internal sealed class AvoidList
{
    /// <summary>Addresses kept.</summary>
    public const int Most = 1024;

    /// <summary>How long an address is avoided.</summary>
    public static readonly TimeSpan Lasts = TimeSpan.FromHours(1);

    private readonly Dictionary<LeaseAddress, (MacAddress Host, TimeSpan Until)> _items = [];

    /// <summary>How many are avoided.</summary>
    public int CountAt(TimeSpan now)
    {
        Forget(now);
        return _items.Count;
    }

    /// <summary>Takes down that a host uses an address.</summary>
    public void Add(LeaseAddress address, MacAddress host, TimeSpan now)
    {
        Forget(now);
        if (_items.Count >= Most && !_items.ContainsKey(address))
            _items.Remove(_items.MinBy(item => item.Value.Until).Key);
        _items[address] = (host, now + Lasts);
    }

    /// <summary>Whether an address is to be avoided, and because of whom.</summary>
    public bool TryFind(LeaseAddress address, TimeSpan now, out MacAddress host)
    {
        bool found = _items.TryGetValue(address, out var item) && item.Until > now;
        host = found ? item.Host : default;
        return found;
    }

    private void Forget(TimeSpan now)
    {
        foreach (var (address, item) in _items)
        {
            if (item.Until <= now)
                _items.Remove(address);
        }
    }
}
