using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>
/// A DHCP server with a pool and leases that end. It gives a client the address it had, writes a lease before it answers, and has the habits of the
/// usual servers where these differ.
/// </summary>
internal sealed class SimulatedServer(IPv4Address id, uint first, int size)
{
    private static readonly TimeSpan OfferStands = TimeSpan.FromSeconds(60);
    private readonly Dictionary<uint, (MacAddress Holder, TimeSpan Until)> _leases = [];
    private readonly Dictionary<uint, (MacAddress Holder, TimeSpan Until)> _offers = [];

    public IPv4Address Id => id;

    public MacAddress Mac { get; } = new(0x02aa_0000_0000UL | (id.Value & 0xff));

    public uint LeaseSeconds { get; set; } = 600;

    public bool IsUp { get; set; } = true;

    /// <summary>NAKs addresses that it does not know, also another server's.</summary>
    public bool IsAuthoritative { get; set; }

    /// <summary>Grants an unknown client the free address that it says it has, as dnsmasq and ISC dhcpd do.</summary>
    public bool Recreates { get; set; }

    /// <summary>Answers a REQUEST to another server: dnsmasq with NAK, ISC dhcpd with ACK.</summary>
    public DhcpMessageType? AnswersOthers { get; set; }

    public bool SendsTimers { get; set; }

    /// <summary>Whether a client has a lease of any server: then a REQUEST that names a server is its last try to keep that, not a choice.</summary>
    public Func<MacAddress, bool> HasLease { get; set; } = _ => false;

    /// <summary>Told of every grant before it is sent: holder, address, end.</summary>
    public Action<MacAddress, IPv4Address, TimeSpan> Granted { get; set; } = (_, _, _) => { };

    public bool Owns(IPv4Address address) => address.Value >= first && address.Value < first + size;

    /// <summary>Who has an address, or null.</summary>
    public MacAddress? HolderOf(IPv4Address address, TimeSpan now) =>
        _leases.TryGetValue(address.Value, out var lease) && lease.Until > now ? lease.Holder : null;

    public IEnumerable<(MacAddress Holder, IPv4Address Address, TimeSpan Until)> Active(TimeSpan now) =>
        _leases.Where(l => l.Value.Until > now).Select(l => (l.Value.Holder, new IPv4Address(l.Key), l.Value.Until));

    /// <summary>Loses its memory, as with a wiped database.</summary>
    public void Wipe()
    {
        _leases.Clear();
        _offers.Clear();
    }

    /// <summary>Somebody else takes an address.</summary>
    public void Squat(MacAddress holder, TimeSpan now)
    {
        if (Choose(holder, default, now) is { } address)
            _leases[address.Value] = (holder, now + TimeSpan.FromSeconds(LeaseSeconds));
    }

    public void Evict(Func<MacAddress, bool> who, TimeSpan now)
    {
        foreach (uint address in _leases.Where(l => l.Value.Until > now && who(l.Value.Holder)).Select(l => l.Key).ToList())
            _leases[address] = (_leases[address].Holder, now);
    }

    public DhcpMessage? Handle(DhcpMessage message, TimeSpan now)
    {
        var client = message.HardwareAddress;
        _ = message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var requested);
        switch (message.Type)
        {
            case DhcpMessageType.Discover:
                if (Choose(client, requested, now) is not { } choice)
                    return null;
                _offers[choice.Value] = (client, now + OfferStands);
                return Reply(message, DhcpMessageType.Offer, choice);
            case DhcpMessageType.Request when message.Options.Contains(DhcpOptionCode.ServerId) && message.ServerId != id:
                foreach (uint offer in _offers.Where(o => o.Value.Holder == client).Select(o => o.Key).ToList())
                    _offers.Remove(offer);
                return AnswersOthers is { } answer && !HasLease(client) ? Reply(message, answer, requested) : null;
            case DhcpMessageType.Request:
                var address = message.ClientAddress.IsAny ? requested : message.ClientAddress;
                if (!Owns(address))
                    return IsAuthoritative ? Reply(message, DhcpMessageType.Nak, default) : null;
                bool isKnown = message.Options.Contains(DhcpOptionCode.ServerId)
                    || (_leases.TryGetValue(address.Value, out var lease) && lease.Holder == client);
                if (IsFreeFor(client, address, now) && (isKnown || Recreates))
                    return Grant(message, address, now);
                return isKnown || IsAuthoritative || HolderOf(address, now) is not null ? Reply(message, DhcpMessageType.Nak, default) : null;
            case DhcpMessageType.Release:
                if (message.ServerId == id && HolderOf(message.ClientAddress, now) == client)
                    _leases[message.ClientAddress.Value] = (client, now);
                return null;
            default:
                return null;
        }
    }

    private DhcpMessage Grant(DhcpMessage message, IPv4Address address, TimeSpan now)
    {
        var until = now + TimeSpan.FromSeconds(LeaseSeconds);
        // A lease may not end before what it was promised until.
        if (_leases.TryGetValue(address.Value, out var before) && before.Holder == message.HardwareAddress && before.Until > until)
            until = before.Until;
        _offers.Remove(address.Value);
        _leases[address.Value] = (message.HardwareAddress, until);
        Granted(message.HardwareAddress, address, until);
        return Reply(message, DhcpMessageType.Ack, address);
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

    /// <summary>The client's own address, the one it asks for, one nobody had, the one that has been free for longest.</summary>
    private IPv4Address? Choose(MacAddress client, IPv4Address requested, TimeSpan now)
    {
        uint? own = null;
        foreach (var (address, lease) in _leases)
        {
            if (lease.Holder == client && lease.Until > now)
                return new IPv4Address(address);
            if (lease.Holder == client && (own is null || lease.Until > _leases[own.Value].Until))
                own = address;
        }
        if (Owns(requested) && IsFreeFor(client, requested, now))
            return requested;
        if (own is { } last && IsFreeFor(client, new IPv4Address(last), now))
            return new IPv4Address(last);
        IPv4Address? oldest = null;
        for (uint value = first; value < first + size; value++)
        {
            var address = new IPv4Address(value);
            if (!IsFreeFor(client, address, now))
                continue;
            if (!_leases.TryGetValue(value, out var lease))
                return address;
            if (oldest is null || lease.Until < _leases[oldest.Value.Value].Until)
                oldest = address;
        }
        return oldest;
    }

    private bool IsFreeFor(MacAddress client, IPv4Address address, TimeSpan now) =>
        Owns(address)
        && !(_leases.TryGetValue(address.Value, out var lease) && lease.Until > now && lease.Holder != client)
        && !(_offers.TryGetValue(address.Value, out var offer) && offer.Until > now && offer.Holder != client);
}
