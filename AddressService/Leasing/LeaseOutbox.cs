using DynamicLb.AddressService.Replicas;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Keeps what the keeper sends until the loop has settled its state, and hands it to the transports if this replica still leads. It belongs to the loop.
/// </summary>
internal sealed class LeaseOutbox(Leadership leadership)
{
    private readonly Queue<(IDhcpTransport Transport, DhcpMessage Message, DhcpDestination Destination)> _messages = new();

    /// <summary>The way to one interface.</summary>
    public ILeaseWire To(IDhcpTransport transport) => new Wire(this, transport);

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        while (_messages.TryDequeue(out var item))
        {
            if (leadership.MaySend(item.Message))
                await item.Transport.SendAsync(item.Message, item.Destination, cancellationToken);
            item.Message.Recycle();
        }
    }

    private sealed class Wire(LeaseOutbox outbox, IDhcpTransport transport) : ILeaseWire
    {
        public void Send(DhcpMessage message, in DhcpDestination destination) => outbox._messages.Enqueue((transport, message, destination));

        public void Join(MacAddress mac) => transport.Join(mac);

        public void Leave(MacAddress mac) => transport.Leave(mac);
    }
}
