using System.Diagnostics.CodeAnalysis;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// The outstanding transaction ids of all clients on one transport: random, unique, 24 bits, and the way from a reply to its client.
/// Not thread-safe: it belongs to the loop that owns the clients.
/// </summary>
public sealed class Dhcp6TransactionIds(DhcpRandom random)
{
    private readonly Dictionary<uint, Dhcp6Client> _owners = [];

    /// <summary>Number of exchanges that await an answer.</summary>
    public int Count => _owners.Count;

    /// <summary>Finds the client that awaits a reply with this id.</summary>
    public bool TryFind(uint transactionId, [NotNullWhen(true)] out Dhcp6Client? client) => _owners.TryGetValue(transactionId, out client);

    internal uint Next()
    {
        uint id;
        do
        {
            id = random.NextUInt32() >> 8;
        }
        while (id == 0 || _owners.ContainsKey(id));
        return id;
    }

    internal uint Add(Dhcp6Client owner)
    {
        uint id = Next();
        _owners.Add(id, owner);
        return id;
    }

    internal void Remove(uint transactionId, Dhcp6Client owner)
    {
        if (_owners.TryGetValue(transactionId, out var current) && ReferenceEquals(current, owner))
            _owners.Remove(transactionId);
    }
}
