using DynamicLb.Kubernetes.Client;
using DynamicLb.Speaker.Bgp;

namespace DynamicLb.Speaker.FrrK8s;

/// <summary>Who tells routers.</summary>
internal static class FrrK8sExtensions
{
    /// <summary>Leaves routers to FRR where the settings say so.</summary>
    public static void AddFrrK8s(this IServiceCollection services, SpeakerOptions options, string space)
    {
        if (!options.Bgp.UsesFrrK8s)
        {
            services.AddSingleton<IBgpPeers>(static provider => provider.GetRequiredService<BgpPeers>());
            return;
        }
        string frrSpace = options.Bgp.FrrNamespace ?? space;
        services.AddSingleton(provider => new FrrConfigurationWriter(
            provider.GetRequiredService<IKubernetesClient>(), frrSpace, options.NodeName, provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<FrrConfigurationWriter>>()));
        services.AddSingleton<IBgpPeers>(provider => new FrrPeers(
            options, space, frrSpace, provider.GetRequiredService<FrrConfigurationWriter>(), provider.GetRequiredService<ILogger<FrrPeers>>()));
        services.AddHostedService<Worker>();
    }

    private sealed class Worker(FrrConfigurationWriter writer) : BackgroundService
    {
        protected override Task ExecuteAsync(CancellationToken stoppingToken) => writer.RunAsync(stoppingToken);
    }
}
