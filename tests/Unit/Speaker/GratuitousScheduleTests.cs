using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class GratuitousScheduleTests
{
    private static readonly IPv4Address Ip = IPv4Address.Parse("10.0.0.1");
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

    private static TimeSpan At(int milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private List<(int At, IPv4Address Address)> Run(int until, int from = 0)
    {
        var sent = new List<(int, IPv4Address)>();
        for (int now = from; now < until; now++)
        {
            while (_schedule.TryTake(At(now), out var address))
                sent.Add((now, address));
        }
        return sent;
    }
}
