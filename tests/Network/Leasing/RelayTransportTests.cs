using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>The address service as a relay agent of its own: no packet socket, no MAC on the wire.</summary>
public sealed class RelayTransportTests
{
    private static readonly string[] Relay = ["--transport", "relay", "--relay-servers", "10.20.0.1", "--release-delay", "0"];

    private const string Subnets = """
        [{name: own, interface: eth0, namespaces: [own]},
         {name: by-link, interface: eth0, link-selection: 10.30.0.0, namespaces: [by-link]},
         {name: by-subnet, interface: eth0, subnet-selection: 10.40.0.0, namespaces: [by-subnet]}]
        """;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("dnsmasq")]
    public async Task Case37_leases_of_the_relay_s_own_subnet_and_by_either_option_of_others_are_granted_kept_and_freed(string kind)
    {
        await using var lab = await AddressLab.StartAsync(
            kind, new DhcpServerOptions { Subnets = ["10.20.0", "10.30.0", "10.40.0"], Lease = TimeSpan.FromSeconds(kind == "dnsmasq" ? 120 : 20) }, [.. Relay, "--interfaces", Subnets]);
        await LiveAsync(lab, kind, ("own/web", "10.20.0."), ("by-link/web", "10.30.0."), ("by-subnet/web", "10.40.0."));
    }

    [Fact]
    public async Task Case37_udhcpd_serves_a_relay_too()
    {
        await using var lab = await AddressLab.StartAsync("udhcpd", new DhcpServerOptions { Lease = TimeSpan.FromSeconds(20) }, Relay);
        await LiveAsync(lab, "udhcpd", ("demo/web", "10.20.0."));
    }

    [Fact]
    public async Task Case26_through_a_relay_an_address_that_answers_ping_is_declined_and_avoided()
    {
        await using var lab = await AddressLab.StartAsync("kea", new DhcpServerOptions { First = 66, Last = 69 }, Relay);
        await lab.Network.AddHostAsync("static", 66, Cancelled);
        var answer = await lab.Service.AcquireAsync(new AcquireAddressRequest("demo/web", Ip: "10.20.0.66"), Cancelled);
        Assert.NotEqual("10.20.0.66", answer.Ip);
        Assert.Null(await lab.Server.LeaseOfAsync("10.20.0.66", Cancelled));
        var counters = (await lab.Service.StatusAsync(Cancelled)).Counters;
        Assert.Equal((1, 1), (counters["sent.decline"], counters["lease.declined"]));
        // Our own node answers for it from here on: nothing is looked for again.
        await lab.Network["node1"].Namespace.IpAsync($"address add {answer.Ip}/32 dev lo", Cancelled);
        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        Assert.Equal(answer.Ip, (await lab.WaitForLeaseAsync("demo/web", l => l is { State: "bound", Verified: true }, 60, "the lease to be confirmed")).Ip);
    }

    /// <summary>DORA, renewal at T1 (after a restart for dnsmasq, which has no lease shorter than two minutes), RELEASE.</summary>
    private static async Task LiveAsync(AddressLab lab, string kind, params (string Service, string Subnet)[] services)
    {
        var leases = await Task.WhenAll(services.Select(each => lab.Service.AcquireAsync(each.Service, Cancelled)));
        Assert.All(services.Zip(leases), pair => Assert.StartsWith(pair.First.Subnet, pair.Second.Ip, StringComparison.Ordinal));
        if (kind == "dnsmasq")
        {
            await lab.Service.KillAsync();
            await lab.Service.StartAgainAsync(Cancelled);
        }
        for (int i = 0; i < services.Length; i++)
        {
            var first = leases[i];
            await lab.WaitForLeaseAsync(
                services[i].Service, l => l is { State: "bound", Verified: true } && l.Ip == first.Ip && l.ValidUntil > first.ValidUntil, 60, $"{services[i].Service} to be renewed");
            Assert.NotNull(await Wait.ForAsync(() => lab.Server.LeaseOfAsync(first.Ip, Cancelled), TimeSpan.FromSeconds(60), "the server's entry", Cancelled));
            Assert.Equal(200, await lab.Service.ReleaseAsync(first.Ip, Cancelled));
        }
        foreach (var lease in leases)
            await Wait.UntilAsync(async () => await lab.Server.LeaseOfAsync(lease.Ip, Cancelled) is null, TimeSpan.FromSeconds(60), $"{kind} to free {lease.Ip}", Cancelled);
    }
}
