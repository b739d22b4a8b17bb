using System.Net.Sockets;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Takes what an interface receives for leases of IPv6.</summary>
internal interface ILinkReceiver6 : IDhcp6Receiver
{
    /// <summary>Another host uses an address that was being looked at. Called on any thread: hand it on and return.</summary>
    void InUse(IPv6Address address, MacAddress host);

    /// <summary>Another host uses an address that is watched. Called on any thread: hand it on and return.</summary>
    void Used(IPv6Address address, MacAddress host);
}

/// <summary>The IPv6 side of an interface that is leased on: DHCPv6, and whether a new address is in use.</summary>
/// <param name="transport">Its messages.</param>
/// <param name="detector">Looks for other users of an address; null where messages travel through a relay.</param>
/// <param name="responder">Answers for the link-local address; null where the kernel does.</param>
internal sealed class DhcpLink6(IDhcp6Transport transport, DuplicateAddressDetector? detector = null, LinkLocalResponder? responder = null) : IAsyncDisposable
{
    private volatile ILinkReceiver6? _receiver;
    private CancellationToken _stopping;

    /// <exception cref="UnusableException">A packet socket cannot be opened.</exception>
    public static DhcpLink6 Open(InterfaceOptions options, LinkInfo link, ILinkMonitor monitor, TimeProvider time)
    {
        ushort vlan = (ushort)options.Vlan;
        try
        {
            var messages = Follow(Dhcp6Filter.For(vlan));
            var neighbours = Follow(NeighborFilter.For(vlan));
            var detector = new DuplicateAddressDetector(neighbours, time) { Watch = options.NewWatch<IPv6Address>(time) };
            if (vlan == 0)
                return new DhcpLink6(new PacketDhcp6Transport(messages, time), detector);
            // The kernel has no address on a VLAN that it knows nothing of.
            return new DhcpLink6(
                new PacketDhcp6Transport(messages, time, _ => IPv6Address.LinkLocalOf(messages.Link.Mac)), detector, new LinkLocalResponder(Follow(NeighborFilter.For(vlan)), time));
        }
        catch (SocketException e)
        {
            throw new UnusableException($"No packet socket for IPv6 on {link.Name}: {e.Message}. It takes the capability NET_RAW.", e);
        }

        ILinkChannel Follow(BpfProgram filter)
        {
            var channel = new FollowingLinkChannel(link, monitor, found => PacketLinkChannel.Open(found, filter));
            return vlan == 0 ? channel : new TaggedLinkChannel(channel, vlan);
        }
    }

    /// <summary>The way to it, by an outbox.</summary>
    public ILeaseWire6 Wire(LeaseOutbox outbox, Func<IPv6Address, bool> isOwnAddress) => outbox.To(transport, detector is null ? null : Detect, isOwnAddress, detector?.Watch);

    /// <summary>Receives until cancelled.</summary>
    public Task RunAsync(ILinkReceiver6 receiver, CancellationToken cancellationToken)
    {
        _receiver = receiver;
        _stopping = cancellationToken;
        return Together.RunAsync(
            cancellationToken,
            token => transport.RunAsync(receiver, token),
            token => detector?.RunAsync(receiver.Used, token) ?? Task.CompletedTask,
            token => responder?.RunAsync(token) ?? Task.CompletedTask);
    }

    public async ValueTask DisposeAsync()
    {
        await transport.DisposeAsync();
        if (detector is not null)
            await detector.DisposeAsync();
        if (responder is not null)
            await responder.DisposeAsync();
    }

    private void Detect(IPv6Address address) => _ = DetectAsync(address);

    private async Task DetectAsync(IPv6Address address)
    {
        try
        {
            if (await detector!.ProbeAsync(address, LeaseLink.DetectionTime, _stopping) is { } host)
                _receiver?.InUse(address, host);
        }
        catch (OperationCanceledException)
        {
            // The program stops: the address was not used yet.
        }
    }
}
