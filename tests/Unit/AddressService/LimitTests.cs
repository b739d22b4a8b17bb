using System.Net;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Security;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Quotas, rates and queues: what is too much is refused at once, with a cause.</summary>
public sealed class LimitTests
{
    [Fact]
    [Trait("Fault", "C27")]
    public async Task Case48_the_third_lease_of_a_namespace_with_a_quota_of_two_is_denied()
    {
        await using var host = await ApiHost.StartAsync(o => o.Limits.NamespaceQuotas = new Dictionary<string, int> { ["demo"] = 2 });
        await host.PostAsync("/v1/ip", """{"service":"demo/a"}""");
        await host.PostAsync("/v1/ip", """{"service":"demo/b"}""");
        var (code, body) = await host.PostAsync("/v1/ip", """{"service":"demo/c"}""");
        Assert.Equal((HttpStatusCode.Forbidden, "denied"), (code, body.GetProperty("status").GetString()));
        Assert.Equal("namespace-quota: demo has all 2 leases that it may have", body.GetProperty("detail").GetString());
        Assert.Equal(2, host.Server.Count(DhcpMessageType.Discover));

        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/ip", """{"service":"demo/a"}""")).Code);
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/ip", """{"service":"demo-2/c"}""")).Code);
        await host.SendAsync(HttpMethod.Delete, "/v1/ip", """{"service":"demo/b"}""");
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/ip", """{"service":"demo/c"}""")).Code);
    }

    [Fact]
    public async Task Case48_a_hundred_POSTs_a_second_are_slowed_down_with_429_and_Retry_After()
    {
        var time = new FakeTime();
        await using var host = await ApiHost.StartAsync(o => (o.Limits.RequestsPerSecond, o.Limits.RequestBurst) = (10, 20), time: time);
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        var answers = await Task.WhenAll(Enumerable.Range(0, 99).Select(_ => host.CallAsync(ApiHost.Token, HttpMethod.Post, "/v1/ip", """{"service":"demo/web"}""")));
        Assert.Equal(19, answers.Count(a => a.StatusCode == HttpStatusCode.OK));
        var refused = answers.Where(a => a.StatusCode == HttpStatusCode.TooManyRequests).ToList();
        Assert.Equal(80, refused.Count);
        Assert.All(refused, a => Assert.Equal(TimeSpan.FromSeconds(1), a.Headers.RetryAfter!.Delta));
        Assert.Equal(1, host.Server.Count(DhcpMessageType.Discover));

        // Reading goes on, and so does changing after a while.
        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Get, "/v1/status")).Code);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/ip", """{"service":"demo/web"}""")).Code);
        foreach (var answer in answers)
            answer.Dispose();
    }

    [Fact]
    public void A_namespace_gets_so_many_new_leases_a_minute_and_keeps_what_it_has()
    {
        var options = new AddressServiceOptions { Interface = { MessagesPerSecond = 1000, MessageBurst = 150 } };
        options.Limits.NamespaceRate = 10;
        using var lab = new LeaseLab(options);
        for (int i = 0; i < 20; i++)
            lab.Lease($"demo/web{i}");
        var refused = LeaseLab.Outcome(lab.Post("demo/web20"));
        Assert.Equal((AcquireKind.Limited, 6), (refused.Kind, (int)refused.RetryAfter!.Value.TotalSeconds));
        lab.Lease("demo/web0");
        lab.Lease("other/web");
        lab.Advance(refused.RetryAfter.Value);
        lab.Lease("demo/web20");
    }

    [Fact]
    public void No_more_leases_than_the_maximum_are_taken_and_a_refused_one_leaves_nothing_behind()
    {
        var options = new AddressServiceOptions { MacSource = MacSource.Pool };
        options.Limits.MaxLeases = 1;
        using var lab = new LeaseLab(options);
        _ = lab.Keeper.AddMacs(["02:00:00:00:00:01", "02:00:00:00:00:02"]);
        lab.Lease("demo/a");
        var refused = LeaseLab.Outcome(lab.Post("other/b"));
        Assert.Equal(AcquireKind.Denied, refused.Kind);
        Assert.StartsWith("max-leases: ", refused.Answer.Detail, StringComparison.Ordinal);
        Assert.Equal(["02:00:00:00:00:02"], lab.Keeper.Status().AvailableMacs);
        Assert.Single(lab.Store.Records);
    }

    [Fact]
    public void A_quota_of_zero_forbids_a_namespace()
    {
        var options = new AddressServiceOptions();
        options.Limits.NamespaceQuota = 0;
        options.Limits.NamespaceQuotas = new Dictionary<string, int> { ["team"] = 1 };
        using var lab = new LeaseLab(options);
        Assert.Equal(AcquireKind.Denied, LeaseLab.Outcome(lab.Post("demo/web")).Kind);
        lab.Lease("team/web");
    }

    [Fact]
    public async Task Calls_beyond_the_queue_are_answered_503_at_once_while_replies_still_have_room()
    {
        await using var host = await ApiHost.StartAsync();
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        using var hold = new ManualResetEventSlim();
        var held = new TaskCompletionSource();
        var holding = loop.InvokeAsync(
            _ =>
            {
                held.SetResult();
                return hold.Wait(TimeSpan.FromMinutes(1));
            },
            TestContext.Current.CancellationToken);
        await held.Task;
        var waiting = Enumerable.Range(1, LeaseLoop.MaxCalls).Select(_ => loop.InvokeAsync(_ => true, TestContext.Current.CancellationToken)).ToList();
        using var refused = await host.CallAsync(ApiHost.Token, HttpMethod.Get, "/v1/status");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.NotNull(refused.Headers.RetryAfter);
        loop.ReceiverOf(0).Received(default);
        Assert.DoesNotContain("dropped.queuefull", host.Services.GetRequiredService<DynamicLb.AddressService.Metrics.LeaseMetrics>().Totals().Keys);

        hold.Set();
        Assert.True(await holding);
        await Task.WhenAll(waiting);
        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Get, "/v1/status")).Code);
    }

    [Fact]
    public async Task More_calls_at_a_time_than_allowed_are_answered_503_with_Retry_After()
    {
        await using var host = await ApiHost.StartAsync(o =>
        {
            o.Limits.ConcurrentRequests = 2;
            // Two DISCOVERs are of two calls, then.
            o.Interface.Dhcp = o.Interface.Dhcp with { RetransmitAfter = TimeSpan.FromHours(1) };
        });
        host.Server.IsSilent = true;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var waiting = Enumerable.Range(0, 2).Select(i =>
            host.Http.PostAsync("/v1/ip", new StringContent($$"""{"service":"demo/w{{i}}"}""", System.Text.Encoding.UTF8, "application/json"), stop.Token)).ToList();
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Discover) == 2);
        using var refused = await host.CallAsync(ApiHost.Token, HttpMethod.Post, "/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(1), refused.Headers.RetryAfter!.Delta);
        await stop.CancelAsync();
        await Task.WhenAll(waiting).ContinueWith(_ => { }, TaskScheduler.Default);
    }

    [Theory]
    [InlineData(1, 20_000)]
    [InlineData(100, 10)]
    public async Task Headers_beyond_the_limits_are_answered_431(int count, int length)
    {
        await using var host = await ApiHost.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/config");
        for (int i = 0; i < count; i++)
            request.Headers.Add($"X-Filler-{i}", new string('x', length));
        using var response = await host.Http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestHeaderFieldsTooLarge, response.StatusCode);
    }

    [Fact]
    public void Keys_that_others_choose_do_not_fill_the_memory()
    {
        var buckets = new KeyedBuckets(1, 1, maxKeys: 2);
        Assert.True(buckets.TryTake("a", TimeSpan.Zero, out _));
        Assert.True(buckets.TryTake("b", TimeSpan.Zero, out _));
        Assert.True(buckets.TryTake("c", TimeSpan.Zero, out _));
        Assert.False(buckets.TryTake("d", TimeSpan.Zero, out var retryAfter));
        Assert.InRange(retryAfter.TotalSeconds, 1, 1.001);
        // Those that were idle long enough make room.
        Assert.True(buckets.TryTake("d", TimeSpan.FromSeconds(2), out _));
        Assert.True(buckets.TryTake("e", TimeSpan.FromSeconds(2), out _));
    }

    [Theory]
    [InlineData("demo=2,team=0", null)]
    [InlineData("demo", "--namespace-quotas has 'demo'")]
    [InlineData("De=2", "--namespace-quotas has 'De=2'")]
    [InlineData("demo=-1", "--namespace-quotas has 'demo=-1'")]
    [InlineData("demo=1,demo=2", "twice")]
    public void Quotas_are_read_and_their_faults_told(string value, string? fault)
    {
        var result = OptionSources.Read(["--allow-anonymous", "--namespace-quotas", value], _ => null);
        if (fault is null)
            Assert.Equal((2, 0, null), (result.Options!.Limits.QuotaOf("demo"), result.Options.Limits.QuotaOf("team"), result.Options.Limits.QuotaOf("other")));
        else
            Assert.Contains(fault, result.Text, StringComparison.Ordinal);
    }
}
