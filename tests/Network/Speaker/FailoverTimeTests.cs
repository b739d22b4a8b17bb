using System.Globalization;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>
/// How long an address is not served when its node fails, and when it goes in good order: until another node says that it has it, and what a client sees that pings it all the time.
/// DYNAMICLB_FAILOVER_RUNS tells how often each is done; with 50 the figures are those of docs/performance.md.
/// </summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class FailoverTimeTests
{
    private const string Ip = "10.20.0.100";
    private static readonly string[] Nodes = ["node1", "node2", "node3"];
    private static readonly int Runs =
        int.TryParse(Environment.GetEnvironmentVariable("DYNAMICLB_FAILOVER_RUNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int runs) ? runs : 3;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_address_is_served_again_within_a_second_of_a_fault_and_without_a_gap_when_its_node_goes_in_good_order()
    {
        await using var lab = await SpeakerLab.StartAsync(3, heartbeats: true);
        // Both fail over together: addresses that the same node announces.
        string six = Enumerable.Range(0x100, 0x100).Select(static i => string.Create(CultureInfo.InvariantCulture, $"fd20::{i:x}")).First(ip => lab.ElectedFor(ip) == lab.ElectedFor(Ip));
        // Every node takes what comes for the addresses, as kube-proxy makes it.
        for (int i = 0; i < Nodes.Length; i++)
        {
            var node = lab.Network[Nodes[i]].Namespace;
            await node.IpAsync($"addr add {Ip}/32 dev lo", Cancelled);
            await node.IpAsync($"-6 addr add {six}/128 dev lo nodad", Cancelled);
            await node.IpAsync(string.Create(CultureInfo.InvariantCulture, $"-6 addr add fd20::{11 + i}/64 dev eth0 nodad"), Cancelled);
        }
        await lab.Client.Namespace.IpAsync("-6 addr add fd20::3/64 dev eth0 nodad", Cancelled);
        await lab.AddServiceAsync("web", Ip, localTo: Nodes);
        await lab.AddServiceAsync("web6", six, localTo: Nodes);
        await lab.WaitForOwnerAsync(Ip);
        await lab.WaitForOwnerSixAsync(six);
        var capture = await lab.CaptureAsync();
        var pings = await Pings.StartAsync(lab, Ip, Cancelled);
        var pings6 = await Pings.StartAsync(lab, six, Cancelled);
        var switchboard = lab.Network.Switch;
        Kind[] kinds =
        [
            new("killed", false, Now(node => lab.Speaker(node).Signal("KILL")), node => StartAsync(lab, node)),
            new("paused", false, Now(node => lab.Speaker(node).Signal("STOP")), Now(node => lab.Speaker(node).Signal("CONT"))),
            new("cable cut", false, node => switchboard.IpAsync($"link set p-{node} down", Cancelled), node => switchboard.IpAsync($"link set p-{node} up", Cancelled)),
            new("stopped", true, Now(node => lab.Speaker(node).Signal("TERM")), node => StartAsync(lab, node)),
            new("excluded", true, node => lab.ExcludeAsync(node, true), node => lab.ExcludeAsync(node, false)),
            new("drained", true, node => MoveEndpointsAsync(lab, [.. Nodes.Except([node])]), _ => MoveEndpointsAsync(lab, Nodes)),
        ];
        for (int run = 0; run < Runs; run++)
        {
            foreach (var kind in kinds)
            {
                string first = await lab.WaitForOneOwnerAsync(Ip);
                var since = TimeProvider.System.GetUtcNow();
                await kind.Harm(first);
                var claimed = await capture.FirstClaimAsync(lab, Ip, first, since);
                // What comes after the claim belongs to the failover too.
                await Task.Delay(TimeSpan.FromMilliseconds(400), TimeProvider.System, Cancelled);
                await pings.WaitForAnswerAsync(claimed, Cancelled);
                await pings6.WaitForAnswerAsync(claimed, Cancelled);
                kind.Takeovers.Add(claimed - since);
                kind.Gaps.Add(pings.LongestGap(since));
                kind.Gaps6.Add(pings6.LongestGap(since));
                await kind.Heal(first);
                await lab.WaitForOwnerToBeAsync(Ip, first);
                await lab.WaitForOwnerSixToBeAsync(six, first);
                await lab.WaitForAllHeardAsync();
                // The rounds of the takeover are over, and the client's neighbour table takes the next one (its locktime is a second).
                await Task.Delay(TimeSpan.FromSeconds(1.1), TimeProvider.System, Cancelled);
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"MEASURED failover, {Runs} runs, ms | taken over: p50 |  p99 |  max | gap: p50 |  p99 |  max | gap, IPv6: p50 |  p99 |  max |"));
        foreach (var kind in kinds)
            Console.WriteLine($"MEASURED {kind.Name,-26} | {Row(kind.Takeovers, 15)} | {Row(kind.Gaps, 8)} | {Row(kind.Gaps6, 14)} |");
        foreach (var kind in kinds.Where(static kind => !kind.IsPlanned))
        {
            AssertMost(kind.Takeovers, TimeSpan.FromSeconds(1));
            AssertMost(kind.Gaps, TimeSpan.FromSeconds(1));
            AssertMost(kind.Gaps6, TimeSpan.FromSeconds(1));
        }
        // Without a gap is what is asked for; a machine that is busy with other tests may hold up the client itself.
        var longest = Runs >= 50 ? TimeSpan.FromMilliseconds(50) : TimeSpan.FromMilliseconds(250);
        foreach (var kind in kinds.Where(static kind => kind.IsPlanned))
        {
            AssertMost(kind.Gaps, longest);
            AssertMost(kind.Gaps6, longest);
        }
    }

    /// <summary>That none took longer; with a few runs, that half of them did not: the machine may be busy with something else in one.</summary>
    private static void AssertMost(List<TimeSpan> times, TimeSpan longest)
    {
        if (Runs < 50)
            times = [times.Order().ElementAt(times.Count / 2)];
        Assert.All(times, time => Assert.InRange(time, TimeSpan.Zero, longest));
    }

    private static Func<string, Task> Now(Action<string> action) => node =>
    {
        action(node);
        return Task.CompletedTask;
    };

    private static async Task StartAsync(SpeakerLab lab, string node)
    {
        await lab.Speaker(node).WaitForExitAsync(Cancelled);
        lab.StartSpeaker(node);
    }

    private static async Task MoveEndpointsAsync(SpeakerLab lab, IReadOnlyList<string> nodes)
    {
        await lab.MoveEndpointsAsync("web", nodes);
        await lab.MoveEndpointsAsync("web6", nodes);
    }

    private static string Row(List<TimeSpan> times, int width)
    {
        var sorted = times.Select(static time => time.TotalMilliseconds).Order().ToArray();
        string At(double share) => sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)].ToString("0", CultureInfo.InvariantCulture);
        return $"{At(0.5).PadLeft(width)} | {At(0.99),4} | {At(1),4}";
    }

    /// <summary>A way to lose a node.</summary>
    private sealed record Kind(string Name, bool IsPlanned, Func<string, Task> Harm, Func<string, Task> Heal)
    {
        public List<TimeSpan> Takeovers { get; } = [];

        public List<TimeSpan> Gaps { get; } = [];

        public List<TimeSpan> Gaps6 { get; } = [];
    }
}
