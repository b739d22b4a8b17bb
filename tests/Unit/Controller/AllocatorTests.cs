using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Kubernetes;

namespace DynamicLb.Tests.Unit.Controller;

public class AllocatorTests
{
    private static readonly AddressFamily[] IPv4 = [AddressFamily.InterNetwork];
    private static readonly AddressFamily[] Dual = [AddressFamily.InterNetwork, AddressFamily.InterNetworkV6];

    private readonly Allocator _allocator = new();

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
    public void Ranges_are_used_up_in_the_order_of_the_file()
    {
        Use(Pool("a", "10.9.0.1-10.9.0.1", "10.0.0.1-10.0.0.1"));

        Assert.Equal("10.9.0.1", Allocate("one"));
        Assert.Equal("10.0.0.1", Allocate("two"));
        Assert.Contains("no available IPs", _allocator.Allocate(Name("three"), IPv4, null), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pool_that_is_not_assigned_automatically_serves_only_who_names_it()
    {
        Use(Pool("a", "10.0.0.0/24") with { AutoAssign = false });

        Assert.NotNull(_allocator.Allocate(Name("one"), IPv4, null));
        Assert.Null(_allocator.Allocate(Name("one"), IPv4, "a"));
        Assert.Equal("unknown pool \"b\"", _allocator.Allocate(Name("two"), IPv4, "b"));
    }

    [Fact]
    public void Buggy_addresses_are_avoided_where_the_pool_says_so()
    {
        Use(Pool("a", "10.0.0.254-10.0.1.1") with { AvoidBuggyIPs = true });

        Assert.Equal("10.0.0.254", Allocate("one"));
        Assert.Equal("10.0.1.1", Allocate("two"));
        Assert.NotNull(_allocator.Allocate(Name("three"), IPv4, null));
        Assert.Contains("avoids", _allocator.Adopt(Name("three"), [IPAddress.Parse("10.0.1.0")], null), StringComparison.Ordinal);
        _allocator.Release(Name("one"));
        _allocator.Release(Name("two"));
        Assert.Equal("10.0.0.254", Allocate("four"));
        Assert.Equal("10.0.1.1", Allocate("five"));
    }

    [Fact]
    public void An_address_in_use_is_refused_and_the_old_one_kept()
    {
        Use(Pool("a", "10.0.0.0/24"));
        Allocate("one");
        Allocate("two");

        string? refusal = _allocator.Adopt(Name("two"), [IPAddress.Parse("10.0.0.0")], null);

        Assert.Contains("already used by \"ns/one\"", refusal, StringComparison.Ordinal);
        Assert.Equal("10.0.0.1", _allocator.Get(Name("two"))!.Addresses[0].ToString());
    }

    [Fact]
    public void Both_addresses_of_a_dual_stack_Service_come_from_one_pool()
    {
        Use(Pool("four", "10.0.0.0/24"), Pool("both", "10.1.0.0/24", "fd00::/120"));

        Assert.Null(_allocator.Allocate(Name("one"), Dual, null));

        Assert.Equal(new Assignment("both", [IPAddress.Parse("10.1.0.0"), IPAddress.Parse("fd00::")]), _allocator.Get(Name("one")));
        Assert.Equal("10.0.0.0", Allocate("two"));
    }

    [Fact]
    public void A_new_configuration_keeps_what_it_covers_and_names_who_lost_his()
    {
        Use(Pool("a", "10.0.0.0/24"), Pool("b", "10.1.0.0/24"));
        Allocate("one");
        Assert.Null(_allocator.Allocate(Name("two"), IPv4, "b"));

        var lost = _allocator.SetPools([Pool("renamed", "10.0.0.0/16")]);

        Assert.Equal([Name("two")], lost);
        Assert.Equal("renamed", _allocator.Get(Name("one"))!.Pool);
        Assert.Equal("10.0.0.1", Allocate("three"));
    }

    [Fact]
    public void Use_counts_distinct_addresses()
    {
        Use(Pool("a", "10.0.0.0/24"));
        Allocate("one");
        Allocate("two");
        _allocator.Release(Name("one"));

        Assert.Equal(new PoolUse("a", 256, 1), Assert.Single(_allocator.Use()));
    }

    [Fact]
    public void A_large_pool_with_many_allocations_is_not_scanned()
    {
        // With a scan this would be some 10^10 steps and run for minutes.
        Use(Pool("a", "10.0.0.0/8"));
        for (int i = 0; i < 100_000; i++)
            Assert.Null(_allocator.Allocate(new NamespacedName("ns", $"s{i}"), IPv4, null));
        for (int i = 0; i < 100_000; i += 2)
            _allocator.Release(new NamespacedName("ns", $"s{i}"));
        for (int i = 0; i < 50_000; i++)
            Assert.Null(_allocator.Allocate(new NamespacedName("ns", $"t{i}"), IPv4, null));

        Assert.Equal("10.0.0.0", _allocator.Get(new NamespacedName("ns", "t0"))!.Addresses[0].ToString());
        Assert.Equal("10.1.134.160", Allocate("next"));
    }

    [Fact]
    public void Random_taking_and_returning_never_gives_an_address_twice()
    {
        var random = new Random(7);
        Use(Pool("a", "10.0.0.0/26") with { AvoidBuggyIPs = true });
        var held = new Dictionary<string, string>();
        for (int i = 0; i < 5_000; i++)
        {
            string name = $"s{random.Next(80)}";
            if (held.Remove(name))
                _allocator.Release(Name(name));
            else if (_allocator.Allocate(Name(name), IPv4, null) is null)
                held[name] = _allocator.Get(Name(name))!.Addresses[0].ToString();
            else
                Assert.Equal(63, held.Count);
            Assert.Equal(held.Count, held.Values.Distinct().Count());
        }
    }

    private void Use(params AddressPool[] pools) => _allocator.SetPools(pools);

    private string Allocate(string name)
    {
        Assert.Null(_allocator.Allocate(Name(name), IPv4, null));
        return _allocator.Get(Name(name))!.Addresses[0].ToString();
    }

    private static NamespacedName Name(string name) => new("ns", name);

    private static AddressPool Pool(string name, params string[] ranges) => new(
        name, AnnouncementProtocol.Layer2, true,
        [.. ranges.Select(static text => AddressRange.TryParse(text, out var range) is null ? range : throw new FormatException(text))], false);
}
