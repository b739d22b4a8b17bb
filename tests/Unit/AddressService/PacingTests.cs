using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Dhcp4;

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
