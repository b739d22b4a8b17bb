using System.Diagnostics.CodeAnalysis;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// The outstanding transaction ids (<c>xid</c>) of all clients on one transport: random, unique, and the way from a reply to its client.
/// Not thread-safe: it belongs to the loop that owns the clients.
/// </summary>
public sealed class TransactionIds(DhcpRandom random)
{
    private readonly Dictionary<uint, DhcpClient> _owners = [];

    /// <summary>
    /// Number of exchanges that await an answer. A server's socket buffer holds some 166 messages and slow servers answer 25 a second, so an
    /// owner that begins no new exchange above 64 gets its leases sooner than one that does.
    /// </summary>
    public int Count => _owners.Count;

    /// <summary>Finds the client that awaits a reply with this id.</summary>
    public bool TryFind(uint transactionId, [NotNullWhen(true)] out DhcpClient? client) => _owners.TryGetValue(transactionId, out client);

    /// <summary>A fresh id for a message that no answer comes to, such as a RELEASE.</summary>
    internal uint Next()
    {
        uint id;
        do
        {
            id = random.NextUInt32();
        }
        while (id == 0 || _owners.ContainsKey(id));
        return id;
    }

    /// <summary>A fresh id that leads to <paramref name="owner"/> until <see cref="Remove"/>.</summary>
    internal uint Add(DhcpClient owner)
    {
        uint id = Next();
        _owners.Add(id, owner);
        return id;
    }

    /// <summary>Ends an exchange of <paramref name="owner"/>: late answers to it find no client.</summary>
    internal void Remove(uint transactionId, DhcpClient owner)
    {
        if (_owners.TryGetValue(transactionId, out var current) && ReferenceEquals(current, owner))
            _owners.Remove(transactionId);
    }
}
