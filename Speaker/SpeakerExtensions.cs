using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Ndp;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.Nftables;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Bfd;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.FrrK8s;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Services;
using DynamicLb.Speaker.Status;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace DynamicLb.Speaker;

/// <summary>The speaker's parts.</summary>
internal static class SpeakerExtensions
{
    public static void AddSpeaker(this IServiceCollection services, SpeakerOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton(Random.Shared);

        // What it knows
        var kubernetes = KubernetesClientConfiguration.Load(options.Common.KubeConfig);
        string space = options.Common.Namespace ?? kubernetes.Namespace ?? "dynamiclb-system";
        services.AddSingleton<IKubernetesClient>(provider => new KubernetesClient(kubernetes, provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(static provider => Follow(provider, ResourceTypes.Services, Trimmer.Trim));
        services.AddSingleton(static provider => Follow(provider, ResourceTypes.Nodes, Trimmer.Trim));
        services.AddSingleton(static provider => EndpointSliceInformer.Create(
            provider.GetRequiredService<IKubernetesClient>(), provider.GetRequiredService<TimeProvider>(), Random.Shared,
            provider.GetRequiredService<ILogger<Informer<EndpointSlice>>>(), Trimmer.Trim));
        services.AddSingleton<IInformer<Service>>(static provider => provider.GetRequiredService<Informer<Service>>());
        services.AddSingleton<IInformer<Node>>(static provider => provider.GetRequiredService<Informer<Node>>());
        services.AddSingleton<IInformer<EndpointSlice>>(static provider => provider.GetRequiredService<Informer<EndpointSlice>>());
        services.AddSingleton<IConfigSource>(provider => options.Common.UsesResources
            ? new ResourceConfigSource(
                provider.GetRequiredService<IKubernetesClient>(), space, ConfigScope.OfSpeaker(options.NodeName, !options.Bgp.PassesFrrSecrets), provider.GetRequiredService<Informer<Node>>(),
                provider.GetRequiredService<TimeProvider>(), Random.Shared, provider.GetRequiredService<ILogger<ResourceConfigSource>>())
            : new ConfigFileWatcher(options.Common.ConfigFile, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ConfigFileWatcher>>()));
        services.AddSingleton(ConfigurationStateTarget.OfSpeaker(space, options.NodeName) with { Owner = OwnerReference.OwnPod(Environment.GetEnvironmentVariable) });
        services.AddSingleton<ConfigurationStateWriter>();

        // Who else is there
        services.AddSingleton(provider => new NodeMembership(
            provider.GetRequiredService<IKubernetesClient>(), options, space, provider.GetRequiredService<TimeProvider>(), Random.Shared,
            provider.GetRequiredService<ILogger<NodeMembership>>(), () => provider.GetRequiredService<HeartbeatExchange>().IsOn,
            () => OwnNode(provider, options)));
        services.AddSingleton(provider => new HeartbeatKeys(
            options.HeartbeatKeyFile ?? "", provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<HeartbeatKeys>>()));
        services.AddSingleton(provider => new HeartbeatExchange(
            options, provider.GetRequiredService<HeartbeatKeys>(), provider.GetRequiredService<ILinkMonitor>(),
            static link => PacketLinkChannel.Open(link, HeartbeatFrame.Filter), () => provider.GetRequiredService<NodeMembership>().HasJoined,
            provider.GetRequiredService<SpeakerMetrics>(),
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<HeartbeatExchange>>()));
        services.AddSingleton<IMembership, SegmentMembership>();

        // Which routers can be reached
        services.AddSingleton<BfdSessions>();
        services.AddSingleton<IBfdSessions, BfdForBgp>();
        services.AddSingleton<BfdMetrics>();
        services.AddHostedService<BfdWorker>();

        // What it does
        services.AddSingleton<SpeakerMetrics>();
        services.AddSingleton<AnnouncementTable>();
        services.AddSingleton(static provider =>
        {
            var (guard, heartbeats) = (provider.GetRequiredService<NodeMembership>().Guard, provider.GetRequiredService<HeartbeatExchange>());
            guard.Beside = () => heartbeats.IsOn ? heartbeats.Guard : null;
            return guard;
        });
        services.AddSingleton<ResponderContext>();
        services.AddSingleton<ILinkMonitor, LinkMonitor>();
        services.AddSingleton(new ResponderSockets(
            static link => PacketLinkChannel.Open(link, ArpPacket.ResponderFilter), static link => PacketLinkChannel.Open(link, NeighborFilter.Responder),
            static link => new SolicitedNodeGroups(link.Index))
        {
            Dhcp = static link => PacketLinkChannel.Open(link, DhcpFilter.Requests),
        });
        services.AddSingleton<IAddressMacs, AddressMacs>();
        services.AddSingleton<Layer2Announcer>();
        services.AddSingleton(provider => new EventRecorder(
            provider.GetRequiredService<IKubernetesClient>(), "metallb-speaker", options.NodeName, provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<EventRecorder>>(),
            // Each node that starts would write as many as there are Services.
            capacity: 1000));
        services.AddSingleton<IEventRecorder>(static provider => provider.GetRequiredService<EventRecorder>());
        services.AddSingleton<ServiceEvents>();
        services.AddSingleton<ConflictConditions>();
        services.AddSingleton(provider => new Layer2StatusWriter(
            provider.GetRequiredService<IKubernetesClient>(),
            new Informer<ServiceL2Status>(
                provider.GetRequiredService<IKubernetesClient>(), ServiceL2Status.Type, space, provider.GetRequiredService<TimeProvider>(), Random.Shared,
                provider.GetRequiredService<ILogger<Informer<ServiceL2Status>>>()),
            GoneAsSeenBy(provider), new Layer2StatusTarget(space, options.NodeName, () => OwnNode(provider, options)),
            provider.GetRequiredService<SpeakerMetrics>(), provider.GetRequiredService<TimeProvider>(), Random.Shared, provider.GetRequiredService<ILogger<Layer2StatusWriter>>()));
        services.AddSingleton(static provider =>
        {
            var reconciler = ActivatorUtilities.CreateInstance<ServiceReconciler>(provider);
            var statuses = provider.GetRequiredService<Layer2StatusWriter>();
            reconciler.Decided += statuses.Decided;
            reconciler.ConflictChanged += provider.GetRequiredService<ConflictConditions>().Set;
            reconciler.AnnouncersOf = statuses.AnnouncersOf;
            reconciler.KnowsAnnouncers = () => statuses.IsInSync;
            statuses.AnnouncersChanged += reconciler.LookAgain;
            statuses.HasDecided = () => reconciler.HasDecided && provider.GetRequiredService<NodeMembership>().HasJoined;
            statuses.IsLeaving = () => provider.GetRequiredService<NodeMembership>().IsLeaving;
            return reconciler;
        });
        services.AddSingleton(static provider => new BgpExplainer(
            provider.GetRequiredService<SpeakerOptions>(), provider.GetRequiredService<IBgpPeers>(), () => provider.GetRequiredService<BfdSessions>().Watches));
        services.AddSingleton<ServiceExplainer>();
        services.AddBgp(space);
        services.AddFrrK8s(options, space);
        services.AddSingleton(static provider =>
        {
            var (membership, announcer) = (provider.GetRequiredService<NodeMembership>(), provider.GetRequiredService<Layer2Announcer>());
            var (members, heartbeats) = (provider.GetRequiredService<IMembership>(), provider.GetRequiredService<HeartbeatExchange>());
            var metrics = provider.GetRequiredService<SpeakerMetrics>();
            metrics.Observe(() => members.Members.Count, () => membership.IsCutOff, () => announcer.InterfaceCount, () => heartbeats.Sight.Alive.Count);
            return ActivatorUtilities.CreateInstance<SpeakerWorker>(provider);
        });
        services.AddHostedService(static provider => provider.GetRequiredService<SpeakerWorker>());
        services.AddHealthChecks().Add(new HealthCheckRegistration("speaker", static provider => new Readiness(provider.GetRequiredService<SpeakerWorker>()), null, null));
    }

    private static Informer<T> Follow<T>(IServiceProvider provider, ResourceType<T> type, Func<T, T> trim)
        where T : KubernetesObject =>
        new(
            provider.GetRequiredService<IKubernetesClient>(), type, null, provider.GetRequiredService<TimeProvider>(), Random.Shared,
            provider.GetRequiredService<ILogger<Informer<T>>>())
        {
            Trim = trim,
        };

    private static OwnerReference? OwnNode(IServiceProvider provider, SpeakerOptions options) =>
        OwnerReference.Of(provider.GetRequiredService<IInformer<Node>>().Get(new NamespacedName("", options.NodeName)));

    /// <summary>Whether there is no such Service, or no such node, any more. A node whose speaker lives is there, whether its Node is or not.</summary>
    private static Func<NamespacedName, string, bool> GoneAsSeenBy(IServiceProvider provider)
    {
        var (services, nodes, membership) = (provider.GetRequiredService<IInformer<Service>>(), provider.GetRequiredService<IInformer<Node>>(), provider.GetRequiredService<IMembership>());
        return (service, node) => services.HasSynced && nodes.HasSynced
            && (services.Get(service) is not { Spec.Type: "LoadBalancer" } || (nodes.Get(new NamespacedName("", node)) is null && !membership.Members.Contains(node)));
    }

    private sealed class Readiness(SpeakerWorker worker) : IHealthCheck
    {
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(worker.NotReady is { } reason ? HealthCheckResult.Unhealthy(reason) : HealthCheckResult.Healthy());
    }
}
