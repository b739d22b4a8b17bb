using System.Net;
using System.Text.Json;
using DynamicLb.Contracts.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Hosting;

public sealed class DynamicLbDefaultsTests
{
    [Fact]
    public async Task Health_readiness_and_metrics_are_served()
    {
        var cancellation = TestContext.Current.CancellationToken;
        var ready = false;
        var builder = WebApplication.CreateSlimBuilder();
        builder.AddDynamicLbDefaults(LogLevel.None);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddHealthChecks().AddCheck("dhcp", () => ready ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("no interface yet"));
        await using var app = builder.Build();
        app.MapDynamicLbDefaults();
        await app.StartAsync(cancellation);
        using var http = new HttpClient { BaseAddress = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()) };

        Assert.Equal("ok\n", await http.GetStringAsync("/healthz", cancellation));
        using var notReady = await http.GetAsync("/readyz", cancellation);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, notReady.StatusCode);
        Assert.Equal("dhcp: no interface yet\n", await notReady.Content.ReadAsStringAsync(cancellation));

        ready = true;
        Assert.Equal("ok\n", await http.GetStringAsync("/readyz", cancellation));

        using var metrics = await http.GetAsync("/metrics", cancellation);
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", metrics.Content.Headers.ContentType!.ToString());
        Assert.Contains("dotnet_process_memory_working_set_bytes ", await metrics.Content.ReadAsStringAsync(cancellation), StringComparison.Ordinal);
    }

    [Fact]
    public void A_log_entry_is_one_line_of_json_with_its_values()
    {
        var time = new FixedTime(new DateTimeOffset(2024, 5, 1, 12, 0, 0, TimeSpan.Zero));
        var formatter = new JsonLinesFormatter(time);
        List<KeyValuePair<string, object?>> state =
            [new("Service", "demo/web"), new("Seconds", 7), new("Msg", "shadow"), new("{OriginalFormat}", "x {Service}")];
        using var output = new StringWriter();
        formatter.Write(
            new LogEntry<List<KeyValuePair<string, object?>>>(
                LogLevel.Warning, "DynamicLb.Leasing", 0, state, new InvalidOperationException("broken"), (_, _) => "leased\n\"it\""),
            null,
            output);

        var line = output.ToString();
        Assert.Equal(line.Length - 1, line.IndexOf('\n', StringComparison.Ordinal));
        using var json = JsonDocument.Parse(line);
        Assert.Equal("2024-05-01T12:00:00Z", json.RootElement.GetProperty("ts").GetString());
        Assert.Equal("warn", json.RootElement.GetProperty("level").GetString());
        Assert.Equal("DynamicLb.Leasing", json.RootElement.GetProperty("logger").GetString());
        Assert.Equal("leased\n\"it\"", json.RootElement.GetProperty("msg").GetString());
        Assert.Equal("demo/web", json.RootElement.GetProperty("service").GetString());
        Assert.Equal(7, json.RootElement.GetProperty("seconds").GetInt32());
        Assert.Equal("shadow", json.RootElement.GetProperty("msg_").GetString());
        Assert.Contains("broken", json.RootElement.GetProperty("error").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("all", LogLevel.Trace)]
    [InlineData("info", LogLevel.Information)]
    [InlineData("none", LogLevel.None)]
    [InlineData("loud", null)]
    public void Log_levels_are_named_as_in_metallb(string name, LogLevel? level)
    {
        Assert.Equal(level, DynamicLbHostExtensions.ParseLogLevel(name));
    }

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}
