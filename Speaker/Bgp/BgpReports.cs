using System.Diagnostics.Metrics;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Bgp;

/// <summary>Tells of BGP: events and log lines of Services, metrics under MetalLB's names (of its native and its FRR mode), the status objects' content. Metrics are thread-safe.</summary>
internal sealed partial class BgpReports
{
    private readonly SpeakerOptions _options;
    private readonly IEventRecorder _events;
    private readonly SpeakerMetrics _metrics;
    private readonly ILogger _logger;

    public BgpReports(SpeakerOptions options, IEventRecorder events, SpeakerMetrics metrics, IMeterFactory factory, BgpPeers peers, ILogger<BgpReports> logger)
    {
        _options = options;
        _events = events;
        _metrics = metrics;
        _logger = logger;
        var meter = factory.Create("DynamicLb.Speaker.Bgp");
        Gauge("metallb_bgp_session_up", "1 while the BGP session with the peer is established", static view => view.Status.State == BgpState.Established ? 1 : 0);
        Gauge("metallb_bgp_announced_prefixes_total", "Prefixes that the peer has been told of", static view => view.Status.Told);
        Gauge("metallb_bgp_pending_prefixes_total", "Prefixes that the peer has not been told of yet", static view => view.Status.Pending);
        Counter("metallb_bgp_updates_total", "UPDATE messages sent", static counters => counters.Sent(BgpMessageType.Update));
        Counter("metallb_bgp_updates_total_received", "UPDATE messages received", static counters => counters.Received(BgpMessageType.Update));
        Counter("metallb_bgp_opens_sent", "OPEN messages sent", static counters => counters.Sent(BgpMessageType.Open));
        Counter("metallb_bgp_opens_received", "OPEN messages received", static counters => counters.Received(BgpMessageType.Open));
        Counter("metallb_bgp_notifications_sent", "NOTIFICATION messages sent", static counters => counters.Sent(BgpMessageType.Notification));
        Counter("metallb_bgp_keepalives_sent", "KEEPALIVE messages sent", static counters => counters.Sent(BgpMessageType.Keepalive));
        Counter("metallb_bgp_keepalives_received", "KEEPALIVE messages received", static counters => counters.Received(BgpMessageType.Keepalive));
        Counter("metallb_bgp_route_refresh_sent", "ROUTE-REFRESH messages sent", static counters => counters.Sent(BgpMessageType.RouteRefresh));
        Counter("metallb_bgp_total_sent", "Messages sent", static counters => counters.TotalSent);
        Counter("metallb_bgp_total_received", "Messages received", static counters => counters.TotalReceived);
        Counter("dynamiclb_bgp_notifications_received_total", "NOTIFICATION messages received", static counters => counters.Received(BgpMessageType.Notification));
        Counter("dynamiclb_bgp_malformed_updates_total", "UPDATE messages received whose routes were treated as withdrawn (RFC 7606)", static counters => counters.TreatedAsWithdraw);

        void Gauge(string name, string description, Func<BgpPeerView, int> value) => meter.CreateObservableGauge(
            name, () => peers.Views.Where(static view => view.Counters is not null).Select(view => new Measurement<int>(value(view), Labels(view))), description: description);
        void Counter(string name, string description, Func<BgpCounters, long> value) => meter.CreateObservableCounter(
            name, () => peers.Views.Where(static view => view.Counters is not null).Select(view => new Measurement<long>(value(view.Counters!), Labels(view))), description: description);
        static KeyValuePair<string, object?>[] Labels(BgpPeerView view) => [new("peer", view.Label), new("vrf", view.Vrf)];
    }

    /// <summary>Tells that what routers are told of Services has changed: each Service that is announced, and the peers it is announced to. Called by one loop.</summary>
    public event Action<IReadOnlyDictionary<NamespacedName, IReadOnlyList<string>>>? Published;

    /// <summary>Tells what changed about a Service.</summary>
    public void Tell(NamespacedName name, Service? service, BgpDecision? before, BgpDecision decision)
    {
        if (decision.IsLike(before))
            return;
        if (decision.Reason == BgpSilence.None)
        {
            LogAnnouncing(_logger, name.ToString(), string.Join(", ", decision.Addresses), decision.ValidUntil);
            _events.Normal(service!, "nodeAssigned", $"announcing from node \"{_options.NodeName}\" with protocol \"bgp\"");
        }
        else if (before?.Reason == BgpSilence.None)
        {
            LogWithdrawn(_logger, name.ToString(), string.Join(", ", before.Addresses), decision.Reason);
        }
        else if (before?.Reason != decision.Reason)
        {
            LogSilent(_logger, name.ToString(), decision.Reason);
        }
    }

    /// <summary>Takes up what is announced.</summary>
    public void Announced(IReadOnlyDictionary<NamespacedName, BgpDecision> decisions, IReadOnlyList<string> peers)
    {
        var announced = decisions.Where(static entry => entry.Value.Reason == BgpSilence.None).ToList();
        _metrics.AnnouncedByBgp([.. announced.SelectMany(static entry => entry.Value.Addresses.Select(address => (entry.Key, address)))]);
        var told = new Dictionary<NamespacedName, IReadOnlyList<string>>(announced.Count);
        // Most Services are announced by the same advertisements: then they share the answer.
        IReadOnlyList<BgpAdvertisement> last = [];
        string[] reached = [];
        foreach (var (name, decision) in announced)
        {
            if (!decision.Advertisements.SequenceEqual(last, ReferenceEqualityComparer.Instance))
                reached = [.. peers.Where(peer => decision.Advertisements.Any(ad => ad.Reaches(peer))).Order(StringComparer.Ordinal)];
            last = decision.Advertisements;
            if (reached.Length > 0)
                told.Add(name, reached);
        }
        Published?.Invoke(told);
    }

    [LoggerMessage(1, LogLevel.Information, "{Service}: announcing {Addresses} by BGP, until {Until}")]
    private static partial void LogAnnouncing(ILogger logger, string service, string addresses, DateTimeOffset? until);

    [LoggerMessage(2, LogLevel.Information, "{Service}: announcing {Addresses} by BGP no longer ({Reason})")]
    private static partial void LogWithdrawn(ILogger logger, string service, string addresses, BgpSilence reason);

    [LoggerMessage(3, LogLevel.Debug, "{Service}: not announced by BGP ({Reason})")]
    private static partial void LogSilent(ILogger logger, string service, BgpSilence reason);
}
