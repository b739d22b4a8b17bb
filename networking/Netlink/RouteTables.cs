using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Netlink;

/// <summary>What dumps have told so far. Not thread-safe.</summary>
internal sealed class RouteTables
{
    private readonly Dictionary<int, InterfaceState> _links = [];
    private readonly Dictionary<int, List<InterfaceAddress>> _addresses = [];
    private readonly Dictionary<int, List<IPv6Network>> _networks = [];

    public void Add(InterfaceState link) => _links[link.Link.Index] = link;

    public void Add(int index, InterfaceAddress address) => ListOf(_addresses, index).Add(address);

    public void Add(int index, IPv6Network network)
    {
        var networks = ListOf(_networks, index);
        // An interface has several addresses in a network: one by its MAC, temporary ones (RFC 8981).
        if (!networks.Contains(network))
            networks.Add(network);
    }

    /// <summary>The interfaces with their addresses, by index.</summary>
    public IReadOnlyList<InterfaceState> ToStates() =>
        [.. _links.Values.OrderBy(static link => link.Link.Index).Select(link => link with { Addresses = Of(_addresses, link), IPv6Networks = Of(_networks, link) })];

    private static List<T> ListOf<T>(Dictionary<int, List<T>> table, int index) => table.TryGetValue(index, out var list) ? list : table[index] = [];

    private static List<T> Of<T>(Dictionary<int, List<T>> table, InterfaceState link) => table.TryGetValue(link.Link.Index, out var list) ? list : [];
}
