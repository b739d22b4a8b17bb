using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class GratuitousScheduleTests
{
    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private readonly GratuitousSchedule _schedule = new();

    [Fact]
    public void Neighbours_are_told_at_once_and_every_1100_ms_for_5_s()
    {
        _schedule.Add(Ip, GratuitousSchedule.Rounds, At(0));

        Assert.Equal([0, 1100, 2200, 3300, 4400], Run(20_000).Select(static sent => sent.At));
    }

    [Fact]
    public void A_new_cause_begins_anew()
    {
        _schedule.Add(Ip, GratuitousSchedule.Rounds, At(0));
        var before = Run(3000);
        _schedule.Add(Ip, GratuitousSchedule.Rounds, At(3000));

        Assert.Equal([0, 1100, 2200], before.Select(static sent => sent.At));
        Assert.Equal([3000, 4100, 5200, 6300, 7400], Run(20_000, 3000).Select(static sent => sent.At));
    }

    [Fact]
    public void A_defence_waits_its_moment_and_is_dropped_with_the_address()
    {
        _schedule.Add(Ip, 1, At(1000));
        Assert.Equal(At(1000), _schedule.NextDue);
        _schedule.Remove(Ip);

        Assert.Null(_schedule.NextDue);
        Assert.Empty(Run(5000));
    }

    [Fact]
    public void A_defence_does_not_shorten_the_rounds_of_a_new_address()
    {
        _schedule.Add(Ip, GratuitousSchedule.Rounds, At(0));
        _schedule.Add(Ip, 1, At(0));

        Assert.Equal(5, Run(20_000).Count);
    }

    [Fact]
    public void A_thousand_addresses_are_spaced_and_none_is_forgotten()
    {
        for (uint i = 0; i < 1000; i++)
            _schedule.Add(new IPv4Address(0x0a000000 + i), GratuitousSchedule.Rounds, At(0));
        var sent = Run(20_000);

        Assert.Equal(5000, sent.Count);
        Assert.All(sent.GroupBy(static item => item.Address), static rounds => Assert.Equal(5, rounds.Count()));
        Assert.All(sent.GroupBy(static item => item.At / 10), static batch => Assert.InRange(batch.Count(), 1, 2 * GratuitousSchedule.BatchSize));
        Assert.Equal(1000, sent.Where(static item => item.At < 250).Select(static item => item.Address).Distinct().Count());
    }

    [Fact]
    public void Addresses_that_stay_are_told_of_again_each_at_its_own_time()
    {
        var schedule = new GratuitousSchedule(TimeSpan.FromSeconds(60));
        for (uint i = 0; i < 600; i++)
            schedule.Add(new IPv4Address(0x0a000000 + i), 1, At(0));
        _ = Run(schedule, 1000);
        var later = Run(schedule, 181_000, 1000);

        // Within the first 60 s each for the first time, then every 60 s.
        Assert.All(later.GroupBy(static item => item.Address), static times => Assert.Equal(3, times.Count()));
        Assert.All(later.GroupBy(static item => item.Address), static times => Assert.Equal(60_000, times.ElementAt(2).At - times.ElementAt(1).At));
        Assert.All(later.GroupBy(static item => item.At / 1000), static second => Assert.InRange(second.Count(), 1, 40));
    }

    [Fact]
    public void A_new_cause_ends_the_wait_for_the_next_announcement()
    {
        var schedule = new GratuitousSchedule(TimeSpan.FromHours(1));
        schedule.Add(Ip, 1, At(0));
        Assert.Single(Run(schedule, 1000));
        schedule.Add(Ip, 2, At(1000));

        Assert.Equal([1000, 2100], Run(schedule, 10_000, 1000).Select(static sent => sent.At));
    }

    private static TimeSpan At(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private List<(int At, HostAddress Address)> Run(int until, int from = 0) => Run(_schedule, until, from);

    private static List<(int At, HostAddress Address)> Run(GratuitousSchedule schedule, int until, int from = 0)
    {
        var sent = new List<(int, HostAddress)>();
        for (int now = from; now < until; now++)
        {
            while (schedule.TryTake(At(now), out var address))
                sent.Add((now, address));
        }
        return sent;
    }
}
