using System.Security.Cryptography;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Support;

/// <summary>
/// A scripted DHCP server without a network: <see cref="Handle"/> takes a client's message and returns the answers.
/// <list type="bullet">
/// <item><see cref="Leases"/> is its lease table by <c>chaddr</c>; the pool is <see cref="First"/> to <see cref="Last"/>.</item>
/// <item><see cref="IsSilent"/> makes it dead; <see cref="LeaseSeconds"/>, <see cref="T1"/>, <see cref="T2"/> say what it grants.</item>
/// <item><see cref="Script"/> sees every message with the regular answer and returns what is sent instead: null to leave the regular one,
/// an empty list for silence. <see cref="Reply"/> builds an answer by hand.</item>
/// <item><see cref="Received"/> lists every message that reached it.</item>
/// </list>
/// It behaves as the usual servers do: sticky by <c>chaddr</c>, honours option 50 for a free address, silent when the pool is exhausted, NAKs an
/// address of somebody else, re-creates an unknown lease when <see cref="IsAuthoritative"/>. Connect it by <see cref="InMemoryDhcpTransport"/>
/// to what takes an <see cref="IDhcpTransport"/>, or to bare clients by the harness of the DHCP tests.
/// </summary>
internal sealed class FakeDhcpServer
{
    private readonly Lock _gate = new();
    private readonly Dictionary<MacAddress, IPv4Address> _offered = [];

    /// <summary>Option 54 and IP source.</summary>
    public IPv4Address Id { get; init; } = IPv4Address.Parse("10.77.0.1");

    /// <summary>Ethernet source.</summary>
    public MacAddress Mac { get; init; } = MacAddress.Parse("02:00:00:00:00:fe");

    public IPv4Address First { get; init; } = IPv4Address.Parse("10.77.0.100");

    public IPv4Address Last { get; init; } = IPv4Address.Parse("10.77.0.199");

    public IPv4Address Mask { get; init; } = IPv4Address.Parse("255.255.255.0");

    public IPv4Address Router { get; init; } = IPv4Address.Parse("10.77.0.1");

    public uint LeaseSeconds { get; set; } = 600;

    public uint? T1 { get; set; }

    public uint? T2 { get; set; }

    public bool IsSilent { get; set; }

    public bool IsAuthoritative { get; set; } = true;

    /// <summary>Tells clients apart by option 61, as most servers do; <see cref="Leases"/> then has a MAC made of it in place of <c>chaddr</c>.</summary>
    public bool HonoursClientIds { get; set; }

    /// <summary>(message, regular answers) to what is sent instead; null keeps the regular ones.</summary>
    public Func<DhcpMessage, IReadOnlyList<DhcpMessage>, IReadOnlyList<DhcpMessage>?>? Script { get; set; }

    public Dictionary<MacAddress, IPv4Address> Leases { get; } = [];

    public List<DhcpMessage> Received { get; } = [];

    /// <summary>Addresses that clients declined; they are not given out again unless <see cref="ForgetsDeclines"/>.</summary>
    public HashSet<IPv4Address> Declined { get; } = [];

    public bool ForgetsDeclines { get; set; }

    /// <summary>How many messages of a type reached it.</summary>
    public int Count(DhcpMessageType type)
    {
        lock (_gate)
            return Received.Count(m => m.Type == type);
    }

    /// <summary>Takes a message and says what is answered. Safe to call from several threads.</summary>
    public IReadOnlyList<DhcpMessage> Handle(DhcpMessage message)
    {
        lock (_gate)
        {
            Received.Add(message);
            if (IsSilent)
                return [];
            IReadOnlyList<DhcpMessage> regular = Answer(message) is { } answer ? [answer] : [];
            return Script?.Invoke(message, regular) ?? regular;
        }
    }

    /// <summary>An answer to <paramref name="request"/> with this server's options; a NAK without address and times.</summary>
    public DhcpMessage Reply(DhcpMessage request, DhcpMessageType type, IPv4Address address)
    {
        var reply = new DhcpMessage
        {
            IsReply = true,
            Type = type,
            TransactionId = request.TransactionId,
            Broadcast = request.Broadcast,
            YourAddress = type == DhcpMessageType.Nak ? IPv4Address.Any : address,
            ClientAddress = type == DhcpMessageType.Ack ? request.ClientAddress : IPv4Address.Any,
            RelayAddress = request.RelayAddress,
            HardwareAddress = request.HardwareAddress,
        };
        reply.Options.SetAddress(DhcpOptionCode.ServerId, Id);
        if (type == DhcpMessageType.Nak)
            return reply;
        reply.Options.SetUInt32(DhcpOptionCode.LeaseTime, LeaseSeconds)
            .SetAddress(DhcpOptionCode.SubnetMask, Mask)
            .SetAddress(DhcpOptionCode.Router, Router);
        if (T1 is { } t1)
            reply.Options.SetUInt32(DhcpOptionCode.RenewalTime, t1);
        if (T2 is { } t2)
            reply.Options.SetUInt32(DhcpOptionCode.RebindingTime, t2);
        return reply;
    }

    private DhcpMessage? Answer(DhcpMessage message)
    {
        var client = KeyOf(message);
        _ = message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var requested);
        switch (message.Type)
        {
            case DhcpMessageType.Discover:
                if (Choose(client, requested) is not { } choice)
                    return null;
                _offered[client] = choice;
                return Reply(message, DhcpMessageType.Offer, choice);
            case DhcpMessageType.Request when message.Options.Contains(DhcpOptionCode.ServerId):
                if (message.ServerId != Id)
                {
                    _offered.Remove(client);
                    return null;
                }
                return IsFreeFor(client, requested) ? Grant(message, requested) : Reply(message, DhcpMessageType.Nak, default);
            case DhcpMessageType.Request:
                var address = message.ClientAddress.IsAny ? requested : message.ClientAddress;
                if (Leases.TryGetValue(client, out var held))
                    return held == address ? Grant(message, address) : Reply(message, DhcpMessageType.Nak, default);
                if (!IsAuthoritative)
                    return null;
                return IsFreeFor(client, address) ? Grant(message, address) : Reply(message, DhcpMessageType.Nak, default);
            case DhcpMessageType.Release:
                if (message.ServerId == Id && Leases.TryGetValue(client, out var released) && released == message.ClientAddress)
                    Leases.Remove(client);
                return null;
            case DhcpMessageType.Decline:
                if (message.ServerId == Id && Leases.TryGetValue(client, out var declined) && declined == requested && Leases.Remove(client))
                    Declined.Add(requested);
                return null;
            default:
                return null;
        }
    }

    private DhcpMessage Grant(DhcpMessage message, IPv4Address address)
    {
        _offered.Remove(KeyOf(message));
        Leases[KeyOf(message)] = address;
        return Reply(message, DhcpMessageType.Ack, address);
    }

    private MacAddress KeyOf(DhcpMessage message) =>
        HonoursClientIds && message.Options.TryGet(DhcpOptionCode.ClientId, out var id) ? MacAddress.Read(SHA256.HashData(id)) : message.HardwareAddress;

    private IPv4Address? Choose(MacAddress client, IPv4Address requested)
    {
        if (Leases.TryGetValue(client, out var held) || _offered.TryGetValue(client, out held))
            return held;
        if (IsFreeFor(client, requested))
            return requested;
        for (uint value = First.Value; value <= Last.Value; value++)
        {
            if (IsFreeFor(client, new IPv4Address(value)))
                return new IPv4Address(value);
        }
        return null;
    }

    private bool IsFreeFor(MacAddress client, IPv4Address address) =>
        address >= First && address <= Last && (ForgetsDeclines || !Declined.Contains(address))
        && !Leases.Any(lease => lease.Value == address && lease.Key != client)
        && !_offered.Any(offer => offer.Value == address && offer.Key != client);
}
