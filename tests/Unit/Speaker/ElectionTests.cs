using System.Net;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class ElectionTests
{
    [Theory]
    [InlineData("10.0.0.1", "node-b node-a node-c")]
    [InlineData("10.0.0.2", "node-b node-c node-a")]
    [InlineData("10.20.30.1", "iris2 iris1")]
    [InlineData("10.20.30.2", "iris1 iris2")]
    [InlineData("fc00:f853:ccd:e799::", "iris2 iris1")]
    [InlineData("10.20.30.1", "edge-b worker-a edge-a worker-b")]
    public void Order_is_that_of_metallb_whoever_lists_the_nodes(string address, string expected)
    {
        var order = expected.Split(' ');
        var ip = IPAddress.Parse(address);

        Assert.Equal(order, Election.Order(order.Order(StringComparer.Ordinal), ip));
        Assert.Equal(order, Election.Order(order.Reverse(), ip));
        Assert.Equal(order[0], Election.Winner(order.Reverse(), ip));
    }

    [Fact]
    public void Nobody_wins_without_candidates() => Assert.Null(Election.Winner([], IPAddress.Loopback));

    [Fact]
    public void A_node_that_leaves_moves_only_its_own_addresses()
    {
        string[] all = ["a", "b", "c", "d"];
        for (int i = 0; i < 200; i++)
        {
            var ip = new IPAddress([10, 0, 0, (byte)i]);
            string before = Election.Winner(all, ip)!;
            string after = Election.Winner(all.Except(["c"]), ip)!;
            Assert.True(before == after || before == "c");
        }
    }

    [Fact]
    public void Winner_takes_names_of_the_greatest_length() =>
        Assert.NotNull(Election.Winner([new string('x', 253)], IPAddress.Parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
}
