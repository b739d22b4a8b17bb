using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class ApiTests
{
    /// <summary>A call whose time is up some time after its DISCOVER has left, and not before.</summary>
    private static async Task<(HttpStatusCode Code, JsonElement Body)> TimeOutAsync(ApiHost host, FakeTime time)
    {
        var call = host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Discover) > 0);
        // With the first turn of the loop the DISCOVER has left, and an OFFER is in the queue; with the second it was taken up. Nothing waits for the store any more.
        var loop = host.Services.GetRequiredService<LeaseLoop>();
        await loop.InvokeAsync(
            static keeper => keeper.Status().Allocations.Single().Id, static id => [Guid.Parse(id)], TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        await loop.InvokeAsync(static _ => true, TestContext.Current.CancellationToken);
        while (!call.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, TestContext.Current.CancellationToken);
        }
        return await call;
    }

    private static string Text(JsonElement body, string name) => body.TryGetProperty(name, out var value) ? value.GetString() ?? "" : "";

    [Fact]
    [Trait("Fault", "C17")]
    public async Task Case03_the_same_POST_ten_times_at_once_and_again_later_gets_one_lease()
    {
        await using var host = await ApiHost.StartAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => host.PostAsync("/v1/ip", """{"service":"demo/web"}""")));
        var later = await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");

        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.Code));
        Assert.All(answers, a => Assert.Equal(Text(later.Body, "ip"), Text(a.Body, "ip")));
        Assert.All(answers, a => Assert.Equal(Text(later.Body, "id"), Text(a.Body, "id")));
        Assert.Equal(1, host.Server.Count(DhcpMessageType.Discover));
    }

    [Fact]
    [Trait("Fault", "C5")]
    public async Task A_hundred_POSTs_run_side_by_side_and_none_waits_for_anothers_DHCP_exchange()
    {
        await using var host = await ApiHost.StartAsync(
            o => (o.Interface.MessagesPerSecond, o.Interface.MessageBurst) = (1000, 150), server => new HoldingTransport(server, until: 100));
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => host.PostAsync("/v1/ip", $$"""{"service":"demo/web{{i}}"}""")));

        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.Code));
        Assert.Equal(100, answers.Select(a => Text(a.Body, "ip")).Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(100, answers.Select(a => Text(a.Body, "mac")).Distinct(StringComparer.Ordinal).Count());
    }

    [Fact]
    [Trait("Fault", "C22")]
    public async Task Silence_is_answered_by_504_that_tells_what_was_tried_and_the_next_POST_joins_the_search()
    {
        var time = new FakeTime();
        await using var host = await ApiHost.StartAsync(
            o =>
            {
                o.RequestTimeout = TimeSpan.FromMilliseconds(200);
                o.Interface.Dhcp = o.Interface.Dhcp with { RetransmitAfter = TimeSpan.FromHours(1) };
            },
            time: time);
        host.Server.IsSilent = true;
        var (code, body) = await TimeOutAsync(host, time);
        Assert.Equal(HttpStatusCode.GatewayTimeout, code);
        Assert.Equal("timeout", Text(body, "status"));
        Assert.Equal("no OFFER from any server (1 DISCOVER)", Text(body, "detail"));
        Assert.Equal("", Text(body, "ip"));

        await TimeOutAsync(host, time);
        Assert.Equal(1, host.Server.Count(DhcpMessageType.Discover));
    }

    [Fact]
    [Trait("Fault", "A19")]
    public async Task A_504_names_the_offers_that_were_refused_and_why()
    {
        var time = new FakeTime();
        await using var host = await ApiHost.StartAsync(
            o =>
            {
                o.RequestTimeout = TimeSpan.FromMilliseconds(200);
                o.Interface.Cidrs = [IPv4Network.Parse("192.168.7.0/24")];
            },
            time: time);
        var (code, body) = await TimeOutAsync(host, time);
        Assert.Equal(HttpStatusCode.GatewayTimeout, code);
        Assert.Equal("offers refused: 10.77.0.100 from 10.77.0.1 (outside the configured ranges)", Text(body, "detail"));
    }

    [Theory]
    [Trait("Fault", "C17")]
    [InlineData("", HttpStatusCode.BadRequest, "body")]
    [InlineData("null", HttpStatusCode.BadRequest, "body")]
    [InlineData("{", HttpStatusCode.BadRequest, "body")]
    [InlineData("[]", HttpStatusCode.BadRequest, "body")]
    [InlineData("{}", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":""}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":7}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"a/b/c"}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"web"}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"../etc"}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"dömo/wéb"}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"demo/web\n"}""", HttpStatusCode.BadRequest, "service")]
    [InlineData("""{"service":"demo/web","ip":"10.0.0"}""", HttpStatusCode.BadRequest, "ip")]
    public async Task Case47_malformed_POST_is_refused_with_the_field_at_fault_and_sends_nothing(string json, HttpStatusCode expected, string names)
    {
        await using var host = await ApiHost.StartAsync();
        var (code, body) = await host.PostAsync("/v1/ip", json);
        Assert.Equal(expected, code);
        Assert.Equal("error", Text(body, "status"));
        Assert.Contains(names, Text(body, "detail"), StringComparison.Ordinal);
        Assert.Empty(host.Server.Received);
    }

    [Theory]
    [InlineData("/v1/ip", 4 * 1024)]
    [InlineData("/v1/mac", 64 * 1024)]
    public async Task Case47_a_body_beyond_the_limit_is_refused(string path, int limit)
    {
        await using var host = await ApiHost.StartAsync();
        using var content = new StringContent($$"""{"service":"{{new string('a', limit)}}"}""", Encoding.UTF8, "application/json");
        using var response = await host.Http.PostAsync(path, content, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Contains("\"status\":\"error\"", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
        Assert.Empty(host.Server.Received);
    }

    [Theory]
    [Trait("Fault", "C19")]
    [InlineData("X-Auth-Token", "the-wrong-token")]
    [InlineData("X-Auth-Token", "")]
    [InlineData("Authorization", "Bearer the-wrong-token")]
    [InlineData("Authorization", "Basic dGhlLXJpZ2h0LXRva2Vu")]
    [InlineData("X-Other", "x")]
    public async Task Case47_without_the_right_token_every_call_is_refused(string header, string value)
    {
        await using var host = await ApiHost.StartAsync();
        host.Http.DefaultRequestHeaders.Remove("X-Auth-Token");
        host.Http.DefaultRequestHeaders.TryAddWithoutValidation(header, value);
        foreach (var (method, path) in new[] { ("POST", "/v1/ip"), ("DELETE", "/V1/ip"), ("GET", "/v1/status"), ("GET", "/v1/config"), ("POST", "/v1/mac"), ("GET", "/v1/x") })
        {
            var (code, body) = await host.SendAsync(new HttpMethod(method), path, method == "GET" ? null : """{"service":"demo/web"}""");
            Assert.Equal(HttpStatusCode.Unauthorized, code);
            Assert.Equal("error", Text(body, "status"));
        }
        Assert.Empty(host.Server.Received);
    }

    [Theory]
    [InlineData("/healthz")]
    [InlineData("/metrics")]
    [InlineData("/openapi/v1.json")]
    [InlineData("/swagger/index.html")]
    public async Task What_probes_and_people_read_asks_for_no_token(string path)
    {
        await using var host = await ApiHost.StartAsync();
        host.Http.DefaultRequestHeaders.Remove("X-Auth-Token");
        using var response = await host.Http.GetAsync(path, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Anonymous_calls_work_where_they_are_allowed()
    {
        await using var host = await ApiHost.StartAsync(o => (o.TokenFiles, o.AllowAnonymous) = ([], true));
        host.Http.DefaultRequestHeaders.Remove("X-Auth-Token");
        Assert.Equal(HttpStatusCode.OK, (await host.SendAsync(HttpMethod.Get, "/v1/status")).Code);
    }

    [Fact]
    public async Task Case50_the_pool_over_the_API()
    {
        await using var host = await ApiHost.StartAsync(o => o.MacSource = MacSource.Pool);
        var (code, body) = await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, code);
        Assert.StartsWith("no MAC", Text(body, "detail"), StringComparison.Ordinal);

        (code, body) = await host.PostAsync("/v1/mac", """{"macs":["02.00.00.00.00.01","02:00:00:00:00:01","01:00:00:00:00:01","zz"]}""");
        Assert.Equal(HttpStatusCode.BadRequest, code);
        Assert.Equal(["02:00:00:00:00:01", "01:00:00:00:00:01", "zz"], body.GetProperty("rejected").EnumerateArray().Select(r => Text(r, "mac")));

        (code, body) = await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        Assert.Equal((HttpStatusCode.OK, "02:00:00:00:00:01"), (code, Text(body, "mac")));
        (code, body) = await host.SendAsync(HttpMethod.Delete, "/v1/mac", """{"macs":["0200.0000.0001","02:00:00:00:00:02"]}""");
        Assert.Equal(HttpStatusCode.BadRequest, code);
        Assert.Equal(["0200.0000.0001", "02:00:00:00:00:02"], body.GetProperty("unprocessed").EnumerateArray().Select(m => m.GetString()!));
        Assert.Equal(HttpStatusCode.BadRequest, (await host.PostAsync("/v1/mac", "{}")).Code);
    }

    [Fact]
    [Trait("Fault", "A2")]
    public async Task Case52_stopping_releases_nothing_and_answers_the_calls_that_wait()
    {
        await using var host = await ApiHost.StartAsync(
            o =>
            {
                (o.Interface.MessagesPerSecond, o.Interface.MessageBurst) = (1000, 150);
                // One DISCOVER a service.
                o.Interface.Dhcp = o.Interface.Dhcp with { RetransmitAfter = TimeSpan.FromHours(1) };
            },
            // A call that is not answered is waited for, and not cut off after the usual time: that is what would show.
            build: b => b.Services.Configure<HostOptions>(static o => o.ShutdownTimeout = TimeSpan.FromMinutes(1)));
        await Task.WhenAll(Enumerable.Range(0, 50).Select(i => host.PostAsync("/v1/ip", $$"""{"service":"demo/web{{i}}"}""")));
        host.Server.IsSilent = true;
        var waiting = host.PostAsync("/v1/ip", """{"service":"demo/late"}""");
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Discover) == 51);

        long began = TimeProvider.System.GetTimestamp();
        await host.StopAsync();
        Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20));
        var (code, body) = await waiting;
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "error"), (code, Text(body, "status")));
        Assert.Equal(0, host.Server.Count(DhcpMessageType.Release));
        Assert.Equal(50, host.Server.Leases.Count);
    }

    [Fact]
    [Trait("Fault", "C18")]
    public async Task Case53_an_existing_client_reads_the_ranges_leases_and_gives_back_by_a_DELETE_with_body()
    {
        await using var host = await ApiHost.StartAsync(o => o.ReleaseDelay = TimeSpan.Zero);
        var (_, leased) = await host.PostAsync("/v1/ip", """{"service":"demo/web","unknown":true}""");
        var (code, config) = await host.SendAsync(HttpMethod.Get, "/v1/config");
        Assert.Equal(HttpStatusCode.OK, code);
        Assert.Equal(["10.77.0.0/24"], config.GetProperty("cidrs").EnumerateArray().Select(c => c.GetString()!));
        Assert.Equal("lan0", Text(config, "interface"));
        Assert.Equal("success", Text(leased, "status"));
        Assert.True(Guid.TryParse(Text(leased, "id"), out _));
        Assert.Equal(600, leased.GetProperty("leaseSeconds").GetInt64());

        (code, var status) = await host.SendAsync(HttpMethod.Get, "/v1/status");
        Assert.Equal("bound", Text(Assert.Single(status.GetProperty("allocations").EnumerateArray()), "state"));

        string ip = Text(leased, "ip");
        (code, var released) = await host.SendAsync(HttpMethod.Delete, "/v1/ip", $$"""{"ip":"{{ip}}"}""");
        Assert.Equal((HttpStatusCode.OK, "success", ip), (code, Text(released, "status"), Text(released, "ip")));
        await ApiHost.UntilAsync(() => host.Server.Count(DhcpMessageType.Release) > 0);
        (code, _) = await host.SendAsync(HttpMethod.Delete, $"/v1/ip?ip={ip}");
        Assert.Equal(HttpStatusCode.OK, code);
    }

    [Theory]
    [InlineData("""{"ip":"10.77.0.5"}""", "", HttpStatusCode.NotFound)]
    [InlineData("""{"service":"demo/none"}""", "", HttpStatusCode.NotFound)]
    [InlineData(null, "?service=demo/none", HttpStatusCode.NotFound)]
    [InlineData("""{"ip":"10.77.0.5","service":"demo/web"}""", "", HttpStatusCode.Conflict)]
    [InlineData("{}", "", HttpStatusCode.BadRequest)]
    [InlineData(null, "", HttpStatusCode.BadRequest)]
    [InlineData("""{"ip":"10.77.0"}""", "", HttpStatusCode.BadRequest)]
    [InlineData(null, "?service=x", HttpStatusCode.BadRequest)]
    public async Task A_DELETE_that_fits_no_lease_is_refused_and_releases_nothing(string? json, string query, HttpStatusCode expected)
    {
        await using var host = await ApiHost.StartAsync();
        await host.PostAsync("/v1/ip", """{"service":"demo/web"}""");
        var (code, body) = await host.SendAsync(HttpMethod.Delete, "/v1/ip" + query, json);
        Assert.Equal((expected, "error"), (code, Text(body, "status")));
        Assert.Single(host.Server.Leases);
    }

    [Fact]
    public async Task Unknown_paths_methods_and_media_types_are_refused_in_the_same_form()
    {
        await using var host = await ApiHost.StartAsync();
        Assert.Equal(HttpStatusCode.NotFound, (await host.SendAsync(HttpMethod.Get, "/v1/nothing")).Code);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, (await host.SendAsync(HttpMethod.Put, "/v1/ip", "{}")).Code);
        using var content = new ByteArrayContent("service=demo/web"u8.ToArray());
        content.Headers.ContentType = new MediaTypeHeaderValue("text/plain");
        using var response = await host.Http.PostAsync("/v1/ip", content, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Contains("\"detail\":", await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }
}
