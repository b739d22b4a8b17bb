using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>A scripted DHCPv6 server without a network: <see cref="Handle"/> takes a client's message and returns the answer, or null for silence.</summary>
internal sealed class FakeDhcp6Server
{
    public static readonly IPv6Address Address = IPv6Address.Parse("fe80::fe");

    private ulong _next;

    public Dhcp6Duid Id { get; } = Dhcp6Duid.FromUuid(new Guid("00000000-0000-0000-0000-0000000000fe"));

    public IPv6Address First { get; init; } = IPv6Address.Parse("fd77::1:0");

    public int Size { get; set; } = 256;

    public uint Preferred { get; set; } = 300;

    public uint Valid { get; set; } = 600;

    public bool IsSilent { get; set; }

    /// <summary>The leases by client.</summary>
    public Dictionary<Dhcp6Duid, IPv6Address> Leases { get; } = [];

    public HashSet<IPv6Address> Declined { get; } = [];

    public List<Dhcp6Message> Received { get; } = [];

    public int Count(Dhcp6MessageType type) => Received.Count(message => message.Type == type);

    public Dhcp6Message? Handle(Dhcp6Message question)
    {
        Received.Add(question);
        if (IsSilent || (!question.ServerId.IsEmpty && question.ServerId != Id))
            return null;
        var reply = new Dhcp6Message
        {
            Type = question.Type == Dhcp6MessageType.Solicit ? Dhcp6MessageType.Advertise : Dhcp6MessageType.Reply,
            TransactionId = question.TransactionId,
            ClientId = question.ClientId,
            ServerId = Id,
        };
        IPv6Address? asked = question.Associations is [{ Addresses: [var wanted, ..] }] ? wanted.Address : null;
        switch (question.Type)
        {
            case Dhcp6MessageType.Release:
                Leases.Remove(question.ClientId);
                return reply;
            case Dhcp6MessageType.Decline:
                Declined.Add(asked!.Value);
                Leases.Remove(question.ClientId);
                return reply;
            case Dhcp6MessageType.Renew when !Leases.ContainsKey(question.ClientId):
                reply.Associations = [new Dhcp6Association(1, 0, 0, [], new Dhcp6Status(Dhcp6StatusCode.NoBinding))];
                return reply;
        }
        reply.Associations = Choose(question.ClientId, asked) is { } address
            ? [new Dhcp6Association(1, 0, 0, [new Dhcp6Address(address, Preferred, Valid)])]
            : [new Dhcp6Association(1, 0, 0, [], new Dhcp6Status(Dhcp6StatusCode.NoAddrsAvail, "none left"))];
        return reply;
    }

    private IPv6Address? Choose(Dhcp6Duid client, IPv6Address? asked)
    {
        if (Leases.TryGetValue(client, out var held))
            return held;
        bool Free(IPv6Address address) => address >= First && address.Low - First.Low < (ulong)Size && !Declined.Contains(address) && !Leases.ContainsValue(address);
        if (asked is { } wanted && Free(wanted))
            return Leases[client] = wanted;
        for (int i = 0; i < Size; i++)
        {
            var address = First with { Low = First.Low + (_next++ % (ulong)Size) };
            if (Free(address))
                return Leases[client] = address;
        }
        return null;
    }
}
