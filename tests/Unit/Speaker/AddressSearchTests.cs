using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>When an address is looked for, and when again.</summary>
public sealed class AddressSearchTests
{
    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private static readonly MacAddress Stranger = MacAddress.Parse("02:00:00:00:00:66");
    private readonly AddressConflicts _conflicts = new(ConflictPolicy.Refuse);

    [Fact]
    public void A_new_address_is_looked_for_at_once_and_what_is_refused_after_half_a_minute()
    {
        _conflicts.Start();
        _conflicts.Come(Ip, false);
        AssertProbed(TimeSpan.Zero);
        Refuse();
        AssertProbed(AddressConflicts.RetryAfter);
        Assert.False(_conflicts.MustProbe(Ip, null, out _));
    }

    [Fact]
    public void What_one_of_us_may_have_had_is_looked_for_again_soon_for_it_may_just_be_handing_over()
    {
        _conflicts.Come(Ip, false);
        _conflicts.Start();
        AssertProbed(TimeSpan.Zero);
        Refuse();
        AssertProbed(AddressConflicts.RetrySoon);
        Refuse();
        AssertProbed(AddressConflicts.RetryAfter);
    }

    [Fact]
    public void A_search_on_other_interfaces_than_those_to_announce_on_begins_again()
    {
        _conflicts.Start();
        _conflicts.Come(Ip, false);
        Assert.True(_conflicts.MustProbe(Ip, Names("eth1"), out _));
        Assert.False(_conflicts.MustProbe(Ip, Names("eth1"), out _));
        Assert.True(_conflicts.MustProbe(Ip, Names("eth0"), out _));
        Assert.True(_conflicts.MustProbe(Ip, null, out _));
        Assert.False(_conflicts.MustProbe(Ip, null, out _));
        Assert.True(_conflicts.MustProbe(Ip, Names("eth0"), out _));
    }

    private static HashSet<string> Names(string name) => [name];

    private void AssertProbed(TimeSpan after)
    {
        Assert.True(_conflicts.MustProbe(Ip, null, out var begin));
        Assert.Equal(after, begin);
    }

    private void Refuse()
    {
        _conflicts.Probed(Ip, Stranger, TimeSpan.Zero);
        Assert.Equal(Stranger, _conflicts.Refusal(Ip));
    }
}
