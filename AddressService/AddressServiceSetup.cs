using System.Text.Json.Serialization;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Dashboard;
using DynamicLb.AddressService.Endpoints;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Replicas;
using DynamicLb.AddressService.Security;
using DynamicLb.AddressService.SelfTest;
using DynamicLb.AddressService.Store;
using DynamicLb.AddressService.Webhooks;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Netlink;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.OpenApi;

namespace DynamicLb.AddressService;

/// <summary>The program's contents page: what it consists of, and what it serves.</summary>
internal static class AddressServiceSetup
{
    public static void AddAddressService(this WebApplicationBuilder builder, AddressServiceOptions options)
    {
        builder.AddDynamicLbDefaults(options.LogLevel);
        builder.UseListener(options);
        var services = builder.Services;
        services.AddSingleton(options);
        services.AddLeasing(options);
        services.AddApi();
        services.AddAccess(options);
    }

    public static void MapAddressService(this WebApplication app)
    {
        app.UseAccess();
        app.UseApiErrors();
        app.UseLeaderOnly();
        app.MapGroup("/v1").MapAddresses().MapOrphans().MapLeases().MapMacs().MapState().MapSelfTest();
        app.MapDashboard();
        app.MapDynamicLbDefaults();
        app.MapOpenApi("/openapi/{documentName}.json");
        app.UseSwaggerUI(page =>
        {
            page.RoutePrefix = "swagger";
            page.SwaggerEndpoint("/openapi/v1.json", "Address service v1");
        });
    }

    private static void AddLeasing(this IServiceCollection services, AddressServiceOptions options)
    {
        services.AddSingleton<LeaseMetrics>();
        services.AddSingleton<ILeaseClock, BootClock>();
        services.AddSingleton(DhcpRandom.Secure);
        services.AddReplicas(options);
        services.AddSingleton<WriteBehindStore>();
        services.AddSingleton<ILeaseStore>(provider => provider.GetRequiredService<WriteBehindStore>());
        services.AddSingleton(provider => DhcpLinks.Open(options, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<HostAddresses>();
        services.AddSingleton<LeaseOutbox>();
        services.AddSingleton<IReadOnlyList<LeaseLink>>(provider =>
        {
            var outbox = provider.GetRequiredService<LeaseOutbox>();
            Func<IPv4Address, bool> isOwn = provider.GetRequiredService<HostAddresses>().Contains;
            return
            [
                .. provider.GetRequiredService<DhcpLinks>().Items.Select(link =>
                    new LeaseLink(options, link.Options, link.Device, outbox.To(link.Transport, link.Prober), isOwn, link.Six?.Wire(outbox, LocalIPv6Addresses.Has))
                    {
                        HardwareAddress = () => link.HardwareAddress,
                        Shared = (link.Transport as RelayDhcpTransport)?.Socket,
                    }),
            ];
        });
        services.AddSingleton<LeaseKeeper>();
        services.AddSingleton<LeaseLoop>();
        services.AddSingleton<LinkWatch>();
        services.AddSingleton<ISelfTestLinks, SelfTestLinks>();
        services.AddSingleton<SelfTestRunner>();
        services.AddSingleton<WebhookSender>();
        services.AddSingleton<LeaseMemory>();
        if (!BuildTimeDocument.IsGenerating)
        {
            services.AddLeaderService<LeaseLoop>(options);
            services.AddLeaderService<LinkWatch>(options);
            services.AddLeaderService<WebhookSender>(options);
            services.AddLeaderService<LeaseMemory>(options);
        }
        services.AddHealthChecks().Add(new HealthCheckRegistration("leases", provider => new LeasesCheck(provider), null, null));
    }

    private static void AddApi(this IServiceCollection services)
    {
        services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(json =>
        {
            json.SerializerOptions.TypeInfoResolverChain.Insert(0, AddressServiceJsonContext.Default);
            json.SerializerOptions.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
            json.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
        });
        services.AddOpenApi("v1", document => document.AddDocumentTransformer((description, _, _) =>
        {
            description.Info = new OpenApiInfo
            {
                Title = "DynamicLb address service",
                Version = "v1",
                Description = "Leases addresses for Kubernetes Services from the network's DHCP servers. Every answer has a status; "
                    + "calls need a token in X-Auth-Token or Authorization: Bearer, unless the service allows anonymous calls.",
            };
            description.Servers?.Clear();
            return Task.CompletedTask;
        }));
    }

    private sealed class LeasesCheck(IServiceProvider provider) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(provider.GetRequiredService<Leadership>().Refusal is { } refusal ? HealthCheckResult.Unhealthy(refusal)
                : provider.GetRequiredService<LeaseLoop>().IsSettled ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("stored leases are being verified"));
    }
}
