using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Services;

namespace DynamicLb.Speaker.Bgp;

/// <summary>
/// Keeps what routers are told equal to what should be. One loop owns the decisions and the peers; informers, configuration and Secrets only wake it. Nothing in it waits for I/O.
/// </summary>
internal sealed class BgpReconciler
{
    private readonly SpeakerOptions _options;
    private readonly IInformer<Service> _services;
    private readonly IInformer<Node> _nodes;
    private readonly IBgpPeers _peers;
    private readonly BgpSecrets _secrets;
    private readonly BgpReports _reports;
    private readonly TimeProvider _time;
    private readonly EndpointSliceIndex _slices = new();
    private readonly Dictionary<NamespacedName, BgpDecision> _decisions = [];
    private readonly DirtyServices _dirty;
    private volatile LoadBalancerConfig? _config;

    public BgpReconciler(
        SpeakerOptions options, IInformer<Service> services, IInformer<Node> nodes, IInformer<EndpointSlice> endpointSlices, IBgpPeers peers, BgpSecrets secrets,
        BgpReports reports, TimeProvider time)
    {
        _options = options;
        _services = services;
        _nodes = nodes;
        _peers = peers;
        _secrets = secrets;
        _reports = reports;
        _time = time;
        _dirty = new DirtyServices(time);
        services.Subscribe((old, service) => _dirty.Touch([NamespacedName.Of((service ?? old)!)]));
        endpointSlices.Subscribe((old, slice) => _dirty.Touch(_slices.Change(old, slice)));
        nodes.Subscribe((old, node) =>
        {
            if ((node ?? old)!.Metadata.Name == options.NodeName && (old is null || node is null || !IsSame(old, node)))
                _dirty.TouchAll();
        });
        secrets.Changed += _dirty.TouchAll;
    }

    /// <summary>Takes up a new configuration.</summary>
    public void Configure(LoadBalancerConfig config)
    {
        _config = config;
        _dirty.TouchAll();
    }

    /// <summary>Works until cancelled; then sessions are ended, as their configuration says. To be called once, when the informers are in sync.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                Work();
                await _dirty.SleepAsync(_decisions.Values.Select(static decision => decision.ValidUntil), cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
        await _peers.StopAsync();
    }

    /// <summary>Works off what has been reported. Called by the loop alone.</summary>
    internal void Work()
    {
        if (_config is not { } config)
            return;
        var names = _dirty.Take(out bool all);
        var now = _time.GetUtcNow();
        var node = _nodes.Get(new NamespacedName("", _options.NodeName));
        if (all)
        {
            names.UnionWith(_decisions.Keys);
            names.UnionWith(_services.Items.Where(static service => service.Spec.Type == "LoadBalancer").Select(NamespacedName.Of));
        }
        names.UnionWith(_decisions.Where(entry => entry.Value.ValidUntil <= now).Select(static entry => entry.Key));
        var surroundings = new BgpSurroundings(_options.NodeName, node, config, _options.IgnoreExcludeLabel, now);
        bool changed = false;
        foreach (var name in names)
            changed |= Decide(name, surroundings, all);
        changed |= all && _peers.Configure(config, node?.Metadata.Labels, _secrets.Of, Routes);
        if (!changed)
            return;
        var tables = Routes(_peers.Names);
        _peers.Publish(tables);
        _reports.Announced(_decisions, [.. _peers.Names]);
    }

    private Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> Routes(IEnumerable<string> peers) =>
        BgpRoutes.Of([.. _decisions.Values.Where(static decision => decision.Reason == BgpSilence.None)], peers);

    private bool Decide(NamespacedName name, BgpSurroundings surroundings, bool all)
    {
        var service = _services.Get(name);
        var before = _decisions.GetValueOrDefault(name);
        var decision = service is null || !_options.Common.Serves(service) ? BgpDecision.Silent(BgpSilence.NotLoadBalancer) : BgpAnnouncementRules.Decide(service, _slices.Of(name), surroundings);
        if (decision.Reason == BgpSilence.NotLoadBalancer)
            _decisions.Remove(name);
        else
            _decisions[name] = decision;
        _reports.Tell(name, service, before, decision);
        // With a new configuration the advertisement of the same name may say something else.
        return !decision.IsLike(before) || (all && decision.Reason == BgpSilence.None);
    }

    private static bool IsSame(Node left, Node right) =>
        AnnouncementRules.CanAnnounce(left, true) == AnnouncementRules.CanAnnounce(right, true) && AnnouncementRules.HaveSameLabels(left, right);
}
