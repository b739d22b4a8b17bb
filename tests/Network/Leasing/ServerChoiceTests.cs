using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Which of two servers is leased from.</summary>
public sealed class ServerChoiceTests
{
    private static readonly DhcpServerOptions First = new() { First = 100, Last = 149 };
    private static readonly DhcpServerOptions Second = new() { First = 150, Last = 199, Name = "dhcp2" };

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("isc", "kea")]
    [InlineData("kea", "dnsmasq")]
    public async Task Case21_of_two_OFFERs_one_is_taken_and_the_other_server_keeps_no_lease(string first, string second)
    {
        await using var lab = await AddressLab.StartAsync(first, First);
        await using var other = await AddSecondAsync(lab, second);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        var answers = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 5).Select(static i => $"demo/s{i}"), Cancelled);
        await Wait.UntilAsync(
            () => Task.FromResult(capture.Frames().Where(f => f.Type == DhcpMessageType.Offer).Select(f => f.SourceAddress).Distinct().Count() == 2),
            TimeSpan.FromSeconds(60), "OFFERs of both", Cancelled);
        foreach (var answer in answers)
            await Wait.ForAsync(() => (answer.Server == "10.20.0.1" ? lab.Server : other).LeaseOfAsync(answer.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled);

        var held = (await lab.Server.LeasesAsync(Cancelled)).Concat(await other.LeasesAsync(Cancelled)).Where(l => l.Active);
        Assert.Equal(answers.Select(a => a.Ip).Order(StringComparer.Ordinal), held.Select(l => l.Ip).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Case22_a_faster_server_that_is_not_allowed_is_not_listened_to()
    {
        await using var lab = await AddressLab.StartAsync("udhcpd", First, "--servers", "10.20.0.1/32");
        await using var rogue = await AddSecondAsync(lab, "kea");
        var answers = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 5).Select(static i => $"demo/s{i}"), Cancelled);
        Assert.All(answers, a => Assert.Equal("10.20.0.1", a.Server));
        Assert.DoesNotContain(await rogue.LeasesAsync(Cancelled), l => l.Active);
        // Some of its OFFERs may come when the lease is there already.
        await Wait.UntilAsync(
            async () => (await lab.Service.StatusAsync(Cancelled)).Counters.GetValueOrDefault("dropped.rogueserver") is >= 5 and <= 1000, TimeSpan.FromSeconds(60), "the rogue's OFFERs", Cancelled);
    }

    [Theory]
    [InlineData("10.20.0.1")]
    [InlineData("10.20.0.2")]
    public async Task Within_the_offer_window_the_server_that_is_preferred_is_taken_whichever_offers_first_and_the_other_if_it_is_silent(string preferred)
    {
        await using var lab = await AddressLab.StartAsync("isc", First, "--offer-window", "4", "--preferred-servers", preferred, "--probe", "off");
        await using var other = await AddSecondAsync(lab, "kea");
        var (wanted, spare) = preferred == "10.20.0.1" ? (lab.Server, other) : (other, lab.Server);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["node1"]);
        var answers = await lab.Service.AcquireAllAsync(Enumerable.Range(0, 3).Select(static i => $"demo/s{i}"), Cancelled);
        Assert.All(answers, a => Assert.Equal(preferred, a.Server));
        await Wait.UntilAsync(
            () => Task.FromResult(capture.Frames().Where(f => f.Type == DhcpMessageType.Offer).Select(f => f.SourceAddress).Distinct().Count() == 2),
            TimeSpan.FromSeconds(60), "OFFERs of both", Cancelled);
        Assert.DoesNotContain(await spare.LeasesAsync(Cancelled), l => l.Active);

        wanted.Signal("STOP");
        var last = await lab.Service.AcquirePatientlyAsync(new AcquireAddressRequest("demo/last"), Cancelled);
        wanted.Signal("CONT");
        Assert.NotEqual(preferred, last.Server);
    }

    private static async Task<DhcpServer> AddSecondAsync(AddressLab lab, string kind)
    {
        var host = await lab.Network.AddHostAsync("router2", 2, Cancelled);
        var server = DhcpServer.Create(kind, lab.Network, host, Second);
        await server.StartAsync(Cancelled);
        return server;
    }
}
