using DynamicLb.AddressService.Replicas;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Keeps what the keeper sends until the loop has settled its state, and hands it to the transport if this replica still leads. It belongs to the loop.
/// </summary>
internal sealed class LeaseOutbox(IDhcpTransport transport, Leadership leadership) : ILeaseWire
{
    private readonly Queue<(DhcpMessage Message, DhcpDestination Destination)> _messages = new();

    public void Send(DhcpMessage message, in DhcpDestination destination) => _messages.Enqueue((message, destination));

    public void Join(MacAddress mac) => transport.Join(mac);

    public void Leave(MacAddress mac) => transport.Leave(mac);

    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        while (_messages.TryDequeue(out var item))
        {
            if (leadership.MaySend(item.Message))
                await transport.SendAsync(item.Message, item.Destination, cancellationToken);
        }
    }
}
