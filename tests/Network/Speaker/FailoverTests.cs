using System.Diagnostics;
using System.Globalization;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>Who answers for an address, seen from a client on the LAN.</summary>
public sealed class FailoverTests(ITestOutputHelper output)
{
    private const string Ip = "10.20.0.100";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_address_is_answered_by_exactly_one_node_and_the_addresses_are_spread()
    {
        await using var lab = await SpeakerLab.StartAsync(3);
        var addresses = Enumerable.Range(100, 12).Select(static i => string.Create(CultureInfo.InvariantCulture, $"10.20.0.{i}")).ToArray();
        foreach (string ip in addresses)
            await lab.AddServiceAsync($"web{ip[^3..]}", ip);
        // An answer of two nodes is an exception of WhoHasAsync.
        var owners = new List<string>();
        foreach (string ip in addresses)
            owners.Add(await lab.WaitForOwnerAsync(ip));

        Assert.True(owners.Distinct().Count() > 1, string.Join(' ', owners));
        await lab.WaitForSumAsync("metallb_speaker_announced", addresses.Length);
        // It is written after the announcement.
        await Wait.UntilAsync(async () => await lab.EventCountAsync("web100", "nodeAssigned") > 0, TimeSpan.FromSeconds(60), "an Event", Cancelled);
        Assert.Equal(1, await lab.EventCountAsync("web100", "nodeAssigned"));

        // After the first answer arping asks by unicast, as neighbours do that confirm what they know.
        string answers = await lab.Client.Namespace.RunAsync("arping", ["-c", "3", "-w", "30", "-I", "eth0", addresses[0]], Cancelled);
        Assert.Contains("Received 3 response(s)", answers, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_speaker_that_stood_still_answers_nothing_before_it_was_heard_again()
    {
        await using var lab = await SpeakerLab.StartAsync();
        await lab.AddServiceAsync("web", Ip);
        // Another that has it for a moment, while a busy machine keeps the elected one from renewing its Lease, would not get it back.
        string first = await lab.WaitForElectedOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();

        var paused = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("STOP");
        try
        {
            await capture.FirstClaimAsync(lab, Ip, first, paused);
            // Requests that wait in the sleeper's socket must not be answered when it wakes.
            for (int i = 0; i < 5; i++)
                Assert.NotEqual(first, await lab.WhoHasAsync(Ip));
        }
        catch
        {
            lab.Speaker(first).Signal("CONT");
            throw;
        }
        // Before it can say anything.
        var woken = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("CONT");

        // Nobody asks now: a reply in this time is one to a request that waited.
        await Task.Delay(TimeSpan.FromSeconds(1.5), TimeProvider.System, Cancelled);
        await Wait.UntilAsync(() => Task.FromResult(capture.Of(Ip).Any(arp => arp.Node == first && arp.At > woken)), TimeSpan.FromSeconds(60), () => $"a word of the woken speaker, {first}\n{lab.WholeLogs()}", Cancelled);
        var words = capture.Of(Ip).Where(arp => arp.Node == first && arp.At > woken).ToArray();
        output.WriteLine($"first word of the woken speaker {(words[0].At - woken).TotalMilliseconds:F0} ms after it woke");
        Assert.All(words, static arp => Assert.True(arp.IsGratuitous, $"a late answer: {arp}"));
        await lab.WaitForOwnerToBeAsync(Ip, first);
        for (int i = 0; i < 3; i++)
            Assert.Equal(first, await lab.AnswererAsync(Ip));
    }

    [Fact]
    public async Task While_the_api_server_stands_still_nothing_changes_hands()
    {
        await using var lab = await SpeakerLab.StartAsync(3);
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();
        // The rounds of the beginning are over.
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, Cancelled);

        lab.ApiServer.Signal("STOP");
        var watch = Stopwatch.StartNew();
        try
        {
            while (watch.Elapsed < TimeSpan.FromSeconds(10))
                Assert.Equal(first, await lab.AnswererAsync(Ip));
        }
        finally
        {
            lab.ApiServer.Signal("CONT");
        }
        watch.Restart();
        while (watch.Elapsed < TimeSpan.FromSeconds(6))
            Assert.Equal(first, await lab.AnswererAsync(Ip));
        Assert.All(capture.Of(Ip), arp => Assert.Equal(first, arp.Node));
    }

    [Fact]
    public async Task A_service_that_goes_is_answered_no_more()
    {
        await using var lab = await SpeakerLab.StartAsync();
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        await lab.DeleteServiceAsync("web");
        await lab.WaitForSumAsync("metallb_speaker_announced", 0);
        // Frames that were on their way have been written down by now.
        Assert.Null(await lab.WhoHasAsync(Ip));

        // The schedule of gratuitous packets ends with the announcement.
        var capture = await lab.CaptureAsync();
        await Task.Delay(TimeSpan.FromSeconds(2.5), TimeProvider.System, Cancelled);
        Assert.Empty(capture.Of(Ip));
        Assert.Null(await lab.WhoHasAsync(Ip));
    }

    [Fact]
    public async Task No_frame_for_a_leased_address_is_sent_after_its_end_not_even_without_the_api_server()
    {
        await using var lab = await SpeakerLab.StartAsync();
        var capture = await lab.CaptureAsync();
        var end = TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(15);
        end = end.AddTicks(-(end.Ticks % TimeSpan.TicksPerSecond));
        await lab.AddServiceAsync("web", Ip, end);
        await lab.WaitForOwnerAsync(Ip);
        lab.ApiServer.Signal("KILL");

        while (TimeProvider.System.GetUtcNow() < end + TimeSpan.FromSeconds(3))
            await lab.WhoHasAsync(Ip);

        var seen = capture.Of(Ip);
        Assert.Contains(seen, arp => !arp.IsGratuitous);
        output.WriteLine($"{seen.Count} frames, the last {(end - seen[^1].At).TotalMilliseconds:F0} ms before the end");
        Assert.All(seen, arp => Assert.True(arp.At < end, $"{arp} after {end:O}"));
        Assert.Null(await lab.WhoHasAsync(Ip));
    }

    [Fact]
    public async Task Interfaces_that_flap_or_are_replaced_go_on_announcing()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        var node = lab.Network["node1"].Namespace;

        await node.IpAsync("link set eth0 down", Cancelled);
        Assert.Null(await lab.WhoHasAsync(Ip));
        var capture = await lab.CaptureAsync();
        await node.IpAsync("link set eth0 up", Cancelled);
        // The kernel's messages tell of it; a look without any may come half a minute later.
        Assert.Equal("node1", await lab.WaitForOwnerAsync(Ip, 10));
        // Whoever asked may have had an answer before that.
        await Wait.UntilAsync(() => Task.FromResult(capture.Of(Ip).Any(static arp => arp.IsGratuitous)), TimeSpan.FromSeconds(60), "a gratuitous ARP", Cancelled);

        // A new interface under the old name, as when a driver is reloaded.
        await node.IpAsync("link delete eth0", Cancelled);
        await lab.Network.Switch.IpAsync($"link add p2-node1 type veth peer name eth0 netns {node.Name}", Cancelled);
        await lab.Network.Switch.IpAsync("link set p2-node1 master lan up", Cancelled);
        await node.IpAsync("link set eth0 up", Cancelled);
        Assert.NotNull(await lab.WaitForOwnerAsync(Ip, 10));
        await lab.WaitForMetricAsync("node1", "dynamiclb_speaker_interfaces", 1);
    }

    [Fact]
    public async Task An_interface_that_is_renamed_goes_on_announcing_unless_its_new_name_is_excluded()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        var node = lab.Network["node1"].Namespace;
        await RenameAsync("eth0", "lan0");
        await IsAnsweredAsync("lan0");

        await RenameAsync("lan0", "mgmt9");
        await lab.WaitForMetricAsync("node1", "dynamiclb_speaker_interfaces", 0);
        Assert.Null(await lab.WhoHasAsync(Ip));

        await RenameAsync("mgmt9", "lan1");
        await IsAnsweredAsync("lan1");

        // Kernels before 6.2 rename only what is down.
        async Task RenameAsync(string from, string to) =>
            await node.RunAsync("sh", ["-c", $"ip link set {from} name {to} || {{ ip link set {from} down && ip link set {from} name {to} && ip link set {to} up; }}"], Cancelled);

        async Task IsAnsweredAsync(string name)
        {
            await Wait.UntilAsync(
                () => Task.FromResult(lab.WholeLogs().Contains($"Answering ARP and NDP on {name} ", StringComparison.Ordinal)), TimeSpan.FromSeconds(60), () => $"{name} to take part\n{lab.Logs()}",
                Cancelled);
            for (int i = 0; i < 3; i++)
                Assert.Equal("node1", await lab.WaitForOwnerAsync(Ip, 10));
        }
    }
}
