using DynamicLb.AddressService.Replicas;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Keeps what the keeper sends until the loop has settled its state, and hands it to the transports if this replica still leads. It belongs to the loop.
/// </summary>
internal sealed class LeaseOutbox(Leadership leadership)
{
    private readonly Queue<Item> _items = new();

    // A message, or without one an address to be looked at.
    private readonly Queue<(Wire6 Wire, Dhcp6Message? Message, IPv6Address Target)> _messages6 = new();

    /// <summary>The way to one interface.</summary>
    /// <param name="transport">Its DHCP messages.</param>
    /// <param name="prober">Its probes for other hosts' addresses, where there are any.</param>
    public ILeaseWire To(IDhcpTransport transport, IAddressProber? prober = null) => new Wire(this, transport, prober);

    /// <summary>The way to one interface for DHCPv6.</summary>
    /// <param name="transport">Its messages.</param>
    /// <param name="detect">Looks for another user of an address, without waiting for the outcome; null where nobody can be asked.</param>
    /// <param name="isOwnAddress">Whether this host itself has an address.</param>
    /// <param name="watch">The addresses whose use by others is told; null for none.</param>
    public ILeaseWire6 To(IDhcp6Transport transport, Action<IPv6Address>? detect, Func<IPv6Address, bool> isOwnAddress, AddressWatch<IPv6Address>? watch = null) =>
        new Wire6(this, transport, detect, isOwnAddress, watch);

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        while (_messages6.TryDequeue(out var item6))
        {
            if (!leadership.MaySend(item6.Message))
                continue;
            if (item6.Message is { } message)
                await item6.Wire.Transport.SendAsync(message, cancellationToken);
            else
                item6.Wire.Detector?.Invoke(item6.Target);
        }
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

    private sealed class Wire6(
        LeaseOutbox outbox, IDhcp6Transport transport, Action<IPv6Address>? detect, Func<IPv6Address, bool> isOwnAddress, AddressWatch<IPv6Address>? watch) : ILeaseWire6
    {
        public IDhcp6Transport Transport => transport;

        public Action<IPv6Address>? Detector => detect;

        public bool CanDetect => detect is not null;

        public void Send(Dhcp6Message message) => outbox._messages6.Enqueue((this, message, default));

        public void Detect(IPv6Address address) => outbox._messages6.Enqueue((this, null, address));

        public bool IsOwnAddress(IPv6Address address) => isOwnAddress(address);

        public void Watch(IPv6Address address) => watch?.Add(address);

        public void Unwatch(IPv6Address address) => watch?.Remove(address);
    }

    private sealed class Wire(LeaseOutbox outbox, IDhcpTransport transport, IAddressProber? prober) : ILeaseWire
    {
        public IDhcpTransport Transport => transport;

        public IAddressProber? Prober => prober;

        public bool CanProbe => prober is not null;

        public void Send(DhcpMessage message, in DhcpDestination destination) => outbox._items.Enqueue(new Item(this, message, destination, default));

        public void Probe(IPv4Address address) => outbox._items.Enqueue(new Item(this, null, default, address));

        public void Watch(IPv4Address address) => prober?.Watch?.Add(address);

        public void Unwatch(IPv4Address address) => prober?.Watch?.Remove(address);

        public void Join(MacAddress mac)
        {
            transport.Join(mac);
            // A speaker may announce a lease's address by the lease's own MAC.
            prober?.Watch?.Trust(mac);
        }

        public void Leave(MacAddress mac)
        {
            transport.Leave(mac);
            prober?.Watch?.Distrust(mac);
        }
    }
}
