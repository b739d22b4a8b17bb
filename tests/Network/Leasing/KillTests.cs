using DynamicLb.Lab;
using DynamicLb.Lab.Dhcp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>SIGKILL of the real address service at the points where it matters, before real servers.</summary>
public sealed class KillTests
{
    private const string Service = "demo/web";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Each point is held still by stopping the other side or the link, so that the kill falls just there; ACK and REQUEST by looking at the wire.</summary>
    [Theory]
    [InlineData("dnsmasq", "identity")]
    [InlineData("dnsmasq", "DISCOVER")]
    [InlineData("dnsmasq", "OFFER")]
    [InlineData("dnsmasq", "REQUEST")]
    [InlineData("dnsmasq", "ACK")]
    [InlineData("dnsmasq", "bound")]
    [InlineData("kea", "identity")]
    [InlineData("kea", "DISCOVER")]
    [InlineData("kea", "OFFER")]
    [InlineData("kea", "REQUEST")]
    [InlineData("kea", "ACK")]
    [InlineData("kea", "bound")]
    public async Task Case28_killed_while_leasing_it_ends_with_one_lease_for_the_service(string kind, string point)
    {
        await using var lab = await AddressLab.StartAsync(kind);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        bool frozen = point is "DISCOVER" or "OFFER";
        if (point == "identity")
            await lab.Network.Switch.IpAsync("link set p-node1 down", Cancelled);
        if (frozen)
            lab.Server.Signal("STOP");
        var post = TryAsync(lab);
        switch (point)
        {
            case "identity":
                await WaitForRecordAsync(lab, "requesting");
                break;
            case "DISCOVER":
                await capture.FirstAsync(DhcpMessageType.Discover);
                break;
            case "OFFER":
                // The OFFER comes to a process that cannot read it any more.
                await capture.FirstAsync(DhcpMessageType.Discover);
                lab.Service.Process!.Signal("STOP");
                lab.Server.Signal("CONT");
                await capture.FirstAsync(DhcpMessageType.Offer);
                break;
            case "REQUEST":
                await capture.FirstAsync(DhcpMessageType.Request);
                break;
            case "ACK":
                await capture.FirstAsync(DhcpMessageType.Ack);
                break;
            default:
                await WaitForRecordAsync(lab, "bound");
                break;
        }
        await lab.Service.KillAsync();
        string? told = await post;
        if (point == "identity")
            await lab.Network.Switch.IpAsync("link set p-node1 up", Cancelled);
        if (point == "DISCOVER")
            lab.Server.Signal("CONT");

        await lab.Service.StartAgainAsync(Cancelled);
        var again = await lab.Service.AcquireAsync(Service, Cancelled);
        Assert.True(told is null || told == again.Ip, $"{told} became {again.Ip}");
        var record = Assert.Single((await lab.Service.StatusAsync(Cancelled)).Allocations);
        Assert.Equal(again.Ip, record.Ip);
        // Whatever the server gave to the killed process was for the same MAC: no second one.
        await Wait.UntilAsync(async () => (await lab.Server.LeasesAsync(Cancelled)).Any(static l => l.Active), TimeSpan.FromSeconds(60), "the server's entry", Cancelled);
        var entry = Assert.Single(await lab.Server.LeasesAsync(Cancelled), l => l.Active);
        Assert.Equal((again.Ip, again.Mac), (entry.Ip, entry.Mac.ToLowerInvariant()));
    }

    [Theory]
    [InlineData("dnsmasq", "tombstone")]
    [InlineData("dnsmasq", "RELEASE")]
    [InlineData("kea", "tombstone")]
    [InlineData("kea", "RELEASE")]
    public async Task Case28_killed_while_releasing_it_leaves_nothing_behind(string kind, string point)
    {
        await using var lab = await AddressLab.StartAsync(kind);
        var answer = await lab.Service.AcquireAsync(Service, Cancelled);
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        // Without the link it comes no further than that, however late the kill is.
        if (point == "tombstone")
            await lab.Network.Switch.IpAsync("link set p-node1 down", Cancelled);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
        if (point == "RELEASE")
            await capture.FirstAsync(DhcpMessageType.Release);
        await lab.Service.KillAsync();
        if (point == "tombstone")
            await lab.Network.Switch.IpAsync("link set p-node1 up", Cancelled);
        Assert.Equal(point == "RELEASE" ? 1 : 0, Math.Min(1, capture.Count(DhcpMessageType.Release)));

        await lab.Service.StartAgainAsync(Cancelled);
        await Wait.UntilAsync(async () => !(await lab.Server.LeasesAsync(Cancelled)).Any(l => l.Active), TimeSpan.FromSeconds(60), "the server to free the address", Cancelled);
        await Wait.UntilAsync(async () => (await lab.Service.StatusAsync(Cancelled)).Allocations.Count == 0, TimeSpan.FromSeconds(60), "the record to go", Cancelled);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
    }

    [Theory]
    [InlineData("dnsmasq")]
    [InlineData("isc")]
    [InlineData("kea")]
    [InlineData("udhcpd")]
    [Trait("Fault", "C1")]
    public async Task Fifty_kills_at_random_moments_lose_nothing(string server)
    {
        // Without the probe, most of the time of a lease, the kills fall where it matters: between a server's word and our own record.
        await using var lab = await AddressLab.StartAsync(server, new DhcpServerOptions { First = 51, Last = 254 }, "--probe", "off");
        // udhcpd lists what it has offered for a minute, also to a client that was killed before it asked for it.
        await RandomKills.RunAsync(
            lab.Service, null, async () => (await lab.Server.LeasesAsync(Cancelled)).Where(l => l.Active).Select(l => l.Ip), TimeSpan.FromSeconds(90), Cancelled);
    }

    [Fact]
    [Trait("Fault", "A15")]
    public async Task A_killed_service_and_a_lost_lease_leave_no_interface_and_no_address_on_the_node()
    {
        await using var lab = await AddressLab.StartAsync("kea", null, "--transport", "chaddr");
        var node = lab.Network["node1"].Namespace;
        string before = await node.IpAsync("-brief address show", Cancelled);
        var answer = await lab.Service.AcquireAsync(Service, Cancelled);
        await lab.Service.AcquireAsync("demo/other", Cancelled);
        await lab.Service.KillAsync();
        Assert.Equal(before, await node.IpAsync("-brief address show", Cancelled));
        await lab.Service.StartAgainAsync(Cancelled);
        Assert.Equal(200, await lab.Service.ReleaseAsync(answer.Ip, Cancelled));
        Assert.Equal(before, await node.IpAsync("-brief address show", Cancelled));
    }

    private static Task WaitForRecordAsync(AddressLab lab, string state) => Wait.UntilAsync(
        // Durable with its line; the file follows.
        () => Task.FromResult(Holds(Path.Combine(lab.Service.Data, "writes.jsonl"), $"\"state\":\"{state}\"")),
        TimeSpan.FromSeconds(60), $"a record that is {state}", Cancelled);

    private static bool Holds(string file, string text)
    {
        try
        {
            return File.ReadAllText(file).Contains(text, StringComparison.OrdinalIgnoreCase);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static Task<string?> TryAsync(AddressLab lab) => RandomKills.TryAsync(lab.Service, Service, null, Cancelled);
}
