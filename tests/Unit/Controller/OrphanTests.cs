using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>Leases whose Services went while nobody looked.</summary>
public sealed class OrphanTests
{
    [Fact]
    public async Task Case49_the_lease_of_a_Service_deleted_while_we_were_down_is_given_back_after_the_grace()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        var first = await ControllerLab.StartAsync(Config(dhcp));
        await first.CreateAsync("gone");
        await first.CreateAsync("stays");
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count == 2), () => "no leases");
        await first.StopAsync();
        await first.Api.Client.DeleteAsync(ResourceTypes.Services, "default", "gone", CancellationToken.None);

        await using var second = await ControllerLab.StartAsync(Config(dhcp), first.Api);
        await ControllerLab.Until(() => Task.FromResult(!dhcp.Leases.ContainsKey("default/gone")), () => "the orphan is still there");
        await SettleAsync();
        Assert.Equal(["default/stays"], dhcp.Leases.Keys);
        Assert.Equal(0, dhcp.Reports);
    }

    [Fact]
    public async Task Case49_with_no_Service_at_all_fifty_leases_are_held_and_listed_once()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        for (int i = 0; i < 50; i++)
            dhcp.Add($"default/web{i}", $"10.20.0.{i + 50}");
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await ControllerLab.Until(() => Task.FromResult(dhcp.Reports > 0), () => "nothing was reported");
        await SettleAsync();
        Assert.Equal(50, dhcp.Leases.Count);
        Assert.All(dhcp.Leases.Values, lease => Assert.NotNull(lease.OrphanedSince));
        Assert.Equal(1, dhcp.Reports);

        // The API was mended: one of them has its owner, the others are still too many.
        dhcp.Asked.Clear();
        await lab.CreateAsync("web7", (Annotations.AddressPool, "dhcp"));
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases["default/web7"].OrphanedSince is null), () => "web7 is still listed");
        await SettleAsync();
        Assert.Equal(50, dhcp.Leases.Count);

        // An operator released all but a few: they are few enough to go by themselves.
        for (int i = 11; i < 50; i++)
            dhcp.Leases.TryRemove($"default/web{i}", out _);
        await ControllerLab.Until(() => Task.FromResult(dhcp.Leases.Count <= 1), () => $"{dhcp.Leases.Count} are left");
        Assert.Equal(["default/web7"], dhcp.Leases.Keys);
    }

    [Fact]
    public async Task A_lease_of_ours_that_looks_ownerless_is_claimed_by_asking_for_it_again()
    {
        await using var dhcp = await FakeAddressService.StartAsync();
        await using var lab = await ControllerLab.StartAsync(Config(dhcp));
        await lab.CreateAsync("web");
        await lab.HasAsync("web", "10.20.0.11");
        int asked = dhcp.Acquired;
        dhcp.Leases["default/web"] = dhcp.Leases["default/web"] with { OrphanedSince = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero) };
        await ControllerLab.Until(() => Task.FromResult(dhcp.Acquired > asked), () => "it was not asked for");
        await lab.HasAsync("web", "10.20.0.11");
    }

    private static string Config(FakeAddressService dhcp) => $"""
        address-services:
        - name: dhcp
          protocol: layer2
          url: {dhcp.Url}
          cidrs: [10.20.0.0/24]
        """;

    // What must not happen needs time not to happen in: several rounds of polling, and the grace for orphans.
    private static Task SettleAsync() => Task.Delay(TimeSpan.FromMilliseconds(700), TimeProvider.System);
}
