using System.Net;
using System.Text.Json;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Contracts.AddressServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary><c>/v1/leases</c> over real HTTP, by curl-like calls and by the controller's client.</summary>
public sealed class LeaseApiTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private static string Text(JsonElement body, string name) => body.TryGetProperty(name, out var value) ? value.GetString() ?? "" : "";

    private static AddressServiceClient Client(ApiHost host, string? token = ApiHost.Token, Uri? address = null) =>
        new(new HttpClient { BaseAddress = address ?? host.Http.BaseAddress }, _ => ValueTask.FromResult(token), TimeSpan.FromSeconds(30), TimeProvider.System);

    [Fact]
    public async Task The_list_is_filtered_and_paged_and_the_detail_has_the_history()
    {
        await using var host = await ApiHost.StartAsync();
        foreach (string name in new[] { "a", "b", "c" })
            await host.PostAsync("/v1/ip", $$"""{"service":"demo/{{name}}"}""");
        var client = Client(host);
        var first = await client.GetLeasesAsync(new LeaseQuery(Limit: 2), Cancelled);
        var second = await client.GetLeasesAsync(new LeaseQuery(Limit: 2, Continue: first.Continue), Cancelled);
        Assert.Equal(["demo/a", "demo/b", "demo/c"], first.Leases.Concat(second.Leases).Select(l => l.Service));
        Assert.Null(second.Continue);
        Assert.Equal("demo/b", Assert.Single((await client.GetLeasesAsync(new LeaseQuery("demo/b", "bound"), Cancelled)).Leases).Service);
        Assert.Empty((await client.GetLeasesAsync(new LeaseQuery(State: "suspect"), Cancelled)).Leases);

        var (code, detail) = await host.SendAsync(HttpMethod.Get, $"/v1/leases/{first.Leases[0].Ip}");
        Assert.Equal((HttpStatusCode.OK, "demo/a"), (code, Text(detail.GetProperty("lease"), "service")));
        Assert.Equal(["bound", "requested"], detail.GetProperty("history").GetProperty("events").EnumerateArray().Select(e => Text(e, "type")));
    }

    [Theory]
    [InlineData("/v1/leases?limit=0", HttpStatusCode.BadRequest, "limit")]
    [InlineData("/v1/leases?limit=x", HttpStatusCode.BadRequest, "limit")]
    [InlineData("/v1/leases?limit=1001", HttpStatusCode.BadRequest, "limit")]
    [InlineData("/v1/leases?service=x", HttpStatusCode.BadRequest, "service")]
    [InlineData("/v1/leases?continue=x", HttpStatusCode.BadRequest, "continue")]
    [InlineData("/v1/leases/x", HttpStatusCode.BadRequest, "ip")]
    [InlineData("/v1/leases/10.77.0.200", HttpStatusCode.NotFound, "ip")]
    public async Task What_cannot_be_listed_is_refused_with_the_field_at_fault(string path, HttpStatusCode expected, string field)
    {
        await using var host = await ApiHost.StartAsync();
        var (code, body) = await host.SendAsync(HttpMethod.Get, path);
        Assert.Equal((expected, "error"), (code, Text(body, "status")));
        Assert.StartsWith(field + ":", Text(body, "detail"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/v1/leases")]
    [InlineData("/v1/leases/10.77.0.5")]
    [InlineData("/v1/leases/watch")]
    [InlineData("/v1/overview")]
    [InlineData("/v1/mac")]
    public async Task All_of_it_needs_a_token(string path)
    {
        await using var host = await ApiHost.StartAsync();
        host.Http.DefaultRequestHeaders.Remove("X-Auth-Token");
        Assert.Equal(HttpStatusCode.Unauthorized, (await host.SendAsync(HttpMethod.Get, path)).Code);
    }

    [Fact]
    public async Task A_watch_begins_with_everything_and_goes_on_with_what_happens()
    {
        await using var host = await ApiHost.StartAsync();
        await host.PostAsync("/v1/ip", """{"service":"demo/before"}""");
        await using var watch = Client(host).WatchLeasesAsync(null, Cancelled).GetAsyncEnumerator(Cancelled);
        Assert.Equal((LeaseEventType.Reset, null), await NextAsync(watch));
        Assert.Equal((LeaseEventType.Snapshot, "demo/before"), await NextAsync(watch));
        Assert.Equal((LeaseEventType.Synced, null), await NextAsync(watch));

        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal((LeaseEventType.Requested, "demo/web"), await NextAsync(watch));
        Assert.Equal((LeaseEventType.Bound, "demo/web"), await NextAsync(watch));
        await host.SendAsync(HttpMethod.Delete, "/v1/ip?service=demo/web");
        Assert.Equal((LeaseEventType.Releasing, "demo/web"), await NextAsync(watch));
        Assert.Equal(watch.Current.Id, watch.Current.Event!.Id);
    }

    [Fact]
    [Trait("Fault", "C15")]
    public async Task A_watch_resumes_after_the_last_event_seen_without_a_gap_or_a_repetition()
    {
        await using var host = await ApiHost.StartAsync();
        string? last;
        await using (var watch = Client(host).WatchLeasesAsync(null, Cancelled).GetAsyncEnumerator(Cancelled))
        {
            await NextAsync(watch);
            await NextAsync(watch);
            last = watch.Current.Id;
        }
        await host.PostAsync("/v1/ip", """{"service":"demo/meanwhile"}""");
        await using var again = Client(host).WatchLeasesAsync(last, Cancelled).GetAsyncEnumerator(Cancelled);
        Assert.Equal((LeaseEventType.Requested, "demo/meanwhile"), await NextAsync(again));
        Assert.Equal((LeaseEventType.Bound, "demo/meanwhile"), await NextAsync(again));
        Assert.Equal((LeaseEventType.Synced, null), await NextAsync(again));

        await using var stranger = Client(host).WatchLeasesAsync("1-1", Cancelled).GetAsyncEnumerator(Cancelled);
        Assert.Equal((LeaseEventType.Reset, null), await NextAsync(stranger));
        Assert.Null(stranger.Current.Id);
    }

    [Fact]
    public async Task A_watcher_too_many_is_told_when_to_come_back_and_a_place_is_free_when_one_leaves()
    {
        await using var host = await ApiHost.StartAsync(o => o.Watchers = 1);
        var watch = Client(host).WatchLeasesAsync(null, Cancelled).GetAsyncEnumerator(Cancelled);
        await NextAsync(watch);
        using (var refused = await host.Http.GetAsync("/v1/leases/watch", HttpCompletionOption.ResponseHeadersRead, Cancelled))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.NotNull(refused.Headers.RetryAfter?.Delta);
        }
        await watch.DisposeAsync();
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        await ApiHost.UntilAsync(async () => await loop.InvokeAsync(keeper => keeper.Journal.Watchers, Cancelled) == 0);
        using var accepted = await host.Http.GetAsync("/v1/leases/watch", HttpCompletionOption.ResponseHeadersRead, Cancelled);
        Assert.Equal("text/event-stream", accepted.Content.Headers.ContentType?.MediaType);
    }

    [Fact]
    public async Task A_refused_watch_throws_instead_of_trying_for_ever()
    {
        await using var host = await ApiHost.StartAsync();
        await using var watch = Client(host, token: "wrong").WatchLeasesAsync(null, Cancelled).GetAsyncEnumerator(Cancelled);
        await Assert.ThrowsAsync<AddressServiceUnavailableException>(async () => await watch.MoveNextAsync());
    }

    [Fact]
    public async Task Stopping_ends_the_streams_at_once()
    {
        // Whoever does not end at once is waited for, and not cut off after the usual time: that is what would show.
        await using var host = await ApiHost.StartAsync(build: b => b.Services.Configure<HostOptions>(static o => o.ShutdownTimeout = TimeSpan.FromMinutes(1)));
        using var response = await host.Http.GetAsync("/v1/leases/watch?overview=true", HttpCompletionOption.ResponseHeadersRead, Cancelled);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(Cancelled));
        while (await reader.ReadLineAsync(Cancelled) is { } line && line != "event: overview")
            continue;
        long began = TimeProvider.System.GetTimestamp();
        await host.StopAsync();
        Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task A_reader_that_stops_reading_is_cut_off()
    {
        await using var host = await ApiHost.StartAsync(o => (o.Interface.MessagesPerSecond, o.Interface.MessageBurst) = (1000, 150));
        using var response = await host.Http.GetAsync("/v1/leases/watch", HttpCompletionOption.ResponseHeadersRead, Cancelled);
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        var record = new DynamicLb.AddressService.Store.LeaseRecord { Service = "demo/web", Id = Guid.Empty, Mac = new string('x', 8000) };
        while (await loop.InvokeAsync(keeper => keeper.Journal.Watchers, Cancelled) > 0)
        {
            await loop.InvokeAsync(
                keeper =>
                {
                    keeper.Journal.Tell(new JournalEntry(LeaseEventType.Renewed, LabClock.Start, record, null, null));
                    return true;
                },
                Cancelled);
        }
        Assert.Equal(1, await loop.InvokeAsync(keeper => keeper.Journal.CutOff, Cancelled));
    }

    [Fact]
    public async Task The_pool_is_listed_with_its_users()
    {
        await using var host = await ApiHost.StartAsync(o => o.MacSource = MacSource.Pool);
        await host.PostAsync("/v1/mac", """{"macs":["02:00:00:00:00:01","02:00:00:00:00:02"]}""");
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        var (_, body) = await host.SendAsync(HttpMethod.Get, "/v1/mac");
        Assert.Equal([("02:00:00:00:00:01", "demo/web"), ("02:00:00:00:00:02", "")], body.GetProperty("macs").EnumerateArray().Select(m => (Text(m, "mac"), Text(m, "service"))));
    }

    private static async Task<(string Type, string? Service)> NextAsync(IAsyncEnumerator<LeaseWatchEvent> watch)
    {
        Assert.True(await watch.MoveNextAsync());
        return (watch.Current.Type, watch.Current.Event?.Service ?? watch.Current.Lease?.Service);
    }
}
