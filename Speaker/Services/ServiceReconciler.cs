using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Queues;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Membership;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Services;

/// <summary>
/// The loop that decides, Service by Service, what is announced: it computes the wanted state from what the informers hold and changes what differs. Every event only
/// names a Service to look at.
/// </summary>
internal sealed partial class ServiceReconciler : IDisposable
{
    private readonly SpeakerOptions _options;
    private readonly IInformer<Service> _services;
    private readonly IInformer<Node> _nodes;
    private readonly EndpointSliceIndex _slices;
    private readonly NodeMembership _membership;
    private readonly AnnouncementTable _table;
    private readonly Layer2Announcer _announcer;
    private readonly IEventRecorder _events;
    private readonly SpeakerMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly WorkQueue<NamespacedName> _queue;
    private readonly Dictionary<NamespacedName, SilenceReason> _last = [];
    private volatile LoadBalancerConfig? _config;

    public ServiceReconciler(
        SpeakerOptions options, IInformer<Service> services, IInformer<Node> nodes, IInformer<EndpointSlice> endpointSlices, NodeMembership membership,
        AnnouncementTable table, Layer2Announcer announcer, IEventRecorder events, SpeakerMetrics metrics, TimeProvider time, Random random,
        ILogger<ServiceReconciler> logger)
    {
        _options = options;
        _services = services;
        _nodes = nodes;
        _slices = new EndpointSliceIndex();
        _membership = membership;
        _table = table;
        _announcer = announcer;
        _events = events;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _queue = new WorkQueue<NamespacedName>(time, random);

        services.Subscribe((old, service) => _queue.Add(NamespacedName.Of((service ?? old)!)));
        endpointSlices.Subscribe((old, slice) =>
        {
            foreach (var service in _slices.Change(old, slice))
                _queue.Add(service);
        });
        nodes.Subscribe((old, node) =>
        {
            // A node's heartbeat changes nothing here.
            bool ignore = options.IgnoreExcludeLabel;
            if (old is null || node is null || AnnouncementRules.CanAnnounce(old, ignore) != AnnouncementRules.CanAnnounce(node, ignore))
                AddAll();
        });
        membership.Changed = AddAll;
    }

    /// <summary>Takes up a new configuration.</summary>
    public Task ConfigureAsync(LoadBalancerConfig config)
    {
        _config = config;
        AddAll();
        return Task.CompletedTask;
    }

    /// <summary>Works until cancelled. To be called once, when the informers are in sync.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        AddAll();
        while (!cancellationToken.IsCancellationRequested)
        {
            NamespacedName key;
            try
            {
                key = await _queue.GetAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            try
            {
                await ReconcileAsync(key, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            finally
            {
                _queue.Done(key);
            }
        }
    }

    public void Dispose() => _queue.Dispose();

    private void AddAll()
    {
        foreach (var service in _services.Items)
        {
            if (service.Spec.Type == "LoadBalancer")
                _queue.Add(NamespacedName.Of(service));
        }
    }

    private async Task ReconcileAsync(NamespacedName key, CancellationToken cancellationToken)
    {
        if (_config is not { } config)
            return;
        var service = _services.Get(key);
        var now = _time.GetUtcNow();
        var decision = service is null || !_options.Common.Serves(service)
            ? Decision.Silent(SilenceReason.NotLoadBalancer)
            : AnnouncementRules.Decide(
                service, _slices.Of(key), config,
                new Surroundings(_options.NodeName, _membership.Members, node => _nodes.Get(new NamespacedName("", node)), _options.IgnoreExcludeLabel), now);

        var fresh = _table.Set(key, decision.Addresses, decision.ValidUntil);
        _metrics.Announced(key.ToString(), decision.Addresses.Select(static address => address.ToString()));
        if (decision.ValidUntil is { } end)
            _queue.AddAfter(key, end - now);
        if (fresh.Count > 0)
            await _announcer.TellAsync(fresh, cancellationToken);
        Tell(key, service, decision);
    }

    /// <summary>Logs and tells what changed, once.</summary>
    private void Tell(NamespacedName key, Service? service, Decision decision)
    {
        bool known = _last.TryGetValue(key, out var before);
        if (service is null)
            _last.Remove(key);
        else
            _last[key] = decision.Reason;
        if (known ? before == decision.Reason : decision.Reason is SilenceReason.NotLoadBalancer or SilenceReason.NoIPAllocated)
            return;
        if (decision.Reason == SilenceReason.None)
        {
            LogAnnouncing(_logger, key.ToString(), string.Join(", ", decision.Addresses));
            _events.Normal(service!, "nodeAssigned", $"announcing from node \"{_options.NodeName}\" with protocol \"layer2\"");
            if (_announcer.InterfaceCount == 0)
            {
                _events.Warning(
                    service!, "announceFailed",
                    $"announcing {string.Join(", ", decision.Addresses)} from node \"{_options.NodeName}\" with protocol \"layer2\" failed: no interface takes part");
            }
            return;
        }
        LogSilent(_logger, key.ToString(), decision.Reason, decision.Owner ?? "nobody");
        switch (decision.Reason)
        {
            case SilenceReason.LeaseExpired when before == SilenceReason.None:
                _events.Warning(service!, "LeaseExpired", $"the lease ended and was not renewed: node \"{_options.NodeName}\" announces the address no longer");
                break;
            case SilenceReason.UnsupportedProtocol:
                _events.Warning(service!, "announceFailed", "the pool's protocol is bgp, which is not supported yet");
                break;
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Service}: announcing {Addresses}")]
    private static partial void LogAnnouncing(ILogger logger, string service, string addresses);

    [LoggerMessage(2, LogLevel.Information, "{Service}: silent ({Reason}); announced by {Owner}")]
    private static partial void LogSilent(ILogger logger, string service, SilenceReason reason, string owner);
}
