using DynamicLb.Contracts.Hosting;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Bgp;

/// <summary>What runs for BGP.</summary>
/// <param name="Reconciler">Decides, and owns the sessions.</param>
/// <param name="Secrets">Follows passwords.</param>
/// <param name="Status">Writes status objects.</param>
internal sealed record BgpParts(BgpReconciler Reconciler, BgpSecrets Secrets, ServiceBgpStatusWriter Status)
{
    /// <summary>Runs what is beside the reconciler, until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => Together.RunAsync(cancellationToken, Secrets.RunAsync, Status.RunAsync);
}

/// <summary>The parts of BGP. An <see cref="IBfdSessions"/> is used when there is one.</summary>
internal static class BgpExtensions
{
    public static void AddBgp(this IServiceCollection services, string space)
    {
        services.AddSingleton<BgpPeers>();
        services.AddSingleton<BgpReports>();
        services.AddSingleton(provider => new BgpSecrets(
            provider.GetRequiredService<IKubernetesClient>(), space, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<Random>(),
            provider.GetRequiredService<ILogger<Informer<Secret>>>()));
        services.AddSingleton(provider => new ServiceBgpStatusWriter(
            provider.GetRequiredService<IKubernetesClient>(), space, provider.GetRequiredService<SpeakerOptions>(), provider.GetRequiredService<BgpReports>(),
            provider.GetRequiredService<SpeakerMetrics>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ServiceBgpStatusWriter>>()));
        services.AddSingleton<BgpReconciler>();
        services.AddSingleton<BgpParts>();
    }
}
