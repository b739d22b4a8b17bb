using System.Globalization;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>Speakers that hear each other on the segment: how soon another takes over, and that never two do.</summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class HeartbeatTests
{
    private const string Ip = "10.20.0.100";
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_speaker_that_is_killed_while_the_API_server_is_away_is_replaced_within_a_second()
    {
        await using var lab = await SpeakerLab.StartAsync(3, heartbeats: true);
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();
        lab.ApiServer.Signal("STOP");
        // Longer than the Leases hold.
        await Task.Delay(TimeSpan.FromSeconds(4), TimeProvider.System, Cancelled);
        string first = await lab.WaitForOneOwnerAsync(Ip);
        var took = await TakeoverAsync(lab, capture, first, () => lab.Speaker(first).Signal("KILL"));
        lab.ApiServer.Signal("CONT");
        Print("killed without the API server", [took]);
        Assert.InRange(took, TimeSpan.Zero, Longest);
    }

    [Fact]
    public async Task A_speaker_that_stops_hands_over_before_it_is_silent_and_one_that_starts_takes_nothing_before_it_has_listened()
    {
        await using var lab = await SpeakerLab.StartAsync(2, heartbeats: true);
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();

        var handed = await TakeoverAsync(lab, capture, first, () => lab.Speaker(first).Signal("TERM"));
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        Print("stopped", [handed]);
        // How soon is measured by FailoverTimeTests; here the machine may be busy.
        Assert.InRange(handed, TimeSpan.Zero, Longest * 3);

        var since = TimeProvider.System.GetUtcNow();
        lab.StartSpeaker(first);
        await BackAsync(lab, first);
        // From its first word on the address is its own: the other says nothing any more.
        await Wait.UntilAsync(() => Task.FromResult(capture.Of(Ip, since).Any(arp => arp.Node == first)), TimeSpan.FromSeconds(60), $"a word of {first}", Cancelled);
        var words = capture.Of(Ip, since);
        var begun = words.First(arp => arp.Node == first).At;
        Assert.DoesNotContain(words, arp => arp.Node != first && arp.At > begun + TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public async Task A_node_that_loses_one_of_two_cables_is_replaced_on_that_segment_alone()
    {
        const string Far = "10.30.0.100";
        await using var lab = await SpeakerLab.StartAsync(3, heartbeats: true);
        await lab.AddSegmentAsync();
        foreach (string node in (string[])["node1", "node2", "node3"])
            await lab.WaitForMetricAsync(node, "dynamiclb_speaker_interfaces", 2);
        var near = Enumerable.Range(100, 6).Select(static i => string.Create(CultureInfo.InvariantCulture, $"10.20.0.{i}")).ToArray();
        foreach (string ip in near)
            await lab.AddServiceAsync($"near{ip[^3..]}", ip);
        await lab.AddServiceAsync("far", Far);
        var owners = new List<string>();
        foreach (string ip in near)
            owners.Add(await lab.WaitForOwnerAsync(ip));
        // Until they hear each other there, too, more than one takes itself for the owner.
        string first = await lab.WaitForElectedOwnerAsync(Far);
        var capture = await lab.CaptureAsync("eth1");
        var here = await lab.CaptureAsync();

        var since = TimeProvider.System.GetUtcNow();
        var took = await TakeoverAsync(lab, capture, first, () => lab.Network.Switch.IpAsync($"link set q-{first} down", Cancelled), Far);
        Print("one of two cables cut", [took]);
        Assert.InRange(took, TimeSpan.Zero, Longest);
        for (int i = 0; i < near.Length; i++)
        {
            Assert.Equal(owners[i], await lab.AnswererAsync(near[i]));
            Assert.DoesNotContain(here.Of(near[i]), arp => arp.Node != owners[i] && arp.At > since);
        }

        await lab.Network.Switch.IpAsync($"link set q-{first} up", Cancelled);
        await lab.WaitForOwnerToBeAsync(Far, first);
    }

    [Fact]
    public async Task Speakers_without_a_key_or_with_another_one_are_judged_by_their_Leases()
    {
        await using var lab = await SpeakerLab.StartAsync(2);
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        lab.UseHeartbeats();
        lab.Speaker("node1").Signal("KILL");
        lab.StartSpeaker("node1");
        await lab.WaitForReadyAsync("node1");
        foreach (string node in (string[])["node1", "node2"])
            await lab.WaitForMetricAsync(node, "dynamiclb_speaker_members", 2);
        await lab.WaitForElectedOwnerAsync(Ip);
        // An answer of two nodes is an exception of WhoHasAsync.
        for (int i = 0; i < 10; i++)
            Assert.NotNull(await lab.AnswererAsync(Ip));
    }

    [Fact]
    public async Task A_speaker_that_has_no_configuration_takes_no_address_from_those_that_have()
    {
        await using var lab = await SpeakerLab.StartAsync(2, heartbeats: true);
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForElectedOwnerAsync(Ip);
        string other = first == "node1" ? "node2" : "node1";
        lab.Speaker(first).Signal("KILL");
        await lab.WaitForOwnerToBeAsync(Ip, other);

        const string Late = "late.yaml";
        lab.StartSpeaker(first, Late);
        // Many times what it listens for.
        await Wait.UntilAsync(
            async () => await lab.MetricOrNothingAsync(first, "dynamiclb_speaker_heartbeats_sent_total") > 30, TimeSpan.FromSeconds(60), $"heartbeats of {first}", Cancelled);
        for (int i = 0; i < 5; i++)
            Assert.Equal(other, await lab.AnswererAsync(Ip));

        File.Copy(Path.Combine(lab.Network.Folder, "config.yaml"), Path.Combine(lab.Network.Folder, Late));
        await lab.WaitForOwnerToBeAsync(Ip, first);
    }

    private static async Task<TimeSpan> TakeoverAsync(SpeakerLab lab, ArpCapture capture, string first, Func<Task> harm, string ip = Ip)
    {
        var since = TimeProvider.System.GetUtcNow();
        await harm();
        return await capture.FirstClaimAsync(lab, ip, first, since) - since;
    }

    private static Task<TimeSpan> TakeoverAsync(SpeakerLab lab, ArpCapture capture, string first, Action harm) => TakeoverAsync(lab, capture, first, () =>
    {
        harm();
        return Task.CompletedTask;
    });

    /// <summary>Waits until a node has the address again, and all are heard.</summary>
    private static async Task BackAsync(SpeakerLab lab, string node)
    {
        await lab.WaitForOwnerToBeAsync(Ip, node);
        await lab.WaitForAllHeardAsync();
        // The rounds of the takeover are over.
        await Task.Delay(TimeSpan.FromSeconds(0.5), TimeProvider.System, Cancelled);
    }

    private static void Print(string what, List<TimeSpan> times) => Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"MEASURED failover, {what}: {times.Min(static t => t.TotalMilliseconds):0} to {times.Max(static t => t.TotalMilliseconds):0} ms in {times.Count} runs"));
}
