using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>IPv6 addresses as the kernel's own Neighbor Discovery and ndisc6 see them, on three nodes and two segments.</summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class NeighborTests(ITestOutputHelper output)
{
    private const string Ip = "10.20.0.100";
    private const string Six = "fd20::100";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Addresses_of_both_families_are_answered_by_one_node_on_every_segment_also_one_that_comes_later()
    {
        await using var lab = await SpeakerLab.StartAsync(3);
        await lab.AddServiceAsync("web", Six);
        await lab.AddServiceAsync("web4", Ip);
        string owner = await lab.WaitForOwnerSixAsync(Six);

        await lab.AddSegmentAsync();
        await Wait.UntilAsync(
            async () => (owner = await lab.WaitForOwnerSixAsync(Six)) == await lab.WaitForOwnerSixAsync(Six, "eth1"), TimeSpan.FromSeconds(60), "one owner on both segments", Cancelled);
        string groups = await lab.Network[owner].Namespace.IpAsync("-6 maddr show dev eth1", Cancelled);
        Assert.Contains("ff02::1:ff00:100", groups, StringComparison.Ordinal);

        // The client's kernel finds it, and goes on doing so by the unicast probes with which it confirms what it knows.
        var client = lab.Client.Namespace;
        await client.IpAsync("-6 address add fd20::3/64 dev eth0 nodad", Cancelled);
        await client.RunAsync("sysctl", ["-qw", "net.ipv6.neigh.eth0.base_reachable_time_ms=1000", "net.ipv6.neigh.eth0.delay_first_probe_time=1"], Cancelled);
        await NeighborAsync(lab, "REACHABLE");
        var watch = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(watch) < TimeSpan.FromSeconds(4))
            Assert.DoesNotContain("FAILED", await NeighborAsync(lab, owner), StringComparison.Ordinal);
        await NeighborAsync(lab, "REACHABLE");

        // A host that wants it for itself does not get it.
        await client.IpAsync($"-6 address add {Six}/64 dev eth0", Cancelled);
        await Wait.UntilAsync(
            async () => (await client.IpAsync("-6 address show dev eth0", Cancelled)).Contains("dadfailed", StringComparison.Ordinal), TimeSpan.FromSeconds(60),
            "duplicate address detection to fail", Cancelled);
        await client.IpAsync($"-6 address delete {Six}/64 dev eth0", Cancelled);
        Assert.Equal(owner, await lab.WaitForOwnerSixAsync(Six));
        Assert.NotNull(await lab.WaitForOwnerAsync(Ip));

        // The neighbours learn of the next owner from its advertisement alone: the entry is overridden without a question.
        lab.Speaker(owner).Signal("TERM");
        await lab.Speaker(owner).WaitForExitAsync(Cancelled);
        string next = await lab.WaitForOwnerSixAsync(Six);
        Assert.NotEqual(owner, next);
        await NeighborAsync(lab, next);

        async Task<string> NeighborAsync(SpeakerLab at, string wanted)
        {
            // Nobody answers the ping, but the question for the address comes first.
            string mac = wanted.StartsWith("node", StringComparison.Ordinal) ? await at.Network[wanted].MacAsync(Cancelled) : wanted;
            string entry = "";
            await Wait.UntilAsync(
                async () =>
                {
                    await client.RunAsync("sh", ["-c", $"ping -6 -c 1 -W 0.2 {Six} >/dev/null || true"], Cancelled);
                    entry = await client.IpAsync($"-6 neighbor show {Six} dev eth0", Cancelled);
                    return entry.Contains(mac, StringComparison.Ordinal);
                },
                TimeSpan.FromSeconds(60), $"{Six} to be {wanted} in the kernel's table", Cancelled);
            return entry;
        }
    }

    [Fact]
    public async Task No_frame_for_a_leased_ipv6_address_is_sent_after_its_end()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        string file = Path.Combine(lab.Network.Folder, "ndp.log");
        lab.Network.Start(lab.Client, "ndp", "tcpdump", "-ni", "eth0", "-tt", "-l", "--immediate-mode", "icmp6 and ip6[40] == 136");
        await Wait.UntilAsync(
            () => Task.FromResult(File.Exists(file) && File.ReadAllText(file).Contains("listening on", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), "tcpdump", Cancelled);
        var end = TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(12);
        await lab.AddServiceAsync("web", Six, end);
        await lab.WaitForOwnerSixAsync(Six);
        lab.ApiServer.Signal("KILL");
        while (TimeProvider.System.GetUtcNow() < end + TimeSpan.FromSeconds(2))
            await lab.WhoHasSixAsync(Six);

        var times = File.ReadLines(file).Where(static line => line.Contains($"tgt is {Six}", StringComparison.Ordinal))
            .Select(static line => DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(double.Parse(line.Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture))).ToList();
        Assert.NotEmpty(times);
        output.WriteLine($"{times.Count} advertisements, the last {(end - times[^1]).TotalMilliseconds:F0} ms before the end");
        Assert.All(times, at => Assert.True(at < end, $"{at:O} after {end:O}"));
    }
}
