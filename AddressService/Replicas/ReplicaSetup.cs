using System.Security.Cryptography;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Endpoints;
using DynamicLb.AddressService.Store;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.LeaderElection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace DynamicLb.AddressService.Replicas;

/// <summary>Puts together who may lease: the only process of a folder, the one that holds its lock, or the elected one.</summary>
internal static class ReplicaSetup
{
    private const string LeaseName = "address-service";
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(2);

    public static void AddReplicas(this IServiceCollection services, AddressServiceOptions options)
    {
        services.AddSingleton<Leadership>();
        if (options.Store == StoreKind.Kubernetes)
            services.AddKubernetesElection(options);
        else if (options.Standby)
            services.AddSingleton<IElection, FolderElection>();
        if (!HasStandby(options))
        {
            services.AddSingleton<ILeaseBackend>(provider => FileLeaseStore.Open(
                options.Data, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<FileLeaseStore>>()));
            return;
        }
        services.AddSingleton<ReplicaWorker>();
        services.AddSingleton(provider => provider.GetRequiredService<ReplicaWorker>().Backend);
        if (!BuildTimeDocument.IsGenerating)
            services.AddHostedService(provider => provider.GetRequiredService<ReplicaWorker>());
    }

    /// <summary>Runs a service (added as a singleton before) only while this process leads, which without a standby is always.</summary>
    public static void AddLeaderService<T>(this IServiceCollection services, AddressServiceOptions options)
        where T : class, IHostedService
    {
        if (HasStandby(options))
            services.AddSingleton(new LeaderService(static provider => provider.GetRequiredService<T>()));
        else
            services.AddHostedService(static provider => provider.GetRequiredService<T>());
    }

    /// <summary>Refuses calls while another process leads, and says which.</summary>
    public static void UseLeaderOnly(this WebApplication app)
    {
        if (BuildTimeDocument.IsGenerating)
            return;
        var leadership = app.Services.GetRequiredService<Leadership>();
        app.Use((context, next) => context.Request.Path.StartsWithSegments("/v1", StringComparison.OrdinalIgnoreCase) && leadership.Refusal is { } refusal
            ? Errors.WriteAsync(context, StatusCodes.Status503ServiceUnavailable, refusal, AskAgain)
            : next(context));
    }

    private static bool HasStandby(AddressServiceOptions options) => options.Standby || options.Store == StoreKind.Kubernetes;

    private static void AddKubernetesElection(this IServiceCollection services, AddressServiceOptions options)
    {
        KubernetesClientConfiguration configuration;
        try
        {
            configuration = KubernetesClientConfiguration.Load(options.KubeConfig);
        }
        catch (Exception e) when (e is KubeConfigException or IOException or UnauthorizedAccessException)
        {
            throw new UnusableException($"--store kubernetes: {e.Message}", e);
        }
        var candidate = new LeaderElectionOptions(
            options.Namespace ?? configuration.Namespace ?? "dynamiclb-system", LeaseName,
            $"{Environment.MachineName}_{RandomNumberGenerator.GetHexString(8, lowercase: true)}")
        {
            LeaseDuration = options.LeaderLease,
            RenewDeadline = options.LeaderLease * 0.7,
            RetryPeriod = options.LeaderLease * 0.1,
            HoldWhileUnreachable = true,
        };
        services.AddSingleton(candidate);
        services.TryAddSingleton<IKubernetesClient>(provider => new KubernetesClient(configuration, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new LeaderElector(
            provider.GetRequiredService<IKubernetesClient>(), candidate, new BootTimeProvider(), Random.Shared, provider.GetRequiredService<ILogger<LeaderElector>>()));
        services.AddSingleton<IElection, KubernetesElection>();
    }
}
