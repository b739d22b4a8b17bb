using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>A DHCPv4 server, with the habits of the usual ones where these differ.</summary>
internal sealed class SimulatedServer4(IPv4Address id, uint first, int size) : SimulatedServer(size)
{
    public IPv4Address Id => id;

    public override string Name { get; } = id.ToString();

    public override LeaseFamily Family => LeaseFamily.IPv4;

    public MacAddress Mac { get; } = new(0x02aa_0000_0000UL | (id.Value & 0xff));

    /// <summary>Answers a REQUEST to another server: dnsmasq with NAK, ISC dhcpd with ACK.</summary>
    public DhcpMessageType? AnswersOthers { get; set; }

    /// <summary>Whether a client has a lease of any server: then a REQUEST that names a server is its last try to keep that, not a choice.</summary>
    public Func<string, bool> HasLease { get; set; } = _ => false;

    public override string AddressOf(int place) => new IPv4Address(first + (uint)place).ToString();

    public override int PlaceOf(string address) => IPv4Address.TryParse(address, out var parsed) ? PlaceOf(parsed) : -1;

    public DhcpMessage? Handle(DhcpMessage message, TimeSpan now)
    {
        string client = message.HardwareAddress.ToString();
        _ = message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var requested);
        switch (message.Type)
        {
            case DhcpMessageType.Discover:
                if (Choose(client, PlaceOf(requested), now) is not { } choice)
                    return null;
                Offer(client, choice, now);
                return Reply(message, DhcpMessageType.Offer, new IPv4Address(first + (uint)choice));
            case DhcpMessageType.Request when message.Options.Contains(DhcpOptionCode.ServerId) && message.ServerId != id:
                ForgetOffers(client);
                return AnswersOthers is { } answer && !HasLease(client) ? Reply(message, answer, requested) : null;
            case DhcpMessageType.Request:
                var address = message.ClientAddress.IsAny ? requested : message.ClientAddress;
                int place = PlaceOf(address);
                if (place < 0)
                    return IsAuthoritative ? Reply(message, DhcpMessageType.Nak, default) : null;
                bool isKnown = message.Options.Contains(DhcpOptionCode.ServerId) || Knows(client, place);
                if (IsFreeFor(client, place, now) && (isKnown || Recreates))
                {
                    Grant(client, place, now);
                    return Reply(message, DhcpMessageType.Ack, address);
                }
                return isKnown || IsAuthoritative || HolderOf(place, now) is not null ? Reply(message, DhcpMessageType.Nak, default) : null;
            case DhcpMessageType.Release:
                if (message.ServerId == id)
                    Free(client, PlaceOf(message.ClientAddress), now);
                return null;
            case DhcpMessageType.Decline:
                if (message.ServerId == id)
                    Decline(client, PlaceOf(requested), now);
                return null;
            default:
                return null;
        }
    }

    public DhcpMessage Reply(DhcpMessage request, DhcpMessageType type, IPv4Address address)
    {
        bool isNak = type == DhcpMessageType.Nak;
        var reply = new DhcpMessage
        {
            IsReply = true,
            Type = type,
            TransactionId = request.TransactionId,
            Broadcast = request.Broadcast,
            YourAddress = isNak ? IPv4Address.Any : address,
            ClientAddress = type == DhcpMessageType.Ack ? request.ClientAddress : IPv4Address.Any,
            HardwareAddress = request.HardwareAddress,
        };
        reply.Options.SetAddress(DhcpOptionCode.ServerId, id);
        if (isNak)
            return reply;
        reply.Options.SetUInt32(DhcpOptionCode.LeaseTime, LeaseSeconds).SetUInt32(DhcpOptionCode.SubnetMask, 0xffff0000);
        if (SendsTimers)
            reply.Options.SetUInt32(DhcpOptionCode.RenewalTime, LeaseSeconds / 2).SetUInt32(DhcpOptionCode.RebindingTime, LeaseSeconds / 8 * 7);
        return reply;
    }

    private int PlaceOf(IPv4Address address) => Has((int)(address.Value - first)) && address.Value >= first ? (int)(address.Value - first) : -1;
}
