using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Tests.Unit.Dhcp6;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>The network: what becomes of the messages between the keeper and the servers, and who answers for an address.</summary>
internal sealed partial class SimulatedWorld
{
    bool ILeaseWire.CanProbe => true;

    void ILeaseWire.Send(DhcpMessage message, in DhcpDestination destination)
    {
        var to = destination;
        _outbox.Enqueue(() => Transmit(message, to));
    }

    void ILeaseWire.Probe(IPv4Address address) => _outbox.Enqueue(() => Ask(address.ToString(), host => Guarded(keeper => keeper.Heard(keeper.Links[0], address, host))));

    void ILeaseWire6.Send(Dhcp6Message message) => _outbox.Enqueue(() => Transmit(message));

    void ILeaseWire6.Detect(IPv6Address address) => _outbox.Enqueue(() => Ask(address.ToString(), host => Guarded(keeper => keeper.InUse(keeper.Links[0], address, host))));

    bool ILeaseWire6.IsOwnAddress(IPv6Address address) => false;

    void ILeaseWire.Join(MacAddress mac) => _joined.Add(mac.ToString());

    void ILeaseWire.Leave(MacAddress mac) => _joined.Remove(mac.ToString());

    private void Transmit(DhcpMessage message, DhcpDestination to)
    {
        var seen = InMemoryDhcpTransport.Recode(message);
        // What it may bind must be known after a kill.
        Require(
            seen.Type != DhcpMessageType.Request || _store.Records.Any(r => r.Mac == seen.HardwareAddress.ToString()),
            $"a REQUEST left for {seen.HardwareAddress}, of which the store knows nothing");
        Trace($"{seen.Type} {seen.TransactionId:x8} {seen.HardwareAddress} wants {Requested(seen)} to {(to.IsBroadcast ? "all" : to.Server)}");
        foreach (var server in _servers.OfType<SimulatedServer4>().Where(s => to.IsBroadcast || s.Id == to.Server))
        {
            foreach (var delay in Copies())
                In(delay, () => Serve(server, seen));
        }
        if (!_isCalm && Chance(_forgeries))
            Forge(seen);
    }

    private void Serve(SimulatedServer4 server, DhcpMessage message)
    {
        if (!server.IsUp || server.Handle(message, _now) is not { } answer)
            return;
        foreach (var delay in Copies())
            In(delay, () => Deliver(answer, server.Mac, server.Id));
    }

    private void Deliver(DhcpMessage answer, MacAddress from, IPv4Address source)
    {
        Trace($"  {answer.Type} {answer.TransactionId:x8} {answer.HardwareAddress} {answer.YourAddress} by {answer.ServerId}");
        if (answer.Type == DhcpMessageType.Nak && _servers.OfType<SimulatedServer4>().Any(s => s.Id == answer.ServerId))
            _refused.Add((answer.HardwareAddress.ToString(), answer.ServerId.ToString()));
        Guarded(keeper => keeper.Receive(keeper.Links[0], new DhcpReply(InMemoryDhcpTransport.Recode(answer), from, source)));
    }

    private void Transmit(Dhcp6Message message)
    {
        var seen = Dhcp6Lab.Recode(message);
        Require(
            seen.Type != Dhcp6MessageType.Request || _store.Records.Any(r => r.Duid == seen.ClientId.ToString()),
            $"a Request left for {seen.ClientId}, of which the store knows nothing");
        Trace($"{seen.Type} {seen.TransactionId:x6} {seen.ClientId} wants {Wanted(seen)} of {(seen.ServerId.IsEmpty ? "all" : $"{seen.ServerId}")}");
        foreach (var server in _servers.OfType<SimulatedServer6>())
        {
            foreach (var delay in Copies())
                In(delay, () => Serve(server, seen));
        }
        if (!_isCalm && Chance(_forgeries))
            Forge(seen);
    }

    private void Serve(SimulatedServer6 server, Dhcp6Message message)
    {
        if (!server.IsUp || server.Handle(message, _now) is not { } answer)
            return;
        foreach (var delay in Copies())
            In(delay, () => Deliver(answer, server.Address));
    }

    private void Deliver(Dhcp6Message answer, IPv6Address source)
    {
        Trace($"  {answer.Type} {answer.TransactionId:x6} {answer.ClientId} {Wanted(answer)} by {answer.ServerId}");
        if (answer.Associations is [{ Addresses: [{ Valid: 0 }] }] or [{ Status.Code: Dhcp6StatusCode.NoBinding }])
            _refused.Add((answer.ClientId.ToString(), answer.ServerId.ToString()));
        Guarded(keeper => keeper.Receive(keeper.Links[0], Dhcp6Lab.Recode(answer), source));
    }

    /// <summary>Hosts of the link answer whoever asks for their address, within a tenth of a second, whatever becomes of other messages.</summary>
    private void Ask(string address, Action<MacAddress> hear)
    {
        Trace($"who has {address}?");
        if (_hosts.TryGetValue(address, out var host))
            In(TimeSpan.FromMilliseconds(1 + Below(100)), () => hear(host));
    }

    private IEnumerable<TimeSpan> Copies()
    {
        int copies = Chance(_loss) ? 0 : Chance(_duplicates) ? 2 : 1;
        for (int i = 0; i < copies; i++)
            yield return TimeSpan.FromMilliseconds(0.1) + (_delay * (Uniform() * Uniform()));
    }

    private static IPv4Address Requested(DhcpMessage message) =>
        message.Options.TryGetAddress(DhcpOptionCode.RequestedAddress, out var address) ? address : message.ClientAddress;

    private static IPv6Address Wanted(Dhcp6Message message) => message.Associations is [{ Addresses: [var first, ..] }] ? first.Address : IPv6Address.Any;
}
