using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Announcing;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace DynamicLb.Speaker;

/// <summary>What the speaker is made of.</summary>
internal static class SpeakerServices
{
    public static IServiceCollection AddSpeaker(this IServiceCollection services, SpeakerOptions options, IKubernetesClient client)
    {
        services.AddSingleton(options);
        services.AddSingleton(client);
        services.AddSingleton(_ => new Random(Random.Shared.Next()));
        services.AddSingleton(provider => new ConfigFileWatcher(
            options.ConfigFile, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ConfigFileWatcher>>()));
        services.AddSingleton(provider => new EventRecorder(
            client, "metallb-speaker", options.NodeName, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<EventRecorder>>()));
        services.AddSingleton<IEventRecorder>(provider => provider.GetRequiredService<EventRecorder>());
        services.AddSingleton<Layer2State>();
        services.AddSingleton<Layer2Metrics>();
        services.AddSingleton<SpeakerMetrics>();
        services.AddSingleton<IInformer<Lease>>(provider => provider.GetRequiredService<SpeakerInformers>().Leases);

        // Stopped in the reverse order: silent first, then the Lease is given up, so that two nodes never answer at once.
        AddHosted<EventWriter>(services);
        AddHosted<NodeLeaseKeeper>(services);
        AddHosted<SpeakerInformers>(services);
        AddHosted<ConfigHolder>(services);
        AddHosted<Layer2Announcer>(services);
        AddHosted<ServiceAnnouncer>(services);

        services.AddHealthChecks()
            .Add(new HealthCheckRegistration("informers", provider => new Check(() =>
                provider.GetRequiredService<SpeakerInformers>().HasSynced ? null : "the API server has not been listed yet"), null, null))
            .Add(new HealthCheckRegistration("configuration", provider => new Check(() =>
                provider.GetRequiredService<ConfigHolder>().HasConfig ? null : "there is no valid configuration yet"), null, null));
        return services;
    }

    private static void AddHosted<[System.Diagnostics.CodeAnalysis.DynamicallyAccessedMembers(System.Diagnostics.CodeAnalysis.DynamicallyAccessedMemberTypes.PublicConstructors)] T>(
        IServiceCollection services)
        where T : class, IHostedService
    {
        services.AddSingleton<T>();
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<T>());
    }

    private sealed class Check(Func<string?> whyNot) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(whyNot() is { } reason ? HealthCheckResult.Unhealthy(reason) : HealthCheckResult.Healthy());
    }

    /// <summary>Lets the recorder write.</summary>
    private sealed class EventWriter(EventRecorder recorder) : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken) => recorder.RunAsync(stoppingToken);
    }
}
