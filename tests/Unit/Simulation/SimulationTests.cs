using System.Globalization;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>
/// Leases in simulated worlds. A world that fails is named by its seed; <c>DYNAMICLB_SIMULATION_SEED=n</c> replays that one,
/// <c>DYNAMICLB_SIMULATION_WORLDS=n</c> runs more worlds than usual.
/// </summary>
public sealed class SimulationTests
{
    private const int Worlds = 60;

    [Fact]
    [Trait("Fault", "C11")]
    public void Leases_survive_a_hundred_thousand_hours_of_everything_that_can_go_wrong()
    {
        if (Number("DYNAMICLB_SIMULATION_SEED") is { } only)
        {
            Run((ulong)only);
            return;
        }
        int worlds = Number("DYNAMICLB_SIMULATION_WORLDS") ?? Worlds;
        double hours = 0, hours6 = 0;
        long steps = 0, kills = 0, declines = 0;
        var gate = new Lock();
        var faults = new SortedDictionary<int, string>();
        Parallel.For(1, worlds + 1, seed =>
        {
            try
            {
                using var world = Run((ulong)seed);
                lock (gate)
                {
                    hours += world.LeaseHours;
                    hours6 += world.LeaseHours6;
                    declines += world.Declines;
                    steps += world.Steps;
                    kills += world.Kills;
                }
            }
            catch (Exception e)
            {
                lock (gate)
                    faults[seed] = e is InvalidOperationException ? e.Message : e.ToString();
            }
        });
        Assert.True(faults.Count == 0, $"{faults.Count} of {worlds} worlds failed, seeds {string.Join(' ', faults.Keys)}. \n{string.Join('\n', faults.Values.Select(f => f.Split('\n')[0]))}\nThe first:\n{faults.Values.FirstOrDefault()}");
        Console.WriteLine($"MEASURED simulation: {hours:0} lease-hours ({hours6:0} of IPv6), {steps} steps, {kills} kills, {declines} addresses declined in {worlds} worlds");
        Assert.True(worlds < Worlds || hours >= 100_000, $"only {hours:0} lease-hours");
        Assert.True(worlds < Worlds || (hours6 >= 5_000 && declines >= 100), $"only {hours6:0} lease-hours of IPv6, {declines} declines");
    }

    [Fact]
    public void A_seed_makes_the_same_world_every_time()
    {
        using var first = Run(3);
        using var second = Run(3);
        Assert.Equal((first.Fingerprint, first.Steps), (second.Fingerprint, second.Steps));
    }

    private static SimulatedWorld Run(ulong seed)
    {
        var world = new SimulatedWorld(seed);
        world.Run();
        return world;
    }

    private static int? Number(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
