using DynamicLb.AddressService.Replicas;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Keeps what the keeper sends until the loop has settled its state, and hands it to the transports if this replica still leads. It belongs to the loop.
/// </summary>
internal sealed class LeaseOutbox(Leadership leadership)
{
    private readonly Queue<Item> _items = new();

    /// <summary>The way to one interface.</summary>
    /// <param name="transport">Its DHCP messages.</param>
    /// <param name="prober">Its ARP probes, where there are any.</param>
    public ILeaseWire To(IDhcpTransport transport, ArpProber? prober = null) => new Wire(this, transport, prober);

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        while (_items.TryDequeue(out var item))
        {
            if (item.Message is null)
            {
                if (leadership.MayProbe)
                    await item.Wire.Prober!.ProbeAsync(item.Probed, cancellationToken);
                continue;
            }
            if (leadership.MaySend(item.Message))
                await item.Wire.Transport.SendAsync(item.Message, item.Destination, cancellationToken);
            item.Message.Recycle();
        }
    }

    /// <summary>A DHCP message, or, without one, an ARP probe.</summary>
    private readonly record struct Item(Wire Wire, DhcpMessage? Message, DhcpDestination Destination, IPv4Address Probed);

    private sealed class Wire(LeaseOutbox outbox, IDhcpTransport transport, ArpProber? prober) : ILeaseWire
    {
        public IDhcpTransport Transport => transport;

        public ArpProber? Prober => prober;

        public bool CanProbe => prober is not null;

        public void Send(DhcpMessage message, in DhcpDestination destination) => outbox._items.Enqueue(new Item(this, message, destination, default));

        public void Probe(IPv4Address address) => outbox._items.Enqueue(new Item(this, null, default, address));

        public void Join(MacAddress mac) => transport.Join(mac);

        public void Leave(MacAddress mac) => transport.Leave(mac);
    }
}
