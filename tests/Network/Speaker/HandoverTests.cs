using System.Diagnostics;
using System.Text.Json;
using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>How soon another speaker has an address where all that tells of a speaker is its Lease.</summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class HandoverTests(ITestOutputHelper output)
{
    private const string Ip = "10.20.0.100";
    private static readonly TimeSpan Term = TimeSpan.FromSeconds(3);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_speaker_that_is_stopped_hands_over_within_a_second()
    {
        await using var lab = await SpeakerLab.StartAsync();
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();

        var stopped = TimeProvider.System.GetUtcNow();
        var watch = Stopwatch.StartNew();
        lab.Speaker(first).Signal("TERM");
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        var exit = watch.Elapsed;

        var takeover = await capture.FirstClaimAsync(lab, Ip, first, stopped) - stopped;
        output.WriteLine($"handed over after {takeover.TotalMilliseconds:F0} ms, process gone after {exit.TotalMilliseconds:F0} ms");
        Assert.InRange(takeover, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.InRange(exit, TimeSpan.Zero, TimeSpan.FromSeconds(5));
        Assert.NotEqual(first, await lab.WhoHasAsync(Ip));

        lab.StartSpeaker(first);
        await lab.WaitForReadyAsync(first);
        await lab.WaitForOwnerToBeAsync(Ip, first);
    }

    [Fact]
    public async Task A_speaker_that_is_killed_is_replaced_within_its_lease()
    {
        await using var lab = await SpeakerLab.StartAsync();
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();

        var killed = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("KILL");

        var claimed = await capture.FirstClaimAsync(lab, Ip, first, killed);
        // How long before the kill it was renewed for the last time is up to chance, and to the machine.
        using var lease = JsonDocument.Parse(await lab.GetAsync($"apis/coordination.k8s.io/v1/namespaces/default/leases/speaker-{first}"));
        var renewed = lease.RootElement.GetProperty("spec").GetProperty("renewTime").GetDateTimeOffset();
        output.WriteLine($"taken over {(claimed - killed).TotalMilliseconds:F0} ms after it was killed, {(claimed - renewed).TotalMilliseconds:F0} ms after its last renewal");
        Assert.InRange(claimed - killed, TimeSpan.Zero, TimeSpan.FromSeconds(4));
        Assert.True(claimed - renewed >= Term - TimeSpan.FromMilliseconds(50), $"after {claimed - renewed}");
        Assert.NotEqual(first, await lab.WhoHasAsync(Ip));
    }
}
