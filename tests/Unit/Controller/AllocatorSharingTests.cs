using System.Net;
using DynamicLb.Controller.Allocation;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Services that have one address together.</summary>
public sealed class AllocatorSharingTests : AllocatorLab
{
    [Theory]
    [InlineData("k", "", "TCP/80", "k", "", "TCP/81", null)]
    [InlineData("k", "", "TCP/80", "k", "", "UDP/80", null)]
    [InlineData("k", "", "TCP/80", "k", "", "TCP/80", RefusalReason.PortInUse)]
    [InlineData("k", "", "TCP/80", "l", "", "TCP/81", RefusalReason.InUse)]
    [InlineData("k", "", "TCP/80", null, "", "TCP/81", RefusalReason.InUse)]
    [InlineData(null, "", "TCP/80", null, "", "TCP/81", RefusalReason.InUse)]
    [InlineData("k", "app=a", "TCP/80", "k", "app=a", "TCP/81", null)]
    [InlineData("k", "app=a", "TCP/80", "k", "app=b", "TCP/81", RefusalReason.InUse)]
    [InlineData("k", "app=a", "TCP/80", "k", "", "TCP/81", RefusalReason.InUse)]
    public void Services_share_an_address_with_one_key_one_backend_and_no_common_port(
        string? key, string backend, string ports, string? otherKey, string otherBackend, string otherPorts, object? reason)
    {
        Use(Pool("a", "10.0.0.0/24"));
        Assert.Null(_allocator.Assign(Sharer("one", key, backend, ports), [IPAddress.Parse("10.0.0.5")], null));

        var refusal = _allocator.Assign(Sharer("two", otherKey, otherBackend, otherPorts), [IPAddress.Parse("10.0.0.5")], null);

        Assert.Equal((RefusalReason?)reason, refusal?.Reason);
        if (refusal is not null)
            Assert.Contains("ns/one", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(1, _allocator.Use()[0].InUse);
    }

    [Fact]
    public void Sharers_are_packed_onto_the_lowest_address_that_has_their_ports_free()
    {
        Use(Pool("a", "10.0.0.0/30"));

        Assert.Equal("10.0.0.0", Allocate(Sharer("a", "k", "", "TCP/80")));
        Assert.Equal("10.0.0.1", Allocate("alone"));
        Assert.Equal("10.0.0.2", Allocate(Sharer("b", "k", "", "TCP/80")));
        Assert.Equal("10.0.0.0", Allocate(Sharer("c", "k", "", "TCP/81", "TCP/82")));
        Assert.Equal("10.0.0.2", Allocate(Sharer("d", "k", "", "TCP/81")));
        Assert.Equal("10.0.0.3", Allocate(Sharer("e", "k", "", "TCP/80", "TCP/83")));
        Assert.Equal("10.0.0.0", Allocate(Sharer("f", "k", "", "TCP/83")));
        _allocator.Release(Name("a"));
        Assert.Equal("10.0.0.0", Allocate(Sharer("g", "k", "", "TCP/80")));
        Assert.Equal(4, _allocator.Use()[0].InUse);
        foreach (string name in new[] { "c", "f", "g" })
            _allocator.Release(Name(name));
        Assert.Equal("10.0.0.0", Allocate("another"));
    }

    [Fact]
    public void The_only_owner_may_change_its_key_and_ports_one_of_several_only_its_ports()
    {
        Use(Pool("a", "10.0.0.0/24"));
        var address = new[] { IPAddress.Parse("10.0.0.5") };
        _allocator.Assign(Sharer("one", "k", "", "TCP/80"), address, null);

        Assert.Null(_allocator.Assign(Sharer("one", "l", "", "TCP/81"), address, null));
        Assert.Null(_allocator.Assign(Sharer("two", "l", "", "TCP/80"), address, null));
        Assert.Null(_allocator.Assign(Sharer("one", "l", "", "TCP/82"), address, null));
        Assert.Equal(RefusalReason.InUse, _allocator.Assign(Sharer("one", "m", "", "TCP/82"), address, null)!.Reason);
        Assert.Equal(RefusalReason.InUse, _allocator.Assign(Sharer("one", "l", "app=a", "TCP/82"), address, null)!.Reason);
        Assert.Equal(RefusalReason.PortInUse, _allocator.Assign(Sharer("one", "l", "", "TCP/80"), address, null)!.Reason);
        Assert.Equal("10.0.0.5", Held("one"));
        Assert.Null(_allocator.Assign(Sharer("three", "l", "", "TCP/81"), address, null));
    }

    [Fact(Timeout = 60_000)]
    public async Task Ten_thousand_sharers_with_the_same_port_do_not_look_at_each_other()
    {
        await Task.Yield();
        Use(Pool("a", "10.0.0.0/8"));
        for (int i = 0; i < 10_000; i++)
            Allocate(Sharer($"web{i}", "k", "", "TCP/80"));
        for (int i = 0; i < 10_000; i++)
            Allocate(Sharer($"tls{i}", "k", "", "TCP/443"));
        Assert.Equal(10_000, _allocator.Use()[0].InUse);
        Assert.Equal(Held("web9999"), Held("tls9999"));
    }
}
