using System.Collections.Frozen;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Which address is given, from which source, and what becomes of it when the pools change.</summary>
public sealed class AllocatorTests : AllocatorLab
{
    // Which address

    [Fact]
    public void The_lowest_free_address_of_the_first_pool_is_given()
    {
        Use(Pool("a", "10.0.0.1-10.0.0.2"), Pool("b", "10.1.0.0/24"));

        Assert.Equal("10.0.0.1", Allocate("one"));
        Assert.Equal("10.0.0.2", Allocate("two"));
        Assert.Equal("10.1.0.0", Allocate("three"));
        _allocator.Release(Name("one"));
        Assert.Equal("10.0.0.1", Allocate("four"));
    }

    [Fact]
    public void Ranges_are_used_up_in_their_order_and_each_family_for_itself()
    {
        Use(Pool("a", "10.9.0.1-10.9.0.1", "fd00::/127", "10.0.0.1-10.0.0.1"));

        Assert.Equal("10.9.0.1", Allocate("one"));
        Assert.Equal("10.0.0.1", Allocate("two"));
        Assert.Equal("fd00::", Allocate("three", IPv6));
        Assert.Equal(RefusalReason.NothingAvailable, Refused(new Applicant(Name("four")), IPv4).Reason);
        Assert.Equal("fd00::1", Allocate("four", IPv6));
    }

    [Fact]
    public void A_pool_that_is_not_assigned_automatically_serves_only_who_names_it()
    {
        Use(Pool("a", "10.0.0.0/24") with { AutoAssign = false });

        Assert.Equal(RefusalReason.NothingAvailable, Refused(new Applicant(Name("one")), IPv4).Reason);
        Assert.Equal("10.0.0.0", Allocate("one", IPv4, "a"));
        Assert.Equal("unknown pool \"b\"", Refused(new Applicant(Name("two")), IPv4, "b").Message);
    }

    [Fact]
    public void A_pool_that_is_used_up_says_so_with_its_name_and_family()
    {
        Use(Pool("a", "10.0.0.1/32"), Pool("b", "10.1.0.0/24"));
        Allocate("one");

        var refusal = Refused(new Applicant(Name("two")), IPv4, "a");

        Assert.Equal((RefusalReason.PoolExhausted, "no available IPs in pool \"a\" for IPv4"), (refusal.Reason, refusal.Message));
    }

    [Theory]
    [InlineData("10.0.0.0/24", "10.0.0.1 10.0.0.2", 254)]
    [InlineData("10.0.0.254-10.0.1.1", "10.0.0.254 10.0.1.1", 2)]
    [InlineData("10.0.0.255-10.0.1.0", "", 0)]
    [InlineData("0.0.0.0/31", "0.0.0.1", 1)]
    [InlineData("255.255.255.254/31", "255.255.255.254", 1)]
    [InlineData("10.0.0.0/16", "10.0.0.1 10.0.0.2", 65_024)]
    public void Buggy_addresses_are_avoided_where_the_pool_says_so(string range, string first, int total)
    {
        Use(Pool("a", range) with { AvoidBuggyIPs = true });

        var given = new List<string>();
        while (given.Count < 2 && _allocator.Allocate(new Applicant(Name($"s{given.Count}")), IPv4, null, static _ => true).Refusal is null)
            given.Add(_allocator.Get(Name($"s{given.Count}"))!.Addresses[0].ToString());

        Assert.Equal(first, string.Join(' ', given));
        Assert.Equal(total, _allocator.Use()[0].Total);
    }

    [Fact]
    public void A_buggy_address_is_not_in_the_pool_even_for_who_asks_for_it()
    {
        Use(Pool("a", "10.0.0.0/23") with { AvoidBuggyIPs = true });

        Assert.Equal(RefusalReason.NoPoolContains, Assign("one", "10.0.0.255")!.Reason);
        Assert.Equal(RefusalReason.NoPoolContains, Assign("one", "10.0.1.0")!.Reason);
        Assert.Null(Assign("one", "10.0.1.1"));
    }

    // Addresses asked for

    [Theory]
    [InlineData("10.7.0.1", null, RefusalReason.NoPoolContains)]
    [InlineData("10.0.0.1 fd01::1", null, RefusalReason.NotInOnePool)]
    [InlineData("10.0.0.1 fd07::1", null, RefusalReason.NoPoolContains)]
    [InlineData("10.0.0.1", "b", RefusalReason.NotInRequestedPool)]
    [InlineData("10.2.0.1", null, RefusalReason.NotPermitted)]
    [InlineData("10.0.0.9", null, RefusalReason.InUse)]
    public void What_cannot_be_given_is_refused_and_costs_nothing(string asked, string? pool, object reason)
    {
        Use(Pool("a", "10.0.0.0/24", "fd00::/120"), Pool("b", "10.1.0.0/24", "fd01::/120"), Pool("c", "10.2.0.0/24") with { Allocation = Pinned(0, "elsewhere") });
        Assert.Null(Assign("other", "10.0.0.9"));
        Assert.Null(Assign("one", "10.0.0.77"));

        var refusal = _allocator.Assign(new Applicant(Name("one")), [.. asked.Split(' ').Select(IPAddress.Parse)], pool);

        Assert.Equal((RefusalReason)reason, refusal!.Reason);
        Assert.Equal("10.0.0.77", Held("one"));
    }

    [Fact]
    public void Moving_to_another_address_frees_the_first()
    {
        Use(Pool("a", "10.0.0.0/24"));
        Assign("one", "10.0.0.0");
        long freed = _allocator.Freed;

        Assert.Null(Assign("one", "10.0.0.5"));

        Assert.Equal("10.0.0.0", Allocate("two"));
        Assert.True(_allocator.Freed > freed);
    }

    [Fact]
    public void Both_families_are_assigned_at_once()
    {
        Use(Pool("a", "10.0.0.0/24", "fd00::/120"));

        Assert.Null(_allocator.Assign(new Applicant(Name("one")), [IPAddress.Parse("fd00::5"), IPAddress.Parse("10.0.0.5")], null));

        Assert.Equal("fd00::5 10.0.0.5", Held("one"));
        Assert.Equal(new PoolUse("a", 256, 256, 1, 1), _allocator.Use()[0]);
    }

    // Families

    [Theory]
    [InlineData("10.0.0.0/24", "fd00::/120", "refused")]
    [InlineData("10.0.0.0/24", "10.1.0.0/24;fd01::/120", "10.1.0.0 fd01::")]
    public void Both_families_come_from_one_pool_or_not_at_all(string first, string second, string expected)
    {
        Use(Pool("a", first.Split(';')), Pool("b", second.Split(';')));

        var result = _allocator.Allocate(new Applicant(Name("one")), FamilyWish.Both, null, static _ => true);

        Assert.Equal(expected, result.Refusal is null ? Held("one") : "refused");
    }

    [Theory]
    [InlineData("10.0.0.0/24", "10.1.0.0/24;fd01::/120", AddressFamily.InterNetwork, "10.1.0.0 fd01::")]
    [InlineData("10.0.0.0/24", "fd00::/120", AddressFamily.InterNetwork, "10.0.0.0")]
    [InlineData("10.0.0.0/24", "fd00::/120", AddressFamily.InterNetworkV6, "fd00::")]
    [InlineData("fd00::/120", "fd01::/120", AddressFamily.InterNetwork, "fd00::")]
    public void Who_prefers_both_families_takes_both_then_the_first_then_the_other(string first, string second, AddressFamily primary, string expected)
    {
        Use(Pool("a", first.Split(';')), Pool("b", second.Split(';')));

        Assert.Equal(expected, Allocate("one", FamilyWish.PreferBoth(primary)));
    }

    [Fact]
    public void A_pinned_pool_of_one_family_wins_over_one_of_both_for_all()
    {
        Use(Pool("open", "10.0.0.0/24", "fd00::/120"), Pool("pinned", "10.1.0.0/24") with { Allocation = Pinned(0) });

        Assert.Equal("10.1.0.0", Allocate("one", PreferBoth));
    }

    [Fact]
    public void A_second_address_comes_from_the_pool_of_the_first()
    {
        Use(Pool("a", "10.0.0.0/24", "fd00::/128"), Pool("b", "fd01::/120"));
        Assign("one", "10.0.0.7");
        Assign("two", "10.0.0.8");

        Assert.Null(_allocator.Extend(new Applicant(Name("one"))));
        Assert.Equal("10.0.0.7 fd00::", Held("one"));
        Assert.Equal(RefusalReason.PoolExhausted, _allocator.Extend(new Applicant(Name("two")))!.Reason);
        Assert.Equal("10.0.0.8", Held("two"));
    }

    // Pinned pools

    [Fact]
    public void Pinned_pools_go_by_priority_those_without_come_last_and_those_for_all_after_them()
    {
        Use(
            Pool("open", "10.0.0.0/32"), Pool("zero", "10.0.1.0/32") with { Allocation = Pinned(0) }, Pool("nine", "10.0.2.0/32") with { Allocation = Pinned(9) },
            Pool("two", "10.0.3.0/32") with { Allocation = Pinned(2) }, Pool("alsoTwo", "10.0.4.0/32") with { Allocation = Pinned(2) },
            Pool("off", "10.0.5.0/32") with { Allocation = Pinned(1), AutoAssign = false }, Pool("other", "10.0.6.0/32") with { Allocation = Pinned(1, "elsewhere") });

        Assert.Equal(
            ["two", "alsoTwo", "nine", "zero", "open"],
            Enumerable.Range(0, 5).Select(i => { Allocate($"s{i}"); return _allocator.Get(Name($"s{i}"))!.Pool; }));
        Assert.Equal(RefusalReason.NothingAvailable, Refused(new Applicant(Name("last")), IPv4).Reason);
        Assert.Equal("10.0.5.0", Allocate("last", IPv4, "off"));
        Assert.Equal(RefusalReason.NotPermitted, Refused(new Applicant(Name("more")), IPv4, "other").Reason);
    }

    [Theory]
    [InlineData("ns", "a=b", true)]
    [InlineData("other", "a=b", false)]
    [InlineData("ns", "a=c", false)]
    [InlineData("labelled", "a=b", true)]
    public void A_pool_is_for_the_namespaces_and_the_labels_it_names(string ns, string labels, bool allowed)
    {
        Use(Pool("a", "10.0.0.0/24") with
        {
            Allocation = new ServiceAllocation(0, new[] { "ns" }.ToFrozenSet(), [Selector("team", "x")], [Selector("a", "b")]),
        });
        var applicant = new Applicant(new NamespacedName(ns, "one"))
        {
            Labels = Labels(labels),
            NamespaceLabels = ns == "labelled" ? Labels("team=x") : null,
        };

        Assert.Equal(allowed, _allocator.Allocate(applicant, IPv4, null, static _ => true).Refusal is null);
        Assert.Equal(allowed, _allocator.Assign(applicant, [IPAddress.Parse("10.0.0.9")], null) is null);
    }

    [Fact]
    public void A_Service_that_may_no_longer_use_its_pool_is_told_when_it_asks_again()
    {
        Use(Pool("a", "10.0.0.0/24") with { Allocation = new ServiceAllocation(0, FrozenSet<string>.Empty, [], [Selector("a", "b")]) });
        var applicant = new Applicant(Name("one")) { Labels = Labels("a=b") };
        Assert.Null(_allocator.Allocate(applicant, IPv4, null, static _ => true).Refusal);

        Assert.Equal(RefusalReason.NotPermitted, _allocator.Assign(applicant with { Labels = null }, _allocator.Get(Name("one"))!.Addresses, null)!.Reason);
    }

    // Address services

    [Fact]
    public void Address_services_have_their_turn_among_the_pools()
    {
        var free = Service("free");
        var pinned = Service("pinned") with { Allocation = Pinned(3) };
        _allocator.SetSources([Pool("open", "10.0.0.0/32"), Pool("first", "10.0.1.0/32") with { Allocation = Pinned(1) }], [free, pinned]);

        Assert.Equal("10.0.1.0", Allocate("one"));
        Assert.Same(pinned, _allocator.Allocate(new Applicant(Name("two")), IPv4, null, static _ => true).AddressService);
        Assert.Null(_allocator.Allocate(new Applicant(Name("two")), IPv4, null, service => service != pinned).AddressService);
        Assert.Equal("10.0.0.0", Held("two"));
        Assert.Same(free, _allocator.Allocate(new Applicant(Name("three")), IPv4, null, service => service != pinned).AddressService);
        // When none can be asked, the first one is to be waited for.
        Assert.Same(pinned, _allocator.Allocate(new Applicant(Name("three")), IPv4, null, static _ => false).AddressService);
        Assert.Same(pinned, _allocator.Allocate(new Applicant(Name("four")), PreferBoth, null, static _ => true).AddressService);
        Assert.NotNull(_allocator.Allocate(new Applicant(Name("four")), FamilyWish.Both, null, static _ => true).Refusal);
        Assert.NotNull(_allocator.Allocate(new Applicant(Name("four")), IPv6, null, static _ => true).Refusal);
    }

    // Configuration that changes

    [Theory]
    [InlineData("10.0.0.0/24", "a")]
    [InlineData("10.0.0.0/16", "a")]
    [InlineData("10.0.0.4/30", "a")]
    [InlineData("10.0.0.0/30", null)]
    public void An_address_is_kept_while_a_pool_covers_it(string range, string? pool)
    {
        Use(Pool("a", "10.0.0.0/24"));
        Assign("one", "10.0.0.5");

        var dropped = _allocator.SetSources([Pool("a", range)], []);

        Assert.Equal(pool, _allocator.Get(Name("one"))?.Pool);
        Assert.Equal(pool is null ? [Name("one")] : [], dropped.Select(static entry => entry.Service));
    }

    [Fact]
    public void A_pool_that_is_renamed_or_split_keeps_its_Services()
    {
        Use(Pool("a", "10.0.0.0/24", "fd00::/120"));
        Assign("one", "10.0.0.5");
        Assign("two", "10.0.0.200");
        _allocator.Assign(new Applicant(Name("both")), [IPAddress.Parse("10.0.0.6"), IPAddress.Parse("fd00::6")], null);

        var dropped = _allocator.SetSources([Pool("b", "10.0.0.0/25"), Pool("c", "10.0.0.128/25", "fd00::/120")], []);

        Assert.Equal("both", Assert.Single(dropped).Service.Name);
        Assert.Equal(("b", "c"), (_allocator.Get(Name("one"))!.Pool, _allocator.Get(Name("two"))!.Pool));
    }

    [Fact]
    public void An_address_that_becomes_buggy_or_belongs_to_others_is_dropped()
    {
        Use(Pool("a", "10.0.0.0/24"), Pool("b", "10.1.0.0/24"));
        Assign("one", "10.0.0.0");
        Assign("two", "10.1.0.5");

        var dropped = _allocator.SetSources([Pool("a", "10.0.0.0/24") with { AvoidBuggyIPs = true }, Pool("b", "10.1.0.0/24") with { Allocation = Pinned(0, "elsewhere") }], []);

        Assert.Equal(
            [(Name("one"), "10.0.0.0"), (Name("two"), "10.1.0.5")],
            dropped.Select(static entry => (entry.Service, Assert.Single(entry.Addresses).ToString())).OrderBy(static entry => entry.Service.Name, StringComparer.Ordinal));
    }

    // Counting

    [Theory]
    [InlineData(false, 256, 0, "10.0.0.0/24")]
    [InlineData(true, 508, 0, "10.0.0.0/24", "10.0.1.0/24")]
    [InlineData(true, 3, 0, "10.0.0.0/30")]
    [InlineData(true, 4, 0, "10.0.0.4/30")]
    [InlineData(false, 0, long.MaxValue, "fd00::/64")]
    [InlineData(false, 0, long.MaxValue, "fd00::/66")]
    [InlineData(false, 0, 1L << 61, "fd00::/67")]
    [InlineData(true, 254, 256, "10.0.0.0/24", "fd00::/120")]
    [InlineData(false, 1L << 32, 0, "0.0.0.0/0")]
    [InlineData(false, 0, long.MaxValue, "::/0")]
    public void Sizes_are_counted_by_family(bool avoid, long v4, long v6, params string[] ranges)
    {
        Use(Pool("a", ranges) with { AvoidBuggyIPs = avoid });

        Assert.Equal(new PoolUse("a", v4, v6, 0, 0), Assert.Single(_allocator.Use()));
    }

    // Size

    [Fact(Timeout = 60_000)]
    public async Task A_hundred_thousand_addresses_of_a_large_pool_are_given_without_looking_for_them()
    {
        await Task.Yield();
        Use(Pool("a", "10.0.0.0/8") with { AvoidBuggyIPs = true });
        for (int i = 0; i < 100_000; i++)
            Allocate($"s{i}");
        Assert.Equal(100_000, _allocator.Use()[0].InUse);
        Assert.Equal("10.1.137.178", Held("s99999"));
        for (int i = 0; i < 100_000; i += 3)
            _allocator.Release(Name($"s{i}"));
        Assert.Equal("10.0.0.1", Allocate("again0"));
        for (int i = 1; i < 33_334; i++)
            Allocate($"again{i}");
        Assert.Equal("10.1.137.179", Allocate("next"));
    }
}
