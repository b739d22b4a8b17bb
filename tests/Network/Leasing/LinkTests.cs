using DynamicLb.Contracts.AddressServices;
using DynamicLb.Lab;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Leasing;

/// <summary>Interfaces that go and come, and VLANs.</summary>
public sealed class LinkTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_interface_that_is_removed_and_made_anew_is_leased_on_again()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq", null, MakeAsync, "--interface", "lan0");
        var first = await lab.Service.AcquireAsync("demo/web", Cancelled);
        await lab.Network["node1"].Namespace.IpAsync("link del lan0", Cancelled);
        await Wait.UntilAsync(() => Task.FromResult(Log(lab).Contains("cannot carry DHCP now", StringComparison.Ordinal)), TimeSpan.FromSeconds(15), "the loss to be noticed", Cancelled);
        await MakeAsync(lab);

        // Verified anew on the new interface, and open for others.
        Assert.NotEqual(first.Ip, (await lab.Service.AcquireAsync("demo/other", Cancelled)).Ip);
        await lab.WaitForLeaseAsync("demo/web", l => l.State == "bound" && l.ValidUntil > first.ValidUntil, 60, "the lease to be verified");
        Assert.Equal(first.Ip, (await lab.LeaseAsync("demo/web"))!.Ip);

        static Task MakeAsync(AddressLab lab) => MakeLanAsync(lab, "link add link eth0 name lan0 type macvlan mode bridge");
    }

    [Fact]
    public async Task A_cable_that_is_plugged_in_again_ends_the_wait_for_an_address_at_once()
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq");
        var capture = await FrameCapture.StartAsync(lab.Network, lab.Network["router"]);
        await lab.Network.Switch.IpAsync("link set p-node1 down", Cancelled);
        var waiting = lab.Service.AcquireAsync("demo/web", Cancelled);
        // By now the next DISCOVER is due in 8 to 10 s.
        await Task.Delay(TimeSpan.FromSeconds(5.5), TimeProvider.System, Cancelled);
        Assert.False(waiting.IsCompleted);
        var plugged = TimeProvider.System.GetUtcNow();
        await lab.Network.Switch.IpAsync("link set p-node1 up", Cancelled);
        Assert.NotEmpty((await waiting).Ip);
        // What the wire saw: whoever waits for the answer may be held up.
        Assert.InRange((await capture.FirstAsync(DhcpMessageType.Discover)).At - plugged, TimeSpan.Zero, TimeSpan.FromSeconds(4));
    }

    [Theory]
    [InlineData("nic")]
    [InlineData("chaddr")]
    public async Task Case40_a_VLAN_is_leased_on_by_its_tag_and_its_frames_are_not_taken_for_untagged_ones(string transport)
    {
        await using var lab = await AddressLab.StartAsync("dnsmasq", null, TagAsync, "--vlan", "100", "--transport", transport);
        Assert.StartsWith("10.20.0.", (await lab.Service.AcquireAsync("demo/web", Cancelled)).Ip, StringComparison.Ordinal);

        // The server answers by broadcast to the VLAN: without the tag nothing of it may be heard.
        await using var untagged = await AddressLab.StartAsync("dnsmasq", null, TagAsync, "--transport", transport, "--request-timeout", "3");
        using var answer = await untagged.Service.Http.PostAsync("/v1/ip", new StringContent("""{"service":"demo/web"}""", System.Text.Encoding.UTF8, "application/json"), Cancelled);
        Assert.Equal(System.Net.HttpStatusCode.GatewayTimeout, answer.StatusCode);

        static Task TagAsync(AddressLab lab) => lab.Network.ConnectByVlanAsync("router", "node1", 100, Cancelled);
    }

    [Fact]
    public async Task Several_interfaces_are_leased_on_and_one_that_is_not_there_yet_is_waited_for()
    {
        await using var lab = await AddressLab.StartAsync(
            "dnsmasq", null, "--interfaces", "[{name: lan, interface: eth0}, {name: late, interface: late0, transport: chaddr, namespaces: [late]}]");
        Assert.NotEmpty((await lab.Service.AcquireAsync("demo/web", Cancelled)).Ip);
        var waiting = lab.Service.AcquirePatientlyAsync(new AcquireAddressRequest("late/web"), Cancelled);
        await lab.WaitForLeaseAsync("late/web", l => l.Interface == "late", 60, "the search to begin");
        Assert.False(waiting.IsCompleted);

        await lab.Network["node1"].Namespace.IpAsync("link add link eth0 name late0 type macvlan mode bridge", Cancelled);
        await lab.Network["node1"].Namespace.IpAsync("link set late0 up", Cancelled);
        Assert.NotEmpty((await waiting.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancelled)).Ip);
        // A process of its own remembers where each was.
        await lab.Service.KillAsync();
        await lab.Service.StartAgainAsync(Cancelled);
        await lab.WaitForLeaseAsync("late/web", l => l is { Interface: "late", State: "bound", Verified: true }, 60, "the lease to be verified");
        await lab.WaitForLeaseAsync("demo/web", l => l is { Interface: "lan", State: "bound", Verified: true }, 60, "the other lease to be verified");
    }

    private static async Task MakeLanAsync(AddressLab lab, string how)
    {
        await lab.Network["node1"].Namespace.IpAsync(how, Cancelled);
        await lab.Network["node1"].Namespace.IpAsync("link set lan0 up", Cancelled);
    }

    private static string Log(AddressLab lab) => lab.Service.Process!.LogTail(200);
}
