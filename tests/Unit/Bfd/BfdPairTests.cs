using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Unit.Bfd;

/// <summary>Two sessions against each other.</summary>
public sealed class BfdPairTests
{
    private static readonly BfdSettings Fast = new() { TransmitInterval = TimeSpan.FromMilliseconds(50), ReceiveInterval = TimeSpan.FromMilliseconds(50) };

    [Fact]
    public void They_come_up_and_agree_on_the_slower_intervals()
    {
        var world = new BfdWorld(
            new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(100), ReceiveInterval = TimeSpan.FromMilliseconds(200), DetectMultiplier = 4 },
            new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(300), ReceiveInterval = TimeSpan.FromMilliseconds(50), DetectMultiplier = 7 });
        world.Run(5);

        Assert.True(world.BothUp);
        Assert.Equal(100, world.Left.TransmitInterval.TotalMilliseconds);
        Assert.Equal(300, world.Right.TransmitInterval.TotalMilliseconds);
        Assert.Equal(2100, world.Left.DetectionTime.TotalMilliseconds);
        Assert.Equal(400, world.Right.DetectionTime.TotalMilliseconds);
        Assert.False(world.Left.IsPolling);
        Assert.False(world.Right.IsPolling);
    }

    [Fact]
    public void A_cut_link_is_noticed_within_the_detection_time()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var world = new BfdWorld(Fast, Fast, seed);
            world.Run(5 + (seed * 0.001));
            Assert.True(world.BothUp);
            var cut = world.Now;
            world.IsCutToLeft = world.IsCutToRight = true;
            world.Run(1);

            Assert.Equal(BfdState.Down, world.Left.State);
            Assert.Equal(BfdState.Down, world.Right.State);
            Assert.All(world.Changes.Where(change => change.At > cut), change => Assert.InRange((change.At - cut).TotalMilliseconds, 0, 153));
        }
    }

    [Fact]
    public void A_link_that_is_cut_in_one_direction_goes_down_on_both_sides_and_comes_back()
    {
        var world = new BfdWorld(Fast, Fast);
        world.Run(3);
        world.IsCutToLeft = true;
        world.Run(0.3);
        Assert.Equal((BfdState.Down, BfdDiagnostic.ControlDetectionTimeExpired), (world.Left.State, world.Left.Diagnostic));
        Assert.NotEqual(BfdState.Up, world.Right.State);
        world.Run(10);
        Assert.NotEqual(BfdState.Up, world.Left.State);
        Assert.NotEqual(BfdState.Up, world.Right.State);

        world.IsCutToLeft = false;
        world.Run(3);
        Assert.True(world.BothUp);
    }

    [Fact]
    public void They_come_up_through_heavy_loss_and_never_stay_apart_in_their_views()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            var world = new BfdWorld(Fast, Fast, seed) { Loss = 0.3 };
            world.Run(60);
            world.Loss = 0;
            world.Run(5);

            Assert.True(world.BothUp, $"seed {seed}");
            int changes = world.Changes.Count;
            world.Run(60);
            Assert.Equal(changes, world.Changes.Count);
        }
    }

    [Fact]
    public void Occasional_loss_takes_nothing_down()
    {
        var world = new BfdWorld(Fast with { DetectMultiplier = 5 }, Fast with { DetectMultiplier = 5 }) { Loss = 0.01 };
        world.Run(600);

        Assert.True(world.BothUp);
        Assert.DoesNotContain(world.Changes, static change => change.Before == BfdState.Up);
    }

    [Fact]
    public void Two_passive_sides_never_meet_and_one_does()
    {
        var silent = new BfdWorld(Fast with { IsPassive = true }, Fast with { IsPassive = true });
        silent.Run(20);
        Assert.False(silent.BothUp);

        var half = new BfdWorld(Fast with { IsPassive = true }, Fast);
        half.Run(5);
        Assert.True(half.BothUp);
    }

    [Fact]
    public void Changes_on_the_fly_keep_both_sides_up()
    {
        var world = new BfdWorld(Fast, Fast) { Loss = 0.02 };
        var random = new Random(5);
        world.Run(5);
        for (int i = 0; i < 100; i++)
        {
            var settings = new BfdSettings
            {
                TransmitInterval = TimeSpan.FromMilliseconds(random.Next(10, 1000)),
                ReceiveInterval = TimeSpan.FromMilliseconds(random.Next(10, 1000)),
                DetectMultiplier = (byte)random.Next(6, 10),
            };
            if (random.Next(2) == 0)
                world.LeftTable.Configure(world.Left, settings, world.Now);
            else
                world.RightTable.Configure(world.Right, settings, world.Now);
            world.Run(random.NextDouble() * 4);
        }
        world.Loss = 0;
        world.Run(10);

        Assert.True(world.BothUp);
        Assert.False(world.Left.IsPolling);
        Assert.Equal(world.Left.Settings.TransmitInterval > world.Right.Settings.ReceiveInterval ? world.Left.Settings.TransmitInterval : world.Right.Settings.ReceiveInterval, world.Left.TransmitInterval);
        Assert.DoesNotContain(world.Changes, change => change.Before == BfdState.Up);
    }

    [Fact]
    public void Administratively_down_is_told_apart_from_failure()
    {
        var world = new BfdWorld(Fast, Fast);
        world.Run(3);
        world.RightTable.SetAdminDown(world.Right, true, world.Now);
        world.Run(0.1);

        Assert.Equal((BfdState.Down, BfdDiagnostic.NeighborSignaledSessionDown, BfdState.AdminDown), (world.Left.State, world.Left.Diagnostic, world.Left.RemoteState));
        world.RightTable.SetAdminDown(world.Right, false, world.Now);
        world.Run(3);
        Assert.True(world.BothUp);
    }

    [Fact]
    public void A_removed_session_says_that_it_is_no_failure()
    {
        var world = new BfdWorld(Fast, Fast);
        world.Run(3);
        world.RightTable.Remove(world.Right, world.Now);
        world.Run(0.05);

        Assert.Equal((BfdState.Down, BfdState.AdminDown), (world.Left.State, world.Left.RemoteState));
        Assert.Equal(0, world.RightTable.Count);
        Assert.Equal(TimeSpan.MaxValue, world.RightTable.NextDue);
    }

    [Fact]
    public void Echo_notices_a_path_that_forwards_nothing()
    {
        var echo = new BfdSettings { UsesEcho = true, EchoInterval = TimeSpan.FromMilliseconds(20) };
        var world = new BfdWorld(echo, echo);
        world.Run(3);
        Assert.True(world.BothUp);
        Assert.True(world.Left.IsEchoActive);
        var cut = world.Now;
        world.LosesEchoes = true;
        world.Run(0.085);

        var down = world.Changes.First(change => change.At > cut && change.After == BfdState.Down);
        Assert.InRange((down.At - cut).TotalMilliseconds, 0, 65);
        Assert.Equal(BfdDiagnostic.EchoFunctionFailed, down.Diagnostic);
    }
}
