using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.MacPool;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class MacTests
{
    private static readonly byte[] Key = new byte[32];

    [Fact]
    public void A_generated_MAC_is_always_the_same_for_the_same_service_and_key()
    {
        var mac = new MacGenerator(0x024c42, Key).Derive("demo/web", 0);

        Assert.Equal(mac, new MacGenerator(0x024c42, Key).Derive("demo/web", 0));
        Assert.NotEqual(mac, new MacGenerator(0x024c42, Key).Derive("demo/web", 1));
        Assert.NotEqual(mac, new MacGenerator(0x024c42, Key).Derive("demo/api", 0));
        Assert.NotEqual(mac, new MacGenerator(0x024c42, [1, .. Key]).Derive("demo/web", 0));
        Assert.StartsWith("02:4c:42:", mac.ToString(), StringComparison.Ordinal);
        Assert.True(mac.IsLocallyAdministered && !mac.IsMulticast);
    }

    [Fact]
    [Trait("Fault", "C10")]
    public void A_MAC_that_another_lease_has_is_not_generated_twice()
    {
        using var lab = new LeaseLab();
        var generator = new MacGenerator(lab.Options.MacPrefix, lab.Store.MacKey());
        // The list holds the first choice: it is kept from the generator as a MAC in use is.
        _ = lab.Keeper.AddMacs([generator.Derive("demo/web", 0).ToString()]);

        Assert.Equal(generator.Derive("demo/web", 1).ToString(), lab.Lease("demo/web").Mac);
    }

    [Fact]
    public void The_MAC_follows_from_the_UID_unless_the_configuration_says_the_name()
    {
        using var byUid = new LeaseLab();
        using var byName = new LeaseLab(new AddressServiceOptions { MacFromName = true });
        var generator = new MacGenerator(byUid.Options.MacPrefix, byUid.Store.MacKey());

        Assert.Equal(generator.Derive("uid-1", 0).ToString(), byUid.Lease("demo/web", "uid-1").Mac);
        Assert.Equal(generator.Derive("demo/web", 0).ToString(), byName.Lease("demo/web", "uid-1").Mac);
    }

    [Theory]
    [InlineData("02.00.00.00.00.01")]
    [InlineData("02:00:00:00:00:01")]
    [InlineData("02-00-00-00-00-01")]
    [InlineData("0200.0000.0001")]
    public void A_MAC_may_be_written_in_any_of_four_ways(string text)
    {
        Assert.Null(MacList.Parse(text, out var mac));
        Assert.Equal(0x020000000001UL, mac.Value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("02:00:00:00:00")]
    [InlineData("02:00:00:00:00:0g")]
    [InlineData("02:00-00:00:00:01")]
    [InlineData("00:00:00:00:00:00")]
    [InlineData("01:00:5e:00:00:01")]
    [InlineData("ff:ff:ff:ff:ff:ff")]
    public void A_MAC_that_no_station_can_have_is_refused(string text) => Assert.NotNull(MacList.Parse(text, out _));

    [Fact]
    public void Case50_the_pool_rejects_duplicates_multicast_and_malformed_ones_and_adds_the_rest()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { MacSource = MacSource.Pool });

        var added = lab.Keeper.AddMacs(["02:00:00:00:00:01", "02.00.00.00.00.01", "01:00:5e:00:00:01", "x", "0200.0000.0002"]);

        Assert.Equal("error", added.Status);
        Assert.Equal(["02.00.00.00.00.01", "01:00:5e:00:00:01", "x"], added.Rejected.Select(r => r.Mac));
        Assert.Collection(
            added.Rejected.Select(r => r.Reason), r => Assert.Contains("already", r, StringComparison.Ordinal),
            r => Assert.Contains("multicast", r, StringComparison.Ordinal), r => Assert.Contains("malformed", r, StringComparison.Ordinal));
        Assert.Equal(["02:00:00:00:00:01", "02:00:00:00:00:02"], lab.Keeper.Status().AvailableMacs);
    }

    [Fact]
    public void Case50_a_MAC_in_use_stays_and_an_exhausted_pool_is_told()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { MacSource = MacSource.Pool });
        _ = lab.Keeper.AddMacs(["02:00:00:00:00:01"]);
        var lease = lab.Lease("demo/a");
        Assert.Equal("02:00:00:00:00:01", lease.Mac);

        var outcome = LeaseLab.Outcome(lab.Post("demo/b"));
        Assert.Equal(AcquireKind.Unavailable, outcome.Kind);
        Assert.StartsWith("no MAC left", outcome.Answer.Detail, StringComparison.Ordinal);
        Assert.Equal(["02:00:00:00:00:01", "02:00:00:00:00:09"], lab.Keeper.RemoveMacs(["02:00:00:00:00:01", "02:00:00:00:00:09"]).Unprocessed);

        _ = lab.Delete(lease.Ip);
        lab.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal("02:00:00:00:00:01", lab.Lease("demo/b").Mac);
    }

    [Fact]
    [Trait("Fault", "C10")]
    public void The_pool_and_who_uses_it_survive_a_restart()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { MacSource = MacSource.Pool });
        _ = lab.Keeper.AddMacs(["02:00:00:00:00:01", "02:00:00:00:00:02"]);
        Assert.Equal("02:00:00:00:00:01", lab.Lease("demo/a").Mac);

        lab.Restart();

        Assert.Equal(["02:00:00:00:00:02"], lab.Keeper.Status().AvailableMacs);
        Assert.Equal("02:00:00:00:00:02", lab.Lease("demo/b").Mac);
    }

    [Fact]
    public void An_empty_pool_falls_back_to_generation_where_the_configuration_says_so()
    {
        using var lab = new LeaseLab(new AddressServiceOptions { MacSource = MacSource.PoolThenGenerate, Macs = [MacAddress.Parse("02:00:00:00:00:01")] });

        Assert.Equal("02:00:00:00:00:01", lab.Lease("demo/a").Mac);
        Assert.StartsWith("02:4c:42:", lab.Lease("demo/b").Mac, StringComparison.Ordinal);
    }
}
