using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Roles, namespaces and the audit log over the API.</summary>
public sealed class AccessTests
{
    private const string Tokens = """
        reader read * token-of-reader
        team-a lease,read team-a token-of-team-a
        leaser lease * token-of-leaser
        boss admin * token-of-boss

        """;

    [Theory]
    [InlineData("token-of-reader", "GET", "/v1/status", HttpStatusCode.OK)]
    [InlineData("token-of-reader", "GET", "/v1/config", HttpStatusCode.OK)]
    [InlineData("token-of-reader", "POST", "/v1/ip", HttpStatusCode.Forbidden)]
    [InlineData("token-of-reader", "DELETE", "/v1/ip", HttpStatusCode.Forbidden)]
    [InlineData("token-of-reader", "POST", "/v1/mac", HttpStatusCode.Forbidden)]
    [InlineData("token-of-leaser", "POST", "/v1/ip", HttpStatusCode.OK)]
    [InlineData("token-of-leaser", "GET", "/v1/status", HttpStatusCode.Forbidden)]
    [InlineData("token-of-leaser", "DELETE", "/v1/mac", HttpStatusCode.Forbidden)]
    [InlineData("token-of-boss", "GET", "/v1/status", HttpStatusCode.OK)]
    [InlineData("token-of-boss", "POST", "/v1/ip", HttpStatusCode.OK)]
    [InlineData("token-of-boss", "POST", "/v1/mac", HttpStatusCode.OK)]
    public async Task Each_role_does_its_own_calls_only(string token, string method, string path, HttpStatusCode expected)
    {
        await using var host = await ApiHost.StartAsync(tokens: Tokens);
        using var response = await host.CallAsync(
            token, new HttpMethod(method), path, method == "GET" ? null : """{"service":"demo/web","macs":["02:00:00:00:00:01"]}""");
        Assert.Equal(expected, response.StatusCode);
        if (expected == HttpStatusCode.Forbidden)
        {
            var body = await BodyAsync(response);
            Assert.Equal("denied", body.GetProperty("status").GetString());
            Assert.StartsWith("role: ", body.GetProperty("detail").GetString(), StringComparison.Ordinal);
            Assert.Empty(host.Server.Received);
        }
    }

    [Fact]
    public async Task Case47_a_token_of_another_namespace_is_refused_with_403_and_sends_nothing()
    {
        await using var host = await ApiHost.StartAsync(tokens: Tokens);
        using var refused = await host.CallAsync("token-of-team-a", HttpMethod.Post, "/v1/ip", """{"service":"team-b/web"}""");
        Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        Assert.Equal("service: 'team-a' does not cover the namespace team-b; it covers team-a", (await BodyAsync(refused)).GetProperty("detail").GetString());
        Assert.Empty(host.Server.Received);

        using var own = await host.CallAsync("token-of-team-a", HttpMethod.Post, "/v1/ip", """{"service":"team-a/web"}""");
        Assert.Equal(HttpStatusCode.OK, own.StatusCode);
    }

    [Fact]
    public async Task A_lease_of_another_namespace_is_neither_seen_nor_released()
    {
        await using var host = await ApiHost.StartAsync(tokens: Tokens);
        string ip = (await host.PostAsync("/v1/ip", """{"service":"team-b/web"}""")).Body.GetProperty("ip").GetString()!;
        await host.PostAsync("/v1/ip", """{"service":"team-a/web"}""");
        await host.PostAsync("/v1/mac", """{"macs":["02:00:00:00:00:01"]}""");

        foreach (string body in new[] { $$"""{"ip":"{{ip}}"}""", """{"service":"team-b/web"}""", $$"""{"service":"team-b/web","ip":"{{ip}}"}""" })
        {
            using var response = await host.CallAsync("token-of-team-a", HttpMethod.Delete, "/v1/ip", body);
            Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        }
        using var status = await host.CallAsync("token-of-team-a", HttpMethod.Get, "/v1/status");
        var seen = await BodyAsync(status);
        Assert.Equal(["team-a/web"], seen.GetProperty("allocations").EnumerateArray().Select(l => l.GetProperty("service").GetString()!));
        Assert.Empty(seen.GetProperty("availableMacs").EnumerateArray());
        Assert.Equal(2, host.Server.Leases.Count);
        Assert.Equal(0, host.Server.Count(DhcpMessageType.Release));
    }

    [Fact]
    public async Task Lists_details_the_pool_and_the_event_stream_show_the_tokens_namespaces_only()
    {
        await using var host = await ApiHost.StartAsync(tokens: Tokens);
        string foreign = (await host.PostAsync("/v1/ip", """{"service":"team-b/web"}""")).Body.GetProperty("ip").GetString()!;
        string own = (await host.PostAsync("/v1/ip", """{"service":"team-a/web"}""")).Body.GetProperty("ip").GetString()!;
        await host.PostAsync("/v1/mac", """{"macs":["02:00:00:00:00:01"]}""");

        async Task<(HttpStatusCode, string)> GetAsync(string path)
        {
            using var response = await host.CallAsync("token-of-team-a", HttpMethod.Get, path);
            return (response.StatusCode, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }

        var (code, text) = await GetAsync("/v1/leases");
        Assert.Equal(HttpStatusCode.OK, code);
        Assert.Contains("team-a/web", text, StringComparison.Ordinal);
        Assert.DoesNotContain("team-b", text, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await GetAsync($"/v1/leases/{foreign}")).Item1);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync($"/v1/leases/{own}")).Item1);
        Assert.DoesNotContain("02:00:00:00:00:01", (await GetAsync("/v1/mac")).Item2, StringComparison.Ordinal);

        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/leases/watch");
        request.Headers.Add("X-Auth-Token", "token-of-team-a");
        using var watch = await host.Anonymous.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        using var reader = new StreamReader(await watch.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        await host.PostAsync("/v1/ip", """{"service":"team-b/more"}""");
        await host.PostAsync("/v1/ip", """{"service":"team-a/more"}""");
        string told = "";
        while (!told.Contains("team-a/more", StringComparison.Ordinal))
            told += await reader.ReadLineAsync(TestContext.Current.CancellationToken);
        Assert.Contains("team-a/web", told, StringComparison.Ordinal);
        Assert.DoesNotContain("team-b", told, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("team-a read,lease team-a,team-b token-of-team-a\n", false)]
    [InlineData("team-a read team-b token-of-team-a\n", true)]
    [InlineData("", true)]
    public async Task A_stream_ends_when_its_token_loses_rights_and_goes_on_otherwise(string then, bool ends)
    {
        var time = new FakeTime();
        await using var host = await ApiHost.StartAsync(tokens: Tokens, time: time);
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/leases/watch");
        request.Headers.Add("X-Auth-Token", "token-of-team-a");
        using var watch = await host.Anonymous.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        using var reader = new StreamReader(await watch.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } begun && !begun.StartsWith("event: synced", StringComparison.Ordinal))
        {
        }
        await File.WriteAllTextAsync(host.TokenPath, $"{ApiHost.Token}\n{then}", TestContext.Current.CancellationToken);
        // The server may set its timer a moment after we read that it is synced: no tick of it is the first for certain.
        await PassAsync(time);
        await host.PostAsync("/v1/ip", """{"service":"team-a/web"}""");
        var reading = ReadAsync();
        while (!reading.IsCompleted)
            await PassAsync(time);
        Assert.Equal(ends, await reading is null);

        async Task<string?> ReadAsync()
        {
            string? line;
            do
                line = await reader.ReadLineAsync(TestContext.Current.CancellationToken);
            while (line is not null && (ends || !line.Contains("team-a/web", StringComparison.Ordinal)));
            return line;
        }
    }

    private static Task PassAsync(FakeTime time)
    {
        time.Advance(TimeSpan.FromSeconds(15));
        return Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Each_change_and_each_refusal_is_told_to_the_audit_log_and_no_token_is()
    {
        var lines = new ConcurrentQueue<string>();
        await using var host = await ApiHost.StartAsync(
            o => o.LogLevel = LogLevel.Information, tokens: Tokens, build: b => b.Logging.ClearProviders().AddProvider(new ListProvider(lines)));
        foreach (var (token, method, path, body) in new (string?, string, string, string?)[]
        {
            ("token-of-team-a", "POST", "/v1/ip", """{"service":"team-a/web"}"""),
            ("token-of-team-a", "POST", "/v1/ip", """{"service":"team-b/web"}"""),
            ("token-of-team-a", "GET", "/v1/status", null),
            ("token-of-boss", "POST", "/v1/mac", """{"macs":["02:00:00:00:00:01"]}"""),
            ("token-of-team-a", "DELETE", "/v1/ip", """{"service":"team-a/web"}"""),
            ("a-wrong-token", "POST", "/v1/ip", """{"service":"team-a/web"}"""),
        })
        {
            using var response = await host.CallAsync(token, new HttpMethod(method), path, body);
        }
        Assert.Equal(
            [
                "team-a from 127.0.0.1: POST /v1/ip team-a/web: 200 10.77.0.100",
                "team-a from 127.0.0.1: POST /v1/ip team-b/web: 403 service: 'team-a' does not cover the namespace team-b; it covers team-a",
                "boss from 127.0.0.1: POST /v1/mac 02:00:00:00:00:01: 200 ",
                "team-a from 127.0.0.1: DELETE /v1/ip team-a/web: 200 10.77.0.100",
                "unknown from 127.0.0.1: POST /v1/ip : 401 ",
            ],
            lines);
    }

    [Fact]
    public async Task Whoever_gives_twenty_wrong_tokens_in_a_minute_has_to_wait()
    {
        var time = new FakeTime();
        await using var host = await ApiHost.StartAsync(time: time);
        for (int i = 0; i < 20; i++)
        {
            using var wrong = await host.CallAsync($"wrong-token-{i}", HttpMethod.Get, "/v1/config");
            Assert.Equal(HttpStatusCode.Unauthorized, wrong.StatusCode);
        }
        using var locked = await host.CallAsync(ApiHost.Token, HttpMethod.Get, "/v1/config");
        Assert.Equal((HttpStatusCode)429, locked.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(4), locked.Headers.RetryAfter!.Delta);
        time.Advance(TimeSpan.FromSeconds(4));
        using var after = await host.CallAsync(ApiHost.Token, HttpMethod.Get, "/v1/config");
        Assert.Equal(HttpStatusCode.OK, after.StatusCode);
    }

    [Fact]
    public async Task Whoever_shows_no_token_is_refused_but_locks_nobody_out_nor_fills_the_log()
    {
        var lines = new ConcurrentQueue<string>();
        await using var host = await ApiHost.StartAsync(
            o => o.LogLevel = LogLevel.Information, time: new FakeTime(), build: b => b.Logging.ClearProviders().AddProvider(new ListProvider(lines)));
        for (int i = 0; i < 100; i++)
        {
            using var without = await host.CallAsync(null, HttpMethod.Post, "/v1/ip", "{}");
            Assert.Equal(HttpStatusCode.Unauthorized, without.StatusCode);
        }
        Assert.Equal(20, lines.Count);
        using var with = await host.CallAsync(ApiHost.Token, HttpMethod.Get, "/v1/status");
        Assert.Equal(HttpStatusCode.OK, with.StatusCode);
        Assert.Equal(100, (await BodyAsync(with)).GetProperty("counters").GetProperty("refused.401").GetInt64());
    }

    private static async Task<JsonElement> BodyAsync(HttpResponseMessage response) =>
        JsonDocument.Parse(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement;

    private sealed class ListProvider(ConcurrentQueue<string> lines) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => new ListLogger(categoryName == "DynamicLb.AddressService.Audit" ? lines : []);

        public void Dispose()
        {
        }
    }

    private sealed class ListLogger(ConcurrentQueue<string> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue(formatter(state, exception));
    }
}
