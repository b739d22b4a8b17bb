namespace DynamicLb.Controller.Allocation;

/// <summary>
/// The addresses of one range that one group of Services shares, as a binary trie whose nodes count addresses and, for each port, addresses where it is taken. A subtree where a port
/// is taken everywhere is passed over, so that the lowest address with one port free is found in as many steps as the range has bits; with several ports, subtrees may be looked into in
/// vain where some are taken here and others there. Not thread-safe.
/// </summary>
/// <param name="bits">Bits of the offsets.</param>
internal sealed class SharedAddresses(int bits)
{
    private readonly Node _root = new();

    public bool IsEmpty => _root.Count == 0;

    /// <summary>Adds an address that is not there yet, with no port taken.</summary>
    public void Add(UInt128 offset) => Walk(offset, 1, [], 0);

    /// <summary>Removes an address all of whose ports are free.</summary>
    public void Remove(UInt128 offset)
    {
        Walk(offset, -1, [], 0);
        Prune(_root, offset, bits);
    }

    /// <summary>Takes free ports of an address.</summary>
    public void Take(UInt128 offset, IReadOnlyList<SharedPort> ports) => Walk(offset, 0, ports, 1);

    /// <summary>Frees ports of an address.</summary>
    public void Free(UInt128 offset, IReadOnlyList<SharedPort> ports) => Walk(offset, 0, ports, -1);

    /// <summary>The lowest address where none of the ports is taken; null when there is none.</summary>
    public UInt128? FindLowest(IReadOnlyList<SharedPort> ports) => Find(_root, bits, 0, ports);

    private static UInt128? Find(Node? node, int depth, UInt128 offset, IReadOnlyList<SharedPort> ports)
    {
        if (node is null || node.Count == 0)
            return null;
        foreach (var port in ports)
        {
            if (node.Taken.TryGetValue(port, out int taken) && taken == node.Count)
                return null;
        }
        if (depth == 0)
            return offset;
        return Find(node.Low, depth - 1, offset, ports) ?? Find(node.High, depth - 1, offset | (UInt128.One << (depth - 1)), ports);
    }

    private void Walk(UInt128 offset, int addresses, IReadOnlyList<SharedPort> ports, int change)
    {
        var node = _root;
        for (int depth = bits; ; depth--)
        {
            node.Count += addresses;
            foreach (var port in ports)
            {
                int taken = node.Taken.GetValueOrDefault(port) + change;
                if (taken == 0)
                    node.Taken.Remove(port);
                else
                    node.Taken[port] = taken;
            }
            if (depth == 0)
                return;
            node = (offset & (UInt128.One << (depth - 1))) == 0 ? node.Low ??= new Node() : node.High ??= new Node();
        }
    }

    private static void Prune(Node node, UInt128 offset, int depth)
    {
        if (depth == 0)
            return;
        bool isLow = (offset & (UInt128.One << (depth - 1))) == 0;
        if ((isLow ? node.Low : node.High) is not { } child)
            return;
        if (child.Count > 0)
            Prune(child, offset, depth - 1);
        else if (isLow)
            node.Low = null;
        else
            node.High = null;
    }

    private sealed class Node
    {
        public Node? Low;
        public Node? High;
        public int Count;
        public readonly Dictionary<SharedPort, int> Taken = [];
    }
}
