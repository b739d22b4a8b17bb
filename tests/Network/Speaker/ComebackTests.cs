using DynamicLb.Tests.Network.Support;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>Speakers that come back: what they take again, and what they leave to others.</summary>
[Collection(Bfd.MeasuredAlone.Name)]
public sealed class ComebackTests
{
    private const string Ip = "10.20.0.100";

    // Longer than a Lease holds, and than its owner may stand still unnoticed.
    private static readonly TimeSpan Term = TimeSpan.FromSeconds(4);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_speaker_that_stood_still_while_the_API_server_is_away_has_its_address_back()
    {
        await using var lab = await SpeakerLab.StartAsync(2, heartbeats: true);
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForElectedOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();
        lab.ApiServer.Signal("STOP");
        await Task.Delay(Term, TimeProvider.System, Cancelled);

        var since = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("STOP");
        await capture.FirstClaimAsync(lab, Ip, first, since);
        await Task.Delay(Term, TimeProvider.System, Cancelled);
        lab.Speaker(first).Signal("CONT");

        await lab.WaitForOwnerToBeAsync(Ip, first);
        await Task.Delay(Term, TimeProvider.System, Cancelled);
        Assert.Equal(first, await lab.AnswererAsync(Ip));
    }

    [Fact]
    public async Task A_speaker_that_starts_while_the_API_server_is_away_takes_nothing_from_those_that_announce()
    {
        await using var lab = await SpeakerLab.StartAsync(2, heartbeats: true);
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForElectedOwnerAsync(Ip);
        var capture = await lab.CaptureAsync();
        lab.ApiServer.Signal("STOP");
        var since = TimeProvider.System.GetUtcNow();
        lab.Speaker(first).Signal("KILL");
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        await capture.FirstClaimAsync(lab, Ip, first, since);
        string second = (await lab.AnswererAsync(Ip))!;

        // It knows of no Service, so it cannot announce one.
        lab.StartSpeaker(first);
        var started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < Term * 2)
            Assert.Equal(second, await lab.AnswererAsync(Ip));

        lab.ApiServer.Signal("CONT");
        await lab.WaitForOwnerToBeAsync(Ip, first);
    }

    [Fact]
    public async Task A_sticky_owner_stays_until_it_goes_and_so_does_the_one_after_it()
    {
        await using var lab = await SpeakerLab.StartAsync(2, true, "--sticky-owners");
        await lab.AddServiceAsync("web", Ip);
        string first = await lab.WaitForOneOwnerAsync(Ip);
        lab.Speaker(first).Signal("TERM");
        await lab.Speaker(first).WaitForExitAsync(Cancelled);
        string second = await lab.WaitForOneOwnerAsync(Ip);
        Assert.NotEqual(first, second);

        lab.StartSpeaker(first);
        await lab.WaitForReadyAsync(first);
        await lab.WaitForAllKnownAsync();
        var started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < Term)
            Assert.Equal(second, await lab.AnswererAsync(Ip));

        lab.Speaker(second).Signal("KILL");
        await lab.WaitForOwnerToBeAsync(Ip, first);
    }
}
