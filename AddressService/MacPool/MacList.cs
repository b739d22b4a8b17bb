using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.MacPool;

/// <summary>The MACs that were given to us to use, in order. It belongs to the loop that owns the leases.</summary>
internal sealed class MacList
{
    private readonly List<MacAddress> _order = [];
    private readonly HashSet<MacAddress> _members = [];

    public int Count => _order.Count;

    public IReadOnlyList<MacAddress> Items => _order;

    public bool Contains(MacAddress mac) => _members.Contains(mac);

    public bool Add(MacAddress mac)
    {
        if (!_members.Add(mac))
            return false;
        _order.Add(mac);
        return true;
    }

    public bool Remove(MacAddress mac) => _members.Remove(mac) && _order.Remove(mac);

    /// <summary>Parses a MAC that a station may have.</summary>
    /// <returns>Null, or why it is refused.</returns>
    public static string? Parse(string? text, out MacAddress mac)
    {
        if (!MacAddress.TryParse(text, out mac))
            return "malformed: six octets, separated by ':', '-' or '.', or three groups of four digits, separated by '.'";
        return mac == MacAddress.Zero ? "all zero" : mac.IsMulticast ? "multicast: the lowest bit of the first octet is set" : null;
    }
}
