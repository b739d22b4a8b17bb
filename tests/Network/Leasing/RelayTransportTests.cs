using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>The address service as a relay agent of its own: no packet socket, no MAC on the wire.</summary>
public sealed class RelayTransportTests
{
    private static readonly string[] Relay = ["--transport", "relay", "--relay-servers", "10.20.0.1", "--release-delay", "0"];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("dnsmasq")]
    public async Task Case37_leases_of_the_relay_s_own_subnet_and_by_either_option_of_another_are_granted_kept_and_freed(string kind)
    {
        await using var lab = await AddressLab.StartAsync(
            kind, new DhcpServerOptions { Subnets = ["10.20.0", "10.30.0"], Lease = TimeSpan.FromSeconds(kind == "dnsmasq" ? 120 : 10) }, Relay);
        var second = await lab.Network.AddHostAsync("node2", 12, Cancelled);
        var third = await lab.Network.AddHostAsync("node3", 13, Cancelled);
        using var byLink = await AddressServiceProcess.StartAsync(lab.Network, second, Cancelled, [.. Relay, "--link-selection", "10.30.0.0"]);
        using var bySubnet = await AddressServiceProcess.StartAsync(lab.Network, third, Cancelled, [.. Relay, "--subnet-selection", "10.30.0.0"]);
        await Task.WhenAll(
            LiveAsync(lab, kind, lab.Service, "10.20.0."), LiveAsync(lab, kind, byLink, "10.30.0."), LiveAsync(lab, kind, bySubnet, "10.30.0."));
    }

    [Fact]
    public async Task Case37_udhcpd_serves_a_relay_too()
    {
        await using var lab = await AddressLab.StartAsync("udhcpd", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(20) }, Relay);
        await LiveAsync(lab, "udhcpd", lab.Service, "10.20.0.");
    }

    /// <summary>DORA, renewal at T1 (after a restart for dnsmasq, which has no lease shorter than two minutes), RELEASE.</summary>
    private static async Task LiveAsync(AddressLab lab, string kind, AddressServiceProcess service, string subnet)
    {
        string name = $"demo/{service.Url.Host.Replace('.', '-')}";
        var first = await service.AcquireAsync(name, Cancelled);
        Assert.StartsWith(subnet, first.Ip, StringComparison.Ordinal);
        if (kind == "dnsmasq")
        {
            await service.KillAsync();
            await service.StartAgainAsync(Cancelled);
        }
        await Wait.ForAsync(
            async () => (await service.StatusAsync(Cancelled)).Allocations.FirstOrDefault(l => l.Service == name && l.State == "bound" && l.Ip == first.Ip && l.Verified && l.ValidUntil > first.ValidUntil),
            TimeSpan.FromSeconds(15), $"{name} to be renewed", Cancelled);
        Assert.NotNull(await Wait.ForAsync(() => lab.Server.LeaseOfAsync(first.Ip, Cancelled), TimeSpan.FromSeconds(5), "the server's entry", Cancelled));
        Assert.Equal(200, await service.ReleaseAsync(first.Ip, Cancelled));
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(first.Ip, Cancelled) is null, TimeSpan.FromSeconds(4), $"{kind} to free {first.Ip}", Cancelled);
    }
}
