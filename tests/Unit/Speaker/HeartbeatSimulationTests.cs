using System.Net;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Who announces, in a world of lost frames, pauses and partitions: never two for longer than it takes to hear each other, never none for longer than the detection time.</summary>
public sealed class HeartbeatSimulationTests
{
    private static readonly IPAddress[] Addresses = [.. Enumerable.Range(1, 20).Select(static i => IPAddress.Parse($"10.20.0.{i}"))];

    [Fact]
    public void Nodes_that_start_together_agree_within_two_seconds_and_announce_twice_for_no_longer_than_a_frame_takes()
    {
        var world = new HeartbeatWorld(1, 10);
        var both = new TimeSpan[Addresses.Length];
        var last = TimeSpan.Zero;
        bool[] wasBoth = new bool[Addresses.Length];
        world.Changed = () =>
        {
            for (int i = 0; i < Addresses.Length; i++)
            {
                both[i] += wasBoth[i] ? world.Now - last : TimeSpan.Zero;
                wasBoth[i] = world.Owners(Addresses[i]).Count > 1;
            }
            last = world.Now;
        };
        world.Run(2);
        Assert.All(Addresses, address => Assert.Single(world.Owners(address)));
        Assert.All(world.Nodes, node => Assert.Equal(9, node.Sight.Alive.Count));
        // Whoever becomes ready is known to the others a frame's time later.
        Assert.All(both, static time => Assert.InRange(time, TimeSpan.Zero, TimeSpan.FromMilliseconds(30)));
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.1)]
    public void A_killed_or_paused_node_is_replaced_within_the_detection_time(double loss)
    {
        for (int seed = 0; seed < 10; seed++)
        {
            var world = new HeartbeatWorld(seed, 5, loss);
            world.Run(3);
            var owner = Assert.Single(world.Owners(Addresses[0]));
            if (seed % 2 == 0)
                owner.Kill();
            else
                owner.Pause();
            world.Run(0.65);
            Assert.NotEqual(owner, Assert.Single(world.Owners(Addresses[0])));
            if (seed % 2 == 1)
                owner.Wake();
            else
                owner.Start();
            var before = world.Owners(Addresses[0]);
            Assert.DoesNotContain(owner, before);
            world.Run(1.5);
            Assert.Equal(owner, Assert.Single(world.Owners(Addresses[0])));
        }
    }

    [Fact]
    public void A_node_that_leaves_is_replaced_at_once()
    {
        var world = new HeartbeatWorld(3, 4);
        world.Run(3);
        var owner = Assert.Single(world.Owners(Addresses[0]));
        owner.Leave();
        world.Run(0.01);
        Assert.NotEqual(owner, Assert.Single(world.Owners(Addresses[0])));
    }

    [Fact]
    public void Each_side_of_a_partition_has_one_announcer_and_one_remains_when_it_heals()
    {
        var world = new HeartbeatWorld(4, 6);
        world.Run(3);
        foreach (var node in world.Nodes.Take(3))
            node.Part = 1;
        world.Run(1);
        foreach (var address in Addresses)
        {
            Assert.Single(world.Owners(address, 0));
            Assert.Single(world.Owners(address, 1));
        }
        foreach (var node in world.Nodes)
            node.Part = 0;
        world.Run(0.5);
        Assert.All(Addresses, address => Assert.Single(world.Owners(address)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_node_that_loses_one_of_two_segments_is_replaced_on_that_one_alone(bool isSeen)
    {
        var world = new HeartbeatWorld(7, 5, 0.02, segments: 2);
        world.Run(3);
        var node = Assert.Single(world.Owners(Addresses[0], segment: 2));
        Assert.Equal(node, Assert.Single(world.Owners(Addresses[0], segment: 1)));
        if (isSeen)
            node.Plug(2, false);
        else
            node.Deafen(2);
        world.Run(0.65);

        Assert.Equal(node, Assert.Single(world.Owners(Addresses[0], segment: 1)));
        // Whoever does not see that the cable is dead may go on: nobody hears it.
        Assert.Single(world.Owners(Addresses[0], segment: 2), owner => owner != node);
        if (isSeen)
            Assert.DoesNotContain(node, world.Owners(Addresses[0], segment: 2));

        // Plugged in again, it listens first; nobody lets go before it is ready.
        var none = TimeSpan.Zero;
        var both = TimeSpan.Zero;
        var last = world.Now;
        int owners = 1;
        world.Changed = () =>
        {
            (none, both) = (none + (owners == 0 ? world.Now - last : default), both + (owners > 1 ? world.Now - last : default));
            (owners, last) = (world.Owners(Addresses[0], segment: 2).Count, world.Now);
        };
        if (!isSeen)
            return;
        node.Plug(2, true);
        Assert.DoesNotContain(node, world.Owners(Addresses[0], segment: 2));
        world.Run(1.5);
        Assert.Equal(node, Assert.Single(world.Owners(Addresses[0], segment: 2)));
        Assert.InRange(none + both, TimeSpan.Zero, TimeSpan.FromMilliseconds(150));
    }

    [Fact]
    public void Two_hundred_nodes_agree()
    {
        var world = new HeartbeatWorld(5, 200, 0.02);
        world.Run(5);
        Assert.All(world.Nodes, node => Assert.Equal(199, node.Sight.Alive.Count));
        var owner = Assert.Single(world.Owners(Addresses[0]));
        owner.Kill();
        world.Run(2.5);
        Assert.NotEqual(owner, Assert.Single(world.Owners(Addresses[0])));
    }

    [Fact]
    public void Recorded_frames_bring_nobody_back_to_life()
    {
        var world = new HeartbeatWorld(6, 3);
        world.Run(3);
        var dead = world.Owners(Addresses[0]).Single();
        dead.Kill();
        world.Run(1);
        var fresh = world.Nodes.First(node => node != dead);
        fresh.Kill();
        fresh.Start();
        foreach (var frame in world.Recorded.ToArray())
        {
            foreach (var node in world.Nodes.Where(node => node != dead))
                node.Receive(frame);
        }
        world.Run(1);
        Assert.DoesNotContain(dead.Name, world.Nodes.Where(node => node != dead).SelectMany(static node => node.Sight.Alive));
        Assert.NotEqual(dead, Assert.Single(world.Owners(Addresses[0])));
    }

    /// <summary>Random kills, starts, pauses and partitions for a while, then calm: at the end one announcer for each address, and overlaps in calm times are short.</summary>
    [Fact]
    public void After_any_trouble_each_address_has_one_announcer()
    {
        for (int seed = 100; seed < 130; seed++)
        {
            var world = new HeartbeatWorld(seed, 3 + (seed % 6), 0.05 * (seed % 4), 1 + (seed % 20));
            for (int step = 0; step < 40; step++)
            {
                world.Run(world.Uniform() * 1.5);
                var node = world.Nodes[(int)(world.Uniform() * world.Nodes.Count)];
                switch ((int)(world.Uniform() * 5))
                {
                    case 0 when node.IsRunning && !node.IsPaused:
                        node.Kill();
                        break;
                    case 1 when !node.IsRunning:
                        node.Start();
                        break;
                    case 2 when node.IsRunning && !node.IsPaused:
                        node.Pause();
                        break;
                    case 3 when node.IsPaused:
                        node.Wake();
                        break;
                    default:
                        node.Part ^= 1;
                        break;
                }
            }
            foreach (var node in world.Nodes)
            {
                node.Part = 0;
                if (!node.IsRunning)
                    node.Start();
                else if (node.IsPaused)
                    node.Wake();
            }
            world.Run(4);
            Assert.All(Addresses, address => Assert.True(world.Owners(address).Count == 1, $"seed {seed}: {address} has {world.Owners(address).Count} announcers"));
        }
    }
}
