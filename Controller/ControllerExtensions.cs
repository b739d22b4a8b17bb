using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Controller.Status;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.LeaderElection;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace DynamicLb.Controller;

/// <summary>The controller's parts.</summary>
internal static class ControllerExtensions
{
    public static void AddController(this IServiceCollection services, ControllerOptions options)
    {
        var kubernetes = KubernetesClientConfiguration.Load(options.Common.KubeConfig);
        services.AddSingleton(options);
        services.AddSingleton(Random.Shared);

        // What it knows
        services.AddSingleton(provider => new KubernetesClient(kubernetes, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<IKubernetesClient>(static provider => provider.GetRequiredService<KubernetesClient>());
        services.AddSingleton(static provider => new Informer<Service>(
            provider.GetRequiredService<IKubernetesClient>(), ResourceTypes.Services, null, provider.GetRequiredService<TimeProvider>(), Random.Shared,
            provider.GetRequiredService<ILogger<Informer<Service>>>())
        {
            Trim = ServiceTrimmer.Trim,
        });
        services.AddSingleton(static provider => new Informer<Namespace>(
            provider.GetRequiredService<IKubernetesClient>(), ResourceTypes.Namespaces, null, provider.GetRequiredService<TimeProvider>(), Random.Shared,
            provider.GetRequiredService<ILogger<Informer<Namespace>>>()));
        services.AddSingleton<IInformer<Namespace>>(static provider => provider.GetRequiredService<Informer<Namespace>>());
        services.AddSingleton<NamespaceLabels>(static provider =>
        {
            var namespaces = provider.GetRequiredService<Informer<Namespace>>();
            return name => namespaces.Get(new NamespacedName("", name))?.Metadata.Labels;
        });
        services.AddSingleton<IInformer<Service>>(static provider => provider.GetRequiredService<Informer<Service>>());
        if (options.Common.UsesResources)
        {
            services.AddSingleton(static provider => new Informer<Node>(
                provider.GetRequiredService<IKubernetesClient>(), ResourceTypes.Nodes, null, provider.GetRequiredService<TimeProvider>(), Random.Shared,
                provider.GetRequiredService<ILogger<Informer<Node>>>()));
            services.AddSingleton(provider => new ResourceConfigSource(
                provider.GetRequiredService<IKubernetesClient>(), options.Namespace, ConfigScope.Controller, provider.GetRequiredService<Informer<Node>>(), provider.GetRequiredService<TimeProvider>(),
                Random.Shared, provider.GetRequiredService<ILogger<ResourceConfigSource>>()));
            services.AddSingleton<IConfigSource>(static provider => provider.GetRequiredService<ResourceConfigSource>());
            services.AddSingleton<SourceStatusWriter>();
        }
        else
        {
            services.AddSingleton<IConfigSource>(provider => new ConfigFileWatcher(
                options.Common.ConfigFile, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ConfigFileWatcher>>()));
        }

        // What it deals with
        services.AddSingleton<TokenSecret>();
        services.AddSingleton(provider =>
        {
            var metrics = provider.GetRequiredService<AddressServiceMetrics>();
            var brokers = new LeaseBrokers(
                provider.GetRequiredService<IKubernetesClient>(), options, provider.GetRequiredService<TimeProvider>(), Random.Shared, provider.GetRequiredService<ILogger<LeaseBrokers>>(), metrics)
            {
                MayAct = () => NotLeading(provider, options) is null,
            };
            // Who leads no more knows nothing of them that is worth telling.
            metrics.Brokers = () => brokers.MayAct() ? brokers.All : [];
            return brokers;
        });
        services.AddSingleton<AddressServiceMetrics>();
        services.AddSingleton<AddressDecider>();

        // What it does
        services.AddSingleton(static provider => new EventRecorder(
            provider.GetRequiredService<IKubernetesClient>(), "metallb-controller", null, provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<EventRecorder>>())
        {
            // Addresses first. Only asked when both are there: the reconciler tells Events itself.
            YieldsTo = () => provider.GetRequiredService<ServiceReconciler>().IsBusy,
        });
        services.AddSingleton<IEventRecorder>(static provider => provider.GetRequiredService<EventRecorder>());
        services.AddSingleton(provider => new ServiceStatusWriter(
            provider.GetRequiredService<KubernetesClient>().Fenced(() => NotLeading(provider, options)), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(ConfigurationStateTarget.OfController(options.Namespace) with { Owner = OwnerReference.OwnPod(Environment.GetEnvironmentVariable) });
        services.AddSingleton<ConfigurationStateWriter>();
        services.AddSingleton<ControllerMetrics>();
        services.AddSingleton<ServiceReconciler>();
        services.AddSingleton(provider => new LeaderElector(
            provider.GetRequiredService<IKubernetesClient>(), new LeaderElectionOptions(options.Namespace, "controller", options.Identity),
            provider.GetRequiredService<TimeProvider>(), Random.Shared, provider.GetRequiredService<ILogger<LeaderElector>>()));
        if (options.Webhooks.Mode == Admission.WebhookMode.OnlyWebhook)
            return;
        services.AddSingleton<ControllerWorker>();
        services.AddHostedService(static provider => provider.GetRequiredService<ControllerWorker>());
        services.AddHealthChecks().Add(
            new HealthCheckRegistration("controller", static provider => new Readiness(provider.GetRequiredService<ControllerWorker>()), null, null));
    }

    /// <summary>Why nothing may be given out at this moment; null when it may.</summary>
    private static string? NotLeading(IServiceProvider provider, ControllerOptions options) =>
        options.LeaderElect && provider.GetRequiredService<LeaderElector>().Claimed != LeaderClaim.Confirmed ? "the claim to lead has run out" : null;

    private sealed class Readiness(ControllerWorker worker) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(worker.NotReady is { } reason ? HealthCheckResult.Unhealthy(reason) : HealthCheckResult.Healthy());
    }
}
