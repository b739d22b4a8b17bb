using System.Net;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Who announces, in a world of lost frames, pauses and partitions: never two for longer than it takes to hear each other, never none for longer than the detection time.</summary>
public sealed class HeartbeatSimulationTests
{
    // Five intervals, by a clock that may be slow, and the look after them.
    private static readonly TimeSpan DetectionTime = TimeSpan.FromMilliseconds(600);

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
    public void A_segment_that_passes_no_heartbeats_has_one_announcer_among_those_who_hear_each_other_elsewhere()
    {
        var world = new HeartbeatWorld(8, 5, 0.02, segments: 2) { Unheard = { 2 } };
        world.Run(3);
        Assert.All(Addresses, address => Assert.Single(world.Owners(address, segment: 2)));
        var owner = Assert.Single(world.Owners(Addresses[0], segment: 2));
        owner.Kill();
        world.Run(0.65);
        Assert.NotEqual(owner, Assert.Single(world.Owners(Addresses[0], segment: 2)));
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
            var overlaps = new Overlaps(world);
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
                overlaps.Troubled();
            }
            foreach (var node in world.Nodes)
            {
                node.Part = 0;
                if (!node.IsRunning)
                    node.Start();
                else if (node.IsPaused)
                    node.Wake();
            }
            overlaps.Troubled();
            world.Run(4);
            overlaps.Look();
            Assert.True(overlaps.Longest <= DetectionTime, $"seed {seed}: an address had two announcers for {overlaps.Longest.TotalMilliseconds:0} ms of calm");
            Assert.All(Addresses, address => Assert.True(world.Owners(address).Count == 1, $"seed {seed}: {address} has {world.Owners(address).Count} announcers"));
        }
    }

    /// <summary>For how long addresses have more than one announcer on a side of the world while nothing happens to anybody.</summary>
    private sealed class Overlaps
    {
        private readonly HeartbeatWorld _world;
        private readonly TimeSpan?[] _since = new TimeSpan?[Addresses.Length * 2];

        public Overlaps(HeartbeatWorld world)
        {
            _world = world;
            world.Changed = Look;
        }

        public TimeSpan Longest { get; private set; }

        /// <summary>Something was done to somebody: what there is now has this cause, and its time begins.</summary>
        public void Troubled()
        {
            Look();
            Array.Clear(_since);
            Look();
        }

        public void Look()
        {
            for (int i = 0; i < _since.Length; i++)
            {
                if (_since[i] is { } since && _world.Now - since > Longest)
                    Longest = _world.Now - since;
                _since[i] = _world.Owners(Addresses[i / 2], i % 2).Count > 1 ? _since[i] ?? _world.Now : null;
            }
        }
    }
}
