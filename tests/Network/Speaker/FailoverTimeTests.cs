using System.Globalization;
using DynamicLb.Lab;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>
/// How long an address is not served when its node fails, and when it goes in good order: until another node says that it has it, and what a client sees that pings it all the time.
/// DYNAMICLB_FAILOVER_RUNS tells how often each is done; with 50 the figures are those of docs/performance.md.
/// </summary>
public sealed class FailoverTimeTests
{
    private const string Ip = "10.20.0.100";
    private static readonly int Runs =
        int.TryParse(Environment.GetEnvironmentVariable("DYNAMICLB_FAILOVER_RUNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int runs) ? runs : 3;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_address_is_served_again_within_a_second_of_a_fault_and_without_a_gap_when_its_node_goes_in_good_order()
    {
        await using var lab = await SpeakerLab.StartAsync(3, heartbeats: true);
        // Every node takes what comes for the address, as kube-proxy makes it.
        foreach (string node in (string[])["node1", "node2", "node3"])
            await lab.Network[node].Namespace.IpAsync($"addr add {Ip}/32 dev lo", Cancelled);
        await lab.AddServiceAsync("web", Ip);
        await lab.WaitForOwnerAsync(Ip);
        await lab.WaitForAllHeardAsync();
        var capture = await lab.CaptureAsync();
        var pings = await Pings.StartAsync(lab, Ip, Cancelled);
        var switchboard = lab.Network.Switch;
        Kind[] kinds =
        [
            new("killed", false, Now(node => lab.Speaker(node).Signal("KILL")), node => StartAsync(lab, node)),
            new("paused", false, Now(node => lab.Speaker(node).Signal("STOP")), Now(node => lab.Speaker(node).Signal("CONT"))),
            new("cable cut", false, node => switchboard.IpAsync($"link set p-{node} down", Cancelled), node => switchboard.IpAsync($"link set p-{node} up", Cancelled)),
            new("stopped", true, Now(node => lab.Speaker(node).Signal("TERM")), node => StartAsync(lab, node)),
            new("excluded", true, node => lab.ExcludeAsync(node, true), node => lab.ExcludeAsync(node, false)),
        ];
        for (int run = 0; run < Runs; run++)
        {
            foreach (var kind in kinds)
            {
                string first = await lab.WaitForOneOwnerAsync(Ip);
                var since = TimeProvider.System.GetUtcNow();
                await kind.Harm(first);
                var claim = await Wait.ForAsync(
                    () => Task.FromResult(capture.Of(Ip, since).FirstOrDefault(arp => arp.IsGratuitous && arp.Node != first)), TimeSpan.FromSeconds(8),
                    $"a gratuitous ARP of another node than {first}, {kind.Name}\n{lab.Logs()}", Cancelled);
                // What comes after the claim belongs to the failover too.
                await Task.Delay(TimeSpan.FromMilliseconds(400), TimeProvider.System, Cancelled);
                kind.Takeovers.Add(claim.At - since);
                kind.Gaps.Add(pings.LongestGap(since));
                await kind.Heal(first);
                await Wait.UntilAsync(async () => await lab.OwnerOrNobodyAsync(Ip) == first, TimeSpan.FromSeconds(40), $"{first} to have it back\n{lab.Logs()}", Cancelled);
                await lab.WaitForAllHeardAsync();
                // The rounds of the takeover are over, and the client's neighbour table takes the next one (its locktime is a second).
                await Task.Delay(TimeSpan.FromSeconds(1.1), TimeProvider.System, Cancelled);
            }
        }

        foreach (var kind in kinds)
        {
            Print($"{kind.Name}, until another node has it", kind.Takeovers);
            Print($"{kind.Name}, longest time without an answer to pings", kind.Gaps);
        }
        foreach (var kind in kinds.Where(static kind => !kind.IsPlanned))
        {
            Assert.All(kind.Takeovers, static took => Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(1)));
            Assert.All(kind.Gaps, static gap => Assert.InRange(gap, TimeSpan.Zero, TimeSpan.FromSeconds(1)));
        }
        // Without a gap is what is asked for; a machine that is busy with other tests may hold up the client itself.
        var longest = Runs >= 50 ? TimeSpan.FromMilliseconds(50) : TimeSpan.FromMilliseconds(250);
        foreach (var kind in kinds.Where(static kind => kind.IsPlanned))
            Assert.All(kind.Gaps, gap => Assert.InRange(gap, TimeSpan.Zero, longest));
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

    private static void Print(string what, List<TimeSpan> times)
    {
        var sorted = times.Select(static time => time.TotalMilliseconds).Order().ToArray();
        double At(double share) => sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"MEASURED failover, {what}: p50 {At(0.5):0} ms, p99 {At(0.99):0} ms, max {sorted[^1]:0} ms in {sorted.Length} runs"));
    }

    /// <summary>A way to lose a node.</summary>
    private sealed record Kind(string Name, bool IsPlanned, Func<string, Task> Harm, Func<string, Task> Heal)
    {
        public List<TimeSpan> Takeovers { get; } = [];

        public List<TimeSpan> Gaps { get; } = [];
    }
}
