namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>When a speaker says that it is ready, and what makes it listen first: the loop, its guard and its links.</summary>
public sealed class HeartbeatExchangeTests
{
    private readonly SpeakerParts _parts = new();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nobody_is_told_that_we_are_ready_before_we_may_announce(bool isAlone)
    {
        await using var rig = await StartAsync(isAlone, mayAnnounce: false);
        await rig.RunAsync(5, () => Assert.False(rig.Last?.IsReady));
        Assert.False(rig.Exchange.Sight.IsReady);
        Assert.Empty(rig.OthersSight.Alive);

        rig.MayAnnounce = true;
        // It has listened for long enough meanwhile.
        await rig.RunAsync(0.1);
        Assert.True(rig.Last?.IsReady);
        Assert.Equal(!isAlone, rig.OthersSight.Alive.Contains(SpeakerParts.Me));
    }

    [Theory]
    [InlineData(false, 0.4)]
    [InlineData(true, 0.7)]
    public async Task Whoever_may_announce_is_ready_when_it_has_listened(bool isAlone, double seconds)
    {
        await using var rig = await StartAsync(isAlone);
        await rig.RunAsync(0.2, () => Assert.False(rig.Exchange.Sight.IsReady));
        await rig.RunAsync(seconds - 0.2);
        Assert.True(rig.Exchange.Sight.IsReady);
        Assert.False(rig.Exchange.Guard.IsPaused);
        Assert.Equal(!isAlone, rig.Exchange.IsKnown);
    }

    [Fact]
    public async Task Each_pause_makes_us_listen_anew_be_it_within_another()
    {
        await using var rig = await StartAsync(isAlone: false);
        await rig.RunAsync(1);
        int rejoined = 0;
        rig.Exchange.Rejoined += () => rejoined++;
        int pauses = rig.Exchange.Guard.Pauses;
        for (int i = 0; i < 2; i++)
        {
            rig.Time.Freeze(TimeSpan.FromSeconds(1));
            Assert.True(rig.Exchange.Guard.IsPaused);
            Assert.False(rig.Exchange.IsKnown);
            await rig.RunAsync(0.2, () => Assert.False(rig.Exchange.Sight.IsReady));
        }
        Assert.Equal(pauses + 2, rig.Exchange.Guard.Pauses);
        Assert.Equal(0, rejoined);
        await rig.RunAsync(0.4);
        Assert.True(rig.Exchange.IsKnown);
        Assert.Equal(1, rejoined);
    }

    [Fact]
    public async Task A_key_that_comes_later_makes_nobody_listen()
    {
        await using var rig = await StartAsync(isAlone: false, hasKey: false);
        await rig.RunAsync(1);
        Assert.False(rig.Exchange.IsOn);
        Assert.True(rig.Exchange.Sight.IsReady);
        int changed = 0;
        rig.Exchange.Changed += () => changed++;
        rig.UseKey();
        await rig.RunAsync(6, () =>
        {
            Assert.True(rig.Exchange.Sight.IsReady);
            Assert.Contains(2, rig.Exchange.Sight.ReadyLinks.AsEnumerable());
            Assert.NotEqual(false, rig.Last?.IsReady);
        });
        Assert.True(rig.Exchange.IsKnown);
        Assert.NotEqual(0, changed);
    }

    [Fact]
    public async Task A_socket_that_does_not_open_is_tried_again_each_second()
    {
        await using var rig = new HeartbeatRig(_parts) { Refuses = true };
        _parts.Links.Set(HeartbeatRig.Link(2));
        await rig.StartAsync();
        await rig.RunAsync(5);
        Assert.InRange(rig.Opened, 4, 6);
        rig.Refuses = false;
        await rig.RunAsync(2);
        Assert.NotNull(rig.Last);
    }

    [Fact]
    public async Task A_link_by_which_nobody_was_ever_heard_is_no_way_to_the_others()
    {
        await using var rig = new HeartbeatRig(_parts) { OtherIsOn = { 2 } };
        // A bridge of the node's own: it is always plugged in.
        _parts.Links.Set(HeartbeatRig.Link(2), HeartbeatRig.Link(9));
        await rig.StartAsync();
        await rig.RunAsync(1);
        Assert.True(rig.Exchange.Sight.CanServe(SpeakerParts.Me, SpeakerParts.Me, [2, 9]));

        rig.OtherIsOn.Clear();
        _parts.Links.Set(HeartbeatRig.Link(2, hasCarrier: false), HeartbeatRig.Link(9));
        await rig.RunAsync(1);
        Assert.False(rig.Exchange.Sight.CanServe(SpeakerParts.Me, SpeakerParts.Me, [2, 9]));

        _parts.Links.Set(HeartbeatRig.Link(2), HeartbeatRig.Link(9));
        rig.OtherIsOn.Add(2);
        await rig.RunAsync(0.1);
        Assert.True(rig.Exchange.Guard.IsPaused, "nothing is answered before we have listened behind the cable that was plugged in again");
        await rig.RunAsync(0.6);
        Assert.True(rig.Exchange.IsKnown);
        Assert.True(rig.Exchange.Sight.CanServe(SpeakerParts.Me, SpeakerParts.Me, [2, 9]));
    }

    private async Task<HeartbeatRig> StartAsync(bool isAlone, bool mayAnnounce = true, bool hasKey = true)
    {
        var rig = new HeartbeatRig(_parts, hasKey) { MayAnnounce = mayAnnounce };
        if (!isAlone)
            rig.OtherIsOn.Add(2);
        _parts.Links.Set(HeartbeatRig.Link(2));
        await rig.StartAsync();
        return rig;
    }
}
