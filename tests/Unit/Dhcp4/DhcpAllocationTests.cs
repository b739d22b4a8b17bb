using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.AddressService;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

/// <summary>Leases are kept without garbage: a service with ten thousand of them must not stop to collect it.</summary>
[Collection(RealTime.Name)]
public sealed class DhcpAllocationTests
{
    [Fact]
    public async Task A_renewal_sent_and_received_allocates_nothing()
    {
        await using var rig = new RenewalRig(clients: 10, leaseSeconds: 600);
        rig.Renew(200);
        long sent = rig.FramesSent;
        long renewals = rig.Renewals;

        // Whatever the runtime does once in a while (a method compiled again) does not happen every time.
        long least = Enumerable.Range(0, 5).Min(_ => rig.Renew(100));

        Assert.Equal(0, least);
        Assert.Equal(5000, rig.Renewals - renewals);
        Assert.Equal(5000, rig.FramesSent - sent);
        Assert.Equal(10, rig.BoundClients);
    }

    [Fact]
    public void A_recycled_message_starts_empty()
    {
        var message = DhcpMessage.Rent();
        message.Type = DhcpMessageType.Discover;
        message.TransactionId = 7;
        message.Hops = 3;
        message.Options.SetText(DhcpOptionCode.HostName, "web");
        message.Recycle();
        message.Recycle();

        var next = DhcpMessage.Rent();
        var other = DhcpMessage.Rent();
        Assert.NotSame(next, other);
        Assert.Equal((DhcpMessageType.None, 0u, (byte)0, 0), (next.Type, next.TransactionId, next.Hops, next.Options.Count));
    }
}
