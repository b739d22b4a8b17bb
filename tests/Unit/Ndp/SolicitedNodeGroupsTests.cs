using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;

namespace DynamicLb.Tests.Unit.Ndp;

public sealed class SolicitedNodeGroupsTests
{
    [Fact]
    public void A_thousand_groups_are_joined_and_left_and_those_of_one_suffix_are_one()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6 && File.Exists("/proc/net/if_inet6"), "the kernel has no IPv6");
        const int Loopback = 1;
        using var groups = new SolicitedNodeGroups(Loopback);
        var addresses = Enumerable.Range(0, 1000).Select(static i => new IPv6Address(0xfd20_0000_0000_0000, 0x100_0000 + (ulong)i)).ToList();
        Assert.SkipUnless(groups.Follow(addresses[..1]), "IPv6 is off on the loopback interface");
        Assert.True(groups.Follow([.. addresses, new IPv6Address(0xfd21_0000_0000_0000, 0x100_0000)]));
        Assert.Equal(1000, groups.Count);

        Assert.True(groups.Follow(addresses[990..]));
        Assert.Equal(10, groups.Count);
        Assert.True(groups.Follow(addresses[..600]));
        Assert.Equal(600, groups.Count);
    }

    [Fact]
    public void An_interface_that_is_gone_is_in_no_group()
    {
        using var groups = new SolicitedNodeGroups(int.MaxValue);
        Assert.False(groups.Follow([IPv6Address.Parse("fd20::1")]));
        Assert.Equal(0, groups.Count);
    }
}
