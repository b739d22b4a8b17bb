using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace DynamicLb.Contracts.Metrics;

/// <summary>A Prometheus endpoint for everything that is measured with System.Diagnostics.Metrics.</summary>
/// <remarks>
/// <para>
/// A program creates its meters from the injected <see cref="System.Diagnostics.Metrics.IMeterFactory"/> under a name that begins with
/// <c>DynamicLb</c>, and its instruments under the very name they shall have at the endpoint: a name without dots is exposed as it
/// stands (<c>metallb_allocator_addresses_in_use_total</c>, <c>dynamiclb_leases</c>), nothing is appended, tag keys become label
/// names. Counters become counters, histograms take their buckets from the instrument's advice, everything else becomes a gauge.
/// </para>
/// <para>
/// Numbers that belong to an object that can go away (a Service, a peer, a pool) should be observable instruments: their series
/// vanish with the object. A series of any other instrument stays until the process ends.
/// </para>
/// </remarks>
public static class PrometheusMetricsExtensions
{
    /// <summary>Begins to collect, from the first resolution on; call <see cref="MapPrometheusMetrics"/> to resolve and expose it.</summary>
    public static IServiceCollection AddPrometheusMetrics(
        this IServiceCollection services, Action<PrometheusMetricsOptions>? configure = null)
    {
        services.AddMetrics();
        services.AddOptions<PrometheusMetricsOptions>();
        if (configure is not null)
        {
            services.Configure(configure);
        }

        services.TryAddSingleton<PrometheusCollector>();
        return services;
    }

    /// <summary>Exposes the metrics at <paramref name="pattern"/>, in the text format 0.0.4. The endpoint asks for no token.</summary>
    public static IEndpointConventionBuilder MapPrometheusMetrics(this IEndpointRouteBuilder endpoints, string pattern = "/metrics")
    {
        // Resolved here and not at the first scrape: what is measured before that counts too.
        var collector = endpoints.ServiceProvider.GetRequiredService<PrometheusCollector>();
        return endpoints.MapGet(pattern, context => WriteAsync(context, collector)).ExcludeFromDescription();
    }

    private static async Task WriteAsync(HttpContext context, PrometheusCollector collector)
    {
        context.Response.ContentType = PrometheusText.ContentType;
        // Everything goes into the response's own buffer first, so that a slow reader holds no lock.
        collector.WriteTo(context.Response.BodyWriter);
        await context.Response.BodyWriter.FlushAsync(context.RequestAborted);
    }
}
