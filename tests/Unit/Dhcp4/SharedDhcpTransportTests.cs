using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class SharedDhcpTransportTests
{
    [Fact]
    public async Task Owner_and_user_hear_every_reply_until_they_leave_and_a_user_that_leaves_ends_nothing()
    {
        await using var shared = new SharedDhcpTransport(new InMemoryDhcpTransport(new FakeDhcpServer()));
        var owner = new Counter();
        var guest = new Counter();
        using var ownersEnd = new CancellationTokenSource();
        using var guestsEnd = new CancellationTokenSource();
        var owning = shared.RunAsync(owner, ownersEnd.Token);
        await using (var user = shared.Share())
        {
            var using_ = user.RunAsync(guest, guestsEnd.Token);
            await user.SendAsync(Discover(1), DhcpDestination.Broadcast, CancellationToken.None);
            Assert.Equal((1, 1), (owner.Count, guest.Count));
            await guestsEnd.CancelAsync();
            await using_;
        }
        await shared.SendAsync(Discover(2), DhcpDestination.Broadcast, CancellationToken.None);
        Assert.Equal((2, 1), (owner.Count, guest.Count));
        await ownersEnd.CancelAsync();
        await owning;
    }

    private static DhcpMessage Discover(uint xid) =>
        new() { Type = DhcpMessageType.Discover, TransactionId = xid, HardwareAddress = MacAddress.Parse("02:4c:42:00:00:01") };

    private sealed class Counter : IDhcpReceiver
    {
        public int Count { get; private set; }

        public void Received(in DhcpReply reply) => Count++;

        public void Dropped(DhcpDropReason reason)
        {
        }
    }
}
