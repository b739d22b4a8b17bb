using System.Net;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Leases that nobody owns any more.</summary>
public sealed class OrphanTests
{
    private static readonly TimeSpan Step = TimeSpan.FromSeconds(30);

    [Fact]
    public void Case49_a_lease_that_nobody_asks_for_again_is_listed_and_after_the_grace_released()
    {
        using var lab = new LeaseLab(Options());
        lab.Lease("demo/gone");
        lab.Lease("demo/stays");
        for (var passed = TimeSpan.Zero; passed < TimeSpan.FromMinutes(65); passed += Step)
        {
            lab.Advance(Step);
            lab.Lease("demo/stays");
        }
        Assert.Equal(["demo/gone"], lab.Keeper.Orphans(_ => true).Orphans.Select(o => o.Service));
        Assert.NotNull(lab.Leases.Single(l => l.Service == "demo/gone").OrphanedSince);
        Assert.Equal(2, lab.Server.Leases.Count);

        Run(lab, TimeSpan.FromMinutes(7));
        Assert.Equal(["demo/stays"], lab.Leases.Select(l => l.Service));
        Assert.Single(lab.Server.Leases);
        Assert.Single(lab.Joined);
    }

    [Fact]
    public void Asking_for_it_again_within_the_grace_keeps_it()
    {
        using var lab = new LeaseLab(Options());
        string? ip = lab.Lease("demo/web").Ip;
        Run(lab, TimeSpan.FromMinutes(65));
        Assert.Single(lab.Keeper.Orphans(_ => true).Orphans);
        Assert.Equal(ip, lab.Lease("demo/web").Ip);
        Assert.Empty(lab.Keeper.Orphans(_ => true).Orphans);
        Run(lab, TimeSpan.FromMinutes(30));
        Assert.Equal(ip, Assert.Single(lab.Leases).Ip);
    }

    [Fact]
    public void Case49_fifty_at_once_are_held_until_an_operator_releases_them()
    {
        using var lab = new LeaseLab(Options());
        for (int i = 0; i < 50; i++)
            lab.Lease($"demo/web{i}");
        Run(lab, TimeSpan.FromHours(3));
        Assert.Equal(50, lab.Server.Leases.Count);
        Assert.Equal(50, lab.Keeper.Orphans(_ => true).Orphans.Count);

        lab.Lease("demo/web0");
        Assert.Equal(49, lab.Keeper.ReleaseOrphans(_ => true).Orphans.Count);
        Run(lab, TimeSpan.FromMinutes(1));
        Assert.Equal(["demo/web0"], lab.Leases.Select(l => l.Service));
        Assert.Single(lab.Server.Leases);
    }

    [Fact]
    public void A_restart_begins_the_claim_time_anew_and_without_one_nothing_is_ever_released()
    {
        using var lab = new LeaseLab(Options());
        lab.Lease("demo/web");
        Run(lab, TimeSpan.FromMinutes(55));
        lab.Restart();
        Run(lab, TimeSpan.FromMinutes(50));
        Assert.Empty(lab.Keeper.Orphans(_ => true).Orphans);

        using var without = new LeaseLab();
        without.Lease("demo/web");
        Run(without, TimeSpan.FromDays(1));
        Assert.Empty(without.Keeper.Orphans(_ => true).Orphans);
        Assert.Single(without.Leases);
    }

    [Fact]
    public async Task Orphans_are_reported_listed_and_released_over_the_API()
    {
        await using var host = await ApiHost.StartAsync(tokens: "team-a lease,read team-a token-of-team-a\n");
        foreach (string service in (string[])["team-a/web", "team-a/api", "team-b/web"])
            await host.PostAsync("/v1/ip", $$"""{"service":"{{service}}"}""");

        // A caller speaks of its own namespaces only.
        using (var report = await host.CallAsync("token-of-team-a", HttpMethod.Post, "/v1/ip/orphans", """{"services":["team-a/web","team-a/api","team-b/web"]}"""))
            Assert.Equal(HttpStatusCode.OK, report.StatusCode);
        Assert.Equal(["team-a/api", "team-a/web"], await OrphansAsync(host));
        using (await host.CallAsync("token-of-team-a", HttpMethod.Post, "/v1/ip/orphans", """{"services":["team-a/web"]}"""))
            Assert.Equal(["team-a/web"], await OrphansAsync(host));

        using (var refused = await host.CallAsync("token-of-team-a", HttpMethod.Post, "/v1/ip/orphans/release"))
            Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        var (code, released) = await host.SendAsync(HttpMethod.Post, "/v1/ip/orphans/release");
        Assert.Equal((HttpStatusCode.OK, "team-a/web"), (code, released.GetProperty("orphans")[0].GetProperty("service").GetString()));
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Release) > 0);
        Assert.Equal(2, host.Server.Leases.Count);

        Assert.Equal(HttpStatusCode.BadRequest, (await host.PostAsync("/v1/ip/orphans", """{"services":["x"]}""")).Code);
        Assert.Equal(HttpStatusCode.BadRequest, (await host.PostAsync("/v1/ip/orphans", """{"services":[null]}""")).Code);
        Assert.Equal(HttpStatusCode.BadRequest, (await host.PostAsync("/v1/ip/orphans", "{}")).Code);
    }

    private static async Task<IEnumerable<string>> OrphansAsync(ApiHost host) =>
        (await host.SendAsync(HttpMethod.Get, "/v1/ip/orphans")).Body.GetProperty("orphans").EnumerateArray().Select(o => o.GetProperty("service").GetString()!);

    private static AddressServiceOptions Options()
    {
        var options = new AddressServiceOptions { Interface = { MessagesPerSecond = 1000, MessageBurst = 150 } };
        options.Limits.ClaimTime = TimeSpan.FromHours(1);
        return options;
    }

    private static void Run(LeaseLab lab, TimeSpan time)
    {
        for (var passed = TimeSpan.Zero; passed < time; passed += Step)
            lab.Advance(Step);
    }
}
