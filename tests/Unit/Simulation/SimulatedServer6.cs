using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>A DHCPv6 server. Renewals of what it does not know it answers with NoBinding, as ISC dhcpd and dnsmasq do, or grants, as Kea does.</summary>
internal sealed class SimulatedServer6(byte number, int size) : SimulatedServer(size)
{
    private readonly IPv6Address _first = new(0xfd77_0000_0000_0000, (ulong)number << 16);

    public Dhcp6Duid Id { get; } = Dhcp6Duid.FromUuid(new Guid(0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, number));

    public override string Name => Id.ToString();

    public override LeaseFamily Family => LeaseFamily.IPv6;

    /// <summary>Answers NoBinding to a Rebind for another server's address.</summary>
    public bool DeniesOthers { get; set; }

    public IPv6Address Address { get; } = new(0xfe80_0000_0000_0000, number);

    public override string AddressOf(int place) => At(place).ToString();

    public override int PlaceOf(string address) => IPv6Address.TryParse(address, out var parsed) ? PlaceOf(parsed) : -1;

    public Dhcp6Message? Handle(Dhcp6Message message, TimeSpan now)
    {
        string client = message.ClientId.ToString();
        if (!message.ServerId.IsEmpty && message.ServerId != Id)
        {
            ForgetOffers(client);
            return null;
        }
        var wanted = message.Associations is [{ Addresses: [var first, ..] }] ? first.Address : IPv6Address.Any;
        int place = PlaceOf(wanted);
        switch (message.Type)
        {
            case Dhcp6MessageType.Solicit:
                if (Choose(client, place, now) is not { } choice)
                    return Refuse(message, Dhcp6MessageType.Advertise, Dhcp6StatusCode.NoAddrsAvail);
                Offer(client, choice, now);
                return Reply(message, Dhcp6MessageType.Advertise, At(choice));
            case Dhcp6MessageType.Request:
                if (!IsFreeFor(client, place, now))
                    return Refuse(message, Dhcp6MessageType.Reply, Dhcp6StatusCode.NoAddrsAvail);
                Grant(client, place, now);
                return Reply(message, Dhcp6MessageType.Reply, wanted);
            case Dhcp6MessageType.Renew or Dhcp6MessageType.Rebind:
                if (place < 0)
                    return IsAuthoritative ? Reply(message, Dhcp6MessageType.Reply, wanted, valid: 0)
                        : DeniesOthers ? Refuse(message, Dhcp6MessageType.Reply, Dhcp6StatusCode.NoBinding) : null;
                if (IsFreeFor(client, place, now) && (Knows(client, place) || Recreates))
                {
                    Grant(client, place, now);
                    return Reply(message, Dhcp6MessageType.Reply, wanted);
                }
                return HolderOf(place, now) is { } holder && holder != client ? Reply(message, Dhcp6MessageType.Reply, wanted, valid: 0)
                    : Refuse(message, Dhcp6MessageType.Reply, Dhcp6StatusCode.NoBinding);
            case Dhcp6MessageType.Release:
                Free(client, place, now);
                return Refuse(message, Dhcp6MessageType.Reply, Dhcp6StatusCode.Success);
            case Dhcp6MessageType.Decline:
                Decline(client, place, now);
                return Refuse(message, Dhcp6MessageType.Reply, Dhcp6StatusCode.Success);
            default:
                return null;
        }
    }

    public Dhcp6Message Reply(Dhcp6Message question, Dhcp6MessageType type, IPv6Address address, uint? valid = null)
    {
        uint lifetime = valid ?? LeaseSeconds;
        var (t1, t2) = SendsTimers && lifetime > 0 ? (lifetime / 2, lifetime / 8 * 7) : (0, 0);
        return Answer(question, type, new Dhcp6Association(1, t1, t2, [new Dhcp6Address(address, lifetime, lifetime)]));
    }

    private Dhcp6Message Refuse(Dhcp6Message question, Dhcp6MessageType type, Dhcp6StatusCode status) =>
        Answer(question, type, new Dhcp6Association(1, 0, 0, [], new Dhcp6Status(status)));

    private Dhcp6Message Answer(Dhcp6Message question, Dhcp6MessageType type, Dhcp6Association association) => new()
    {
        Type = type,
        TransactionId = question.TransactionId,
        ClientId = question.ClientId,
        ServerId = Id,
        Associations = [association],
    };

    private IPv6Address At(int place) => _first with { Low = _first.Low + (ulong)place };

    private int PlaceOf(IPv6Address address) =>
        address.High == _first.High && address.Low >= _first.Low && address.Low - _first.Low < 0x1_0000 && Has((int)(address.Low - _first.Low)) ? (int)(address.Low - _first.Low) : -1;
}
