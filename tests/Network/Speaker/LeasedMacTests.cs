using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.Nftables;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>Addresses that are announced with the MAC of their lease, on a switch that inspects.</summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class LeasedMacTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_switch_that_inspects_lets_the_MAC_of_the_lease_through_and_not_that_of_the_node()
    {
        await using var lab = await InspectedLab.StartAsync("node");
        await lab.WaitForAnnouncerAsync();
        await lab.TakeDroppedAsync();
        Assert.Null(await lab.FetchAsync());
        Assert.True((await lab.TakeDroppedAsync()).Arp > 0, "no answer was dropped");

        await lab.ConfigureAsync("lease");
        Assert.Contains("node2", await lab.WaitForPageAsync(), StringComparison.Ordinal);
        Assert.Equal(lab.LeasedMac, await lab.KnownMacAsync());
        string first = await lab.WaitForAnnouncerAsync();
        Assert.True(await lab.HasTableAsync(first));
        await Wait.UntilAsync(() => IsUndisturbedAsync(lab), TimeSpan.FromSeconds(60), "pages of which the switch drops nothing", Cancelled);

        // Killed: what its kernel did for it is gone with it, the client goes on with what it knows.
        var longestGap = await lab.DialAsync();
        var since = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("KILL");
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        string second = await lab.WaitForAnnouncerAsync(first);
        await lab.WaitForPageAsync();
        Assert.Equal(lab.LeasedMac, await lab.KnownMacAsync());
        Assert.False(await lab.HasTableAsync(first));
        Assert.DoesNotContain(lab.LeasedMac, await lab.FurtherMacsAsync(first), StringComparison.Ordinal);
        Assert.True(await lab.HasTableAsync(second));
        await MeasureAsync("failover with the MAC of the lease, killed", longestGap, since);

        // It takes back what it is elected for; told to stop, it undoes everything, and another has the address.
        lab.StartSpeaker(first);
        await lab.WaitForReadyAsync(first);
        await lab.WaitForAnnouncerAsync(second);
        await lab.WaitForPageAsync();
        since = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("TERM");
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        Assert.False(await lab.HasTableAsync(first));
        await lab.WaitForAnnouncerAsync(first);
        await lab.WaitForPageAsync();
        await MeasureAsync("failover with the MAC of the lease, stopped", longestGap, since);
        Assert.Equal(lab.LeasedMac, await lab.KnownMacAsync());

        // Without the capability it says so, and does not put another MAC in the place of the lease's.
        lab.StartSpeaker(first, without: "net_admin");
        await lab.WaitForReadyAsync(first);
        await Wait.UntilAsync(async () => await lab.EventCountAsync("announceFailed") > 0, TimeSpan.FromSeconds(60), () => $"an Event\n{lab.Logs()}", Cancelled);
        await Wait.UntilAsync(
            async () => (await ExplainAsync(lab, first)).Contains("NET_ADMIN", StringComparison.Ordinal), TimeSpan.FromSeconds(60), () => $"an explanation\n{lab.Logs()}", Cancelled);
    }

    [Fact]
    public async Task A_renewal_from_the_MAC_of_the_lease_does_not_keep_the_switch()
    {
        await using var lab = await InspectedLab.StartAsync("lease", "--transport", "chaddr");
        await lab.WaitForPageAsync();
        await lab.WaitForAnnouncerAsync();
        var longestGap = await lab.DialAsync();

        // Started again, it asks for its leases at once.
        await lab.Addresses.KillAsync();
        var since = TimeProvider.System.GetUtcNow();
        await lab.Addresses.StartAgainAsync(Cancelled);
        await Wait.UntilAsync(
            async () => (await lab.Addresses.StatusAsync(Cancelled)).Allocations.Any(static lease => lease.Verified), TimeSpan.FromSeconds(60), "the lease to be confirmed", Cancelled);
        await lab.WaitForPageAsync();
        var gap = await MeasureAsync("a renewal by transport chaddr with the MAC of the lease", longestGap, since);
        // Otherwise it would last until the address is told of again, which is every two minutes.
        Assert.InRange(gap, TimeSpan.Zero, TimeSpan.FromSeconds(10));
    }

    private static async Task<TimeSpan> MeasureAsync(string what, Func<DateTimeOffset, TimeSpan> longestGap, DateTimeOffset since)
    {
        // A connection that waits for its answer is known to fail a second later.
        await Task.Delay(TimeSpan.FromSeconds(1.2), TimeProvider.System, Cancelled);
        var gap = longestGap(since);
        Console.WriteLine($"MEASURED {what}: {gap.TotalMilliseconds:0} ms without a connection");
        return gap;
    }

    [Fact]
    public async Task The_kernel_keeps_the_table_only_as_long_as_its_owner_lives()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        await using var network = await LabNetwork.CreateAsync(Cancelled);
        var host = await network.AddHostAsync("node1", 11, Cancelled);
        var mac = MacAddress.Parse("02:4c:42:00:00:01");
        var many = Enumerable.Range(0, 3000).ToDictionary(static i => new IPv4Address(0x0a000000 + (uint)i), static i => new MacAddress(0x024c42000000 + (ulong)i));
        var (eth0, mgmt0) = (new LinkInfo(2, "eth0", mac), new LinkInfo(3, "mgmt0", mac));
        using var macs = new AddressMacs(TimeProvider.System);
        Task<string> ListAsync() => host.Namespace.RunAsync("nft", ["list", "ruleset"], Cancelled);

        host.Namespace.Inside(() =>
        {
            macs.Apply([], new Dictionary<IPv4Address, MacAddress>());
            return true;
        });
        Assert.DoesNotContain("dynamiclb", await ListAsync(), StringComparison.Ordinal);

        Assert.Equal("", host.Namespace.Inside(() => macs.Fault ?? ""));
        macs.Apply([eth0, mgmt0], many);
        string table = await ListAsync();
        Assert.Contains("device \"eth0\"", table, StringComparison.Ordinal);
        Assert.Contains("device \"mgmt0\"", table, StringComparison.Ordinal);
        Assert.Contains("10.0.11.183", table, StringComparison.Ordinal);
        Assert.Contains("meta pkttype set host", table, StringComparison.Ordinal);

        // Another address, another MAC, one interface less.
        macs.Apply([eth0], new Dictionary<IPv4Address, MacAddress> { [IPv4Address.Parse("10.0.0.0")] = mac, [IPv4Address.Parse("10.9.9.9")] = mac });
        table = await ListAsync();
        Assert.DoesNotContain("mgmt0", table, StringComparison.Ordinal);
        Assert.DoesNotContain("10.0.11.183", table, StringComparison.Ordinal);
        Assert.Contains("10.0.0.0 : 02:4c:42:00:00:01", table, StringComparison.Ordinal);
        Assert.Contains("10.9.9.9 : 02:4c:42:00:00:01", table, StringComparison.Ordinal);

        // Somebody flushes everything; an interface goes, and is wanted before it is back.
        await host.Namespace.RunAsync("nft", ["flush", "ruleset"], Cancelled);
        Assert.Contains("10.9.9.9 : 02:4c:42:00:00:01", await ListAsync(), StringComparison.Ordinal);
        await network.Switch.IpAsync("link delete p-node1", Cancelled);
        var some = new Dictionary<IPv4Address, MacAddress> { [IPv4Address.Parse("10.9.9.9")] = mac };
        macs.Apply([mgmt0], some);
        // Newer kernels wait for it.
        Assert.True(Record.Exception(() => macs.Apply([eth0, mgmt0], some)) is null or Win32Exception);
        Assert.Contains("device \"mgmt0\"", await ListAsync(), StringComparison.Ordinal);

        // Who comes while another has the table takes its place when that is gone.
        using var next = new AddressMacs(TimeProvider.System);
        Assert.Contains("own", host.Namespace.Inside(() => next.Fault ?? ""), StringComparison.Ordinal);
        Assert.Throws<SocketException>(() => next.Apply([mgmt0], some));
        macs.Dispose();
        Assert.DoesNotContain("dynamiclb", await ListAsync(), StringComparison.Ordinal);
        await Wait.UntilAsync(() => Task.FromResult(host.Namespace.Inside(() => next.Fault is null)), TimeSpan.FromSeconds(60), "the table to be free", Cancelled);
        next.Apply([mgmt0], some);
        Assert.Contains("10.9.9.9 : 02:4c:42:00:00:01", await ListAsync(), StringComparison.Ordinal);

        // An interface gets another name.
        await host.Namespace.IpAsync("link set mgmt0 down", Cancelled);
        await host.Namespace.IpAsync("link set mgmt0 name lan0", Cancelled);
        next.Apply([mgmt0 with { Name = "lan0" }], some);
        table = await ListAsync();
        Assert.Contains("device \"lan0\"", table, StringComparison.Ordinal);
        Assert.DoesNotContain("mgmt0", table, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bridge_takes_frames_for_a_MAC_of_a_lease_too()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        await using var network = await LabNetwork.CreateAsync(Cancelled);
        var (node, client) = (await network.AddHostAsync("node1", 11, Cancelled), await network.AddHostAsync("client", 50, Cancelled));
        foreach (string command in (string[])["link add br0 type bridge stp_state 0 forward_delay 0", "address flush dev eth0", "link set eth0 master br0", "link set br0 up", "address add 10.20.0.11/24 dev br0"])
            await node.Namespace.IpAsync(command, Cancelled);
        // The address is a Service's: here the node itself answers.
        await node.Namespace.IpAsync("address add 10.20.0.99/32 dev lo", Cancelled);
        await client.Namespace.IpAsync("neigh replace 10.20.0.99 lladdr 02:4c:42:00:00:01 dev eth0", Cancelled);
        var (ip, mac) = (IPv4Address.Parse("10.20.0.99"), MacAddress.Parse("02:4c:42:00:00:01"));
        using var macs = new AddressMacs(TimeProvider.System);
        var bridge = node.Namespace.Inside(static () => NetworkInterfaces.TryRead("br0")!.Link);
        Assert.False(await AnswersAsync());

        await using var channel = node.Namespace.Inside(() =>
        {
            macs.Apply([bridge], new Dictionary<IPv4Address, MacAddress> { [ip] = mac });
            return PacketLinkChannel.Open(bridge, ArpPacket.ResponderFilter);
        });
        channel.JoinUnicast(mac);
        await Wait.UntilAsync(AnswersAsync, TimeSpan.FromSeconds(60), "an answer", Cancelled);

        async Task<bool> AnswersAsync() =>
            (await client.Namespace.RunAsync("sh", ["-c", "ping -q -c 1 -W 1 10.20.0.99 || true"], Cancelled)).Contains(" 1 received", StringComparison.Ordinal);
    }

    private static async Task<bool> IsUndisturbedAsync(InspectedLab lab)
    {
        await lab.TakeDroppedAsync();
        for (int i = 0; i < 20; i++)
        {
            if (await lab.FetchAsync() is null)
                return false;
        }
        return await lab.TakeDroppedAsync() == (0, 0);
    }

    private static Task<string> ExplainAsync(InspectedLab lab, string node) =>
        lab.Network[node].Namespace.RunAsync("sh", ["-c", $"dotnet {Programs.PathOf("Cli")} explain default/web --output text || test $? = 1"], Cancelled);
}
