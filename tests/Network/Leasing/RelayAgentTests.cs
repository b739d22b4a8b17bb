using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>A network whose DHCP server is elsewhere: a relay agent on the router passes messages on.</summary>
public sealed class RelayAgentTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("nic", "isc")]
    [InlineData("chaddr", "isc")]
    [InlineData("nic", "dnsmasq")]
    public async Task Case38_leases_are_granted_renewed_and_given_back_through_a_real_relay_agent(string transport, string kind)
    {
        await using var lab = await AddressLab.StartAsync(
            kind, new DhcpServerOptions { Interface = "mgmt0", Lease = TimeSpan.FromSeconds(kind == "dnsmasq" ? 120 : 12) }, BuildAsync, "--transport", transport, "--release-delay", "0");
        var first = await lab.Service.AcquireAsync("demo/web", Cancelled);
        Assert.StartsWith("10.20.0.", first.Ip, StringComparison.Ordinal);
        Assert.Equal("10.88.0.2", first.Server);
        Assert.NotEqual(first.Ip, (await lab.Service.AcquireAsync("demo/other", Cancelled)).Ip);
        if (kind != "dnsmasq")
            await lab.WaitForLeaseAsync("demo/web", lease => lease.State == "bound" && lease.Ip == first.Ip && lease.ValidUntil > first.ValidUntil, 60, "the renewal");
        Assert.NotNull(await Wait.ForAsync(() => lab.Server.LeaseOfAsync(first.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled));

        Assert.Equal(200, await lab.Service.ReleaseAsync(first.Ip, Cancelled));
        await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(first.Ip, Cancelled) is null, TimeSpan.FromSeconds(60), "the server to free the address", Cancelled);
    }

    /// <summary>The server is on the management network only; the router, which joins the two, relays.</summary>
    private static async Task BuildAsync(AddressLab lab)
    {
        var server = await lab.Network.AddHostAsync("server", 2, Cancelled);
        lab.ServerHost = server;
        await server.Namespace.IpAsync("link set eth0 down", Cancelled);
        await server.Namespace.IpAsync("route add 10.20.0.0/24 via 10.88.0.1", Cancelled);
        lab.Network.Start(lab.Network["router"], "dhcrelay", "dhcrelay", "-4", "-d", "--no-pid", "-id", "eth0", "-iu", "mgmt0", "10.88.0.2");
        var log = Path.Combine(lab.Network.Folder, "dhcrelay.log");
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(log) && File.ReadAllText(log).Contains("Sending on", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "the relay agent", Cancelled);
    }
}
