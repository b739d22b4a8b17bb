using DynamicLb.Contracts.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace DynamicLb.Contracts.Hosting;

/// <summary>What the three programs have in common as processes: log, health, metrics, and how they stop.</summary>
/// <example>
/// <code>
/// var builder = WebApplication.CreateSlimBuilder();
/// builder.AddDynamicLbDefaults(logLevel);
/// builder.WebHost.UseUrls(listen);
/// builder.Services.AddHealthChecks().AddCheck("informers", () => synced ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("waiting for Services"));
/// var app = builder.Build();
/// app.MapDynamicLbDefaults();   // /healthz, /readyz, /metrics
/// </code>
/// </example>
public static class DynamicLbHostExtensions
{
    /// <summary>Values of <c>--log-level</c>, as MetalLB names them.</summary>
    public static readonly IReadOnlyList<string> LogLevelNames = ["all", "debug", "info", "warn", "error", "none"];

    /// <summary>The value of <c>--log-level</c> as a level; null when it is none of <see cref="LogLevelNames"/>.</summary>
    public static LogLevel? ParseLogLevel(string name) => name switch
    {
        "all" => LogLevel.Trace,
        "debug" => LogLevel.Debug,
        "info" => LogLevel.Information,
        "warn" => LogLevel.Warning,
        "error" => LogLevel.Error,
        "none" => LogLevel.None,
        _ => null,
    };

    /// <summary>
    /// JSON lines on stdout from <paramref name="logLevel"/> on (the web server's own from warnings on), metrics, health checks, the
    /// system's <see cref="TimeProvider"/>, bounded requests, and an orderly stop within 4 seconds of SIGTERM.
    /// </summary>
    public static void AddDynamicLbDefaults(this WebApplicationBuilder builder, LogLevel logLevel = LogLevel.Information)
    {
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddPrometheusMetrics();
        builder.Services.AddHealthChecks();

        builder.Logging.ClearProviders();
        builder.Logging.SetMinimumLevel(logLevel);
        builder.Logging.AddFilter("Microsoft", logLevel > LogLevel.Warning ? logLevel : LogLevel.Warning);
        // Whoever asks for /readyz is told; a probe that comes too early is nothing to log.
        builder.Logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);
        builder.Services.TryAddEnumerable(ServiceDescriptor.Singleton<ConsoleFormatter, JsonLinesFormatter>());
        builder.Logging.AddConsole(console => console.FormatterName = JsonLinesFormatter.FormatterName);

        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(4));
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 1 << 20;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.MaxConcurrentConnections = 1000;
        });
    }

    /// <summary>
    /// <c>/healthz</c> answers 200 while the process serves requests; <c>/readyz</c> runs the health checks and answers 503 with their
    /// reasons while one fails; <c>/metrics</c> is the Prometheus endpoint. None of them asks for a token or tells a secret.
    /// </summary>
    public static void MapDynamicLbDefaults(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = static _ => false, ResponseWriter = WriteHealthAsync })
            .ExcludeFromDescription();
        endpoints.MapHealthChecks("/readyz", new HealthCheckOptions { ResponseWriter = WriteHealthAsync })
            .ExcludeFromDescription();
        endpoints.MapPrometheusMetrics();
    }

    private static Task WriteHealthAsync(HttpContext context, HealthReport report)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        var lines = report.Entries
            .Where(static entry => entry.Value.Status != HealthStatus.Healthy)
            .Select(static entry => $"{entry.Key}: {entry.Value.Description ?? entry.Value.Status.ToString()}\n");
        return context.Response.WriteAsync(report.Status == HealthStatus.Healthy ? "ok\n" : string.Concat(lines), context.RequestAborted);
    }
}
