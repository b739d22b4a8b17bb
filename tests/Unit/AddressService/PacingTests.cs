using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class PacingTests
{
    private static readonly AddressServiceOptions Unpaced = new() { Interface = { MessagesPerSecond = 1000, MessageBurst = 150 } };

    [Fact]
    public void No_more_than_64_exchanges_await_their_first_answer()
    {
        using var lab = new LeaseLab(Unpaced);
        lab.Server.IsSilent = true;
        for (int i = 0; i < 100; i++)
            lab.Post($"demo/w{i}");
        lab.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(LeaseLink.MaxUnanswered, lab.Sent.Count);
    }

    [Fact]
    public void An_answer_lets_the_next_begin()
    {
        using var lab = new LeaseLab(Unpaced);
        lab.Server.IsSilent = true;
        for (int i = 0; i < 65; i++)
            lab.Post($"demo/w{i}");
        Assert.Equal(64, lab.Sent.Count);
        lab.Delete(service: "demo/w3");
        Assert.Equal(65, lab.Sent.Count(s => s.Message.Type == DhcpMessageType.Discover));
    }

    [Fact]
    public void A_server_that_is_silent_holds_nobody_up_for_longer_than_the_first_pause()
    {
        using var lab = new LeaseLab(Unpaced);
        lab.Server.IsSilent = true;
        for (int i = 0; i < 100; i++)
            lab.Post($"demo/w{i}");
        lab.Advance(TimeSpan.FromSeconds(5.5));
        Assert.Equal(100, lab.Sent.Select(s => s.Message.HardwareAddress).Distinct().Count());
        lab.Server.IsSilent = false;
        lab.Advance(TimeSpan.FromSeconds(70));
        Assert.All(lab.Keeper.Status().Allocations, l => Assert.Equal("bound", l.State));
    }

    [Theory]
    [InlineData(20)]
    [InlineData(10)]
    public void A_restart_storm_is_paced_by_a_server_that_is_slow(int millisecondsEach)
    {
        const int leases = 600;
        using var lab = new LeaseLab(Unpaced) { Server = new FakeDhcpServer { Mask = IPv4Address.Parse("255.255.0.0"), Last = IPv4Address.Parse("10.77.9.0") } };
        for (int i = 0; i < leases; i++)
        {
            lab.Post($"demo/s{i}");
            lab.Advance(TimeSpan.FromMilliseconds(2));
        }
        Assert.All(lab.Leases, l => Assert.Equal("bound", l.State));
        var buffer = new Queue<DhcpMessage>();
        lab.Server.Script = (_, answers) =>
        {
            // What exceeds its socket's buffer is lost.
            foreach (var answer in answers.Where(_ => buffer.Count < 166))
                buffer.Enqueue(answer);
            return [];
        };
        lab.Restart();
        lab.Sent.Clear();
        var start = lab.Clock.Now;
        int most = 0;
        while (lab.Leases.Any(l => !l.Verified) && lab.Clock.Now < start + TimeSpan.FromSeconds(60))
        {
            lab.Advance(TimeSpan.FromMilliseconds(millisecondsEach * 20));
            most = Math.Max(most, buffer.Count);
            for (int i = 0; i < 20 && buffer.TryDequeue(out var answer); i++)
                lab.Keeper.Receive(lab.Keeper.Links[0], new DhcpReply(InMemoryDhcpTransport.Recode(answer), lab.Server.Mac, lab.Server.Id));
        }
        Assert.All(lab.Leases, l => Assert.True(l.Verified));
        Assert.InRange((lab.Clock.Now - start).TotalMilliseconds, 0, leases * millisecondsEach * 1.5);
        Assert.InRange(lab.CountSent(DhcpMessageType.Request), leases, leases * 3 / 2);
        Assert.InRange(most, 1, 100);
    }

    [Fact]
    public void When_the_link_is_back_the_search_goes_on_at_once_and_leases_are_verified()
    {
        using var lab = new LeaseLab(Unpaced);
        lab.Lease("demo/held");
        lab.Server.IsSilent = true;
        var waiter = lab.Post("demo/searching");
        lab.Advance(TimeSpan.FromSeconds(40));
        lab.Server.IsSilent = false;
        lab.Sent.Clear();
        lab.Keeper.LinkReturned(lab.Keeper.Links[0]);
        lab.Settle();
        Assert.Equal(AcquireKind.Success, LeaseLab.Outcome(waiter).Kind);
        Assert.Equal(1, lab.Sent.Count(s => s.Message.Type == DhcpMessageType.Discover));
        Assert.Equal(2, lab.Sent.Count(s => s.Message.Type == DhcpMessageType.Request));
        Assert.All(lab.Keeper.Status().Allocations, l => Assert.Equal("bound", l.State));
    }
}
