using System.Diagnostics.Metrics;
using DynamicLb.AddressService.Leasing;

namespace DynamicLb.AddressService.Metrics;

/// <summary>Numbers of the address service: for Prometheus, and as totals by name for <c>GET /v1/status</c>. Thread-safe.</summary>
internal sealed class LeaseMetrics
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(string Group, string Value), long> _totals = [];
    private readonly Counter<long> _sent;
    private readonly Counter<long> _received;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _events;
    private readonly Counter<long> _refused;
    private readonly Counter<long> _storeFailures;
    private readonly Histogram<double> _acquire;
    private readonly Histogram<double> _write;
    private volatile IReadOnlyList<KeyValuePair<(string State, LeaseFamily Family), int>> _leases = [];
    private readonly Counter<long> _exchanges;
    private readonly Counter<long> _webhooks;
    private readonly Counter<long> _probes;
    private readonly System.Collections.Concurrent.ConcurrentDictionary<string, bool> _links = new(StringComparer.Ordinal);
    private int _freeMacs;
    private int _orphans;
    private int _unrenewed;
    private int _poolMacs;
    private int _watchers;
    private long _cutOff;
    private int _avoided;

    public LeaseMetrics(IMeterFactory factory)
    {
        var meter = factory.Create("DynamicLb.AddressService");
        _sent = meter.CreateCounter<long>("dynamiclb_address_service_dhcp_sent_total", description: "DHCP messages sent, by type and family.");
        _received = meter.CreateCounter<long>("dynamiclb_address_service_dhcp_received_total", description: "DHCP messages from servers that belong to a client here, by type and family.");
        _dropped = meter.CreateCounter<long>("dynamiclb_address_service_dhcp_dropped_total", description: "Frames and messages received that were not used, by reason.");
        _events = meter.CreateCounter<long>("dynamiclb_address_service_lease_events_total", description: "What became of leases, by event.");
        _storeFailures = meter.CreateCounter<long>("dynamiclb_address_service_store_failures_total", description: "Writes to the data folder that failed.");
        _acquire = meter.CreateHistogram<double>(
            "dynamiclb_address_service_acquire_seconds", description: "From the first call for an address to its lease.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.05, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64] });
        _write = meter.CreateHistogram<double>(
            "dynamiclb_address_service_store_write_seconds", description: "Time of a durable write.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1] });
        meter.CreateObservableGauge(
            "dynamiclb_address_service_leases", () => _leases.Select(l => new Measurement<int>(l.Value, new("state", l.Key.State), new("family", LeaseKeeper.FamilyName(l.Key.Family)))),
            description: "Leases, by state and family.");
        meter.CreateObservableGauge("dynamiclb_address_service_orphans", () => Volatile.Read(ref _orphans), description: "Leases without an owner.");
        meter.CreateObservableGauge("dynamiclb_address_service_free_macs", () => Volatile.Read(ref _freeMacs), description: "MACs of the pool that no lease uses.");
        meter.CreateObservableGauge("dynamiclb_address_service_pool_macs", () => Volatile.Read(ref _poolMacs), description: "MACs of the pool.");
        meter.CreateObservableGauge(
            "dynamiclb_address_service_unrenewed_leases", () => Volatile.Read(ref _unrenewed), description: "Leases with a renewal that went unanswered.");
        meter.CreateObservableGauge("dynamiclb_address_service_watchers", () => Volatile.Read(ref _watchers), description: "Readers of the event stream.");
        meter.CreateObservableCounter(
            "dynamiclb_address_service_watchers_cut_off_total", () => Volatile.Read(ref _cutOff), description: "Readers that were cut off because they did not keep up.");
        meter.CreateObservableGauge(
            "dynamiclb_address_service_link_up", () => _links.Select(l => new Measurement<int>(l.Value ? 1 : 0, new KeyValuePair<string, object?>("interface", l.Key))),
            description: "1 while the interface that is leased on can carry frames.");
        _probes = meter.CreateCounter<long>("dynamiclb_address_service_arp_probes_total", description: "ARP probes for addresses before their first use.");
        meter.CreateObservableGauge(
            "dynamiclb_address_service_avoided_addresses", () => Volatile.Read(ref _avoided), description: "Addresses that other hosts were found to use within the last hour.");
        _exchanges = meter.CreateCounter<long>(
            "dynamiclb_address_service_exchanges_total", description: "Exchanges with DHCP servers, by what was wanted and how it ended.");
        _refused = meter.CreateCounter<long>("dynamiclb_address_service_refused_calls_total", description: "Calls of the REST API that were refused, by HTTP code.");
        _webhooks = meter.CreateCounter<long>("dynamiclb_address_service_webhook_events_total", description: "Events for webhooks, by what became of them.");
    }

    /// <summary>The interfaces that are leased on, and whether each can carry frames.</summary>
    public IReadOnlyDictionary<string, bool> LinksUp => new SortedDictionary<string, bool>(_links, StringComparer.Ordinal);

    /// <summary>Whether an interface can carry frames.</summary>
    public void Link(string name, bool isUp) => _links[name] = isUp;

    public void Sent(string type, LeaseFamily family = LeaseFamily.IPv4) => Count(_sent, family == LeaseFamily.IPv4 ? "sent" : "sent6", type, family);

    public void Received(string type, LeaseFamily family = LeaseFamily.IPv4) =>
        Count(_received, family == LeaseFamily.IPv4 ? "received" : "received6", type, family);

    public void Dropped(string reason) => Count(_dropped, "dropped", "reason", reason);

    public void Event(string name) => Count(_events, "lease", "event", name);

    public void StoreFailed() => Count(_storeFailures, "store", "operation", "failed");

    public void Probed() => _probes.Add(1);

    /// <param name="exchange">acquire, reboot, renew or rebind.</param>
    /// <param name="outcome">ack, nak, declined or unanswered.</param>
    public void Exchange(string exchange, string outcome)
    {
        _exchanges.Add(1, new KeyValuePair<string, object?>("exchange", exchange), new KeyValuePair<string, object?>("outcome", outcome));
        Total(exchange switch { "renew" => "exchange.renew", "rebind" => "exchange.rebind", "reboot" => "exchange.reboot", _ => "exchange.acquire" }, outcome);
    }

    /// <summary>Counts a call that was refused for who made it or for its size or number; other codes are not counted.</summary>
    public void Refused(int code)
    {
        string? known = code switch { 401 => "401", 403 => "403", 413 => "413", 429 => "429", 503 => "503", _ => null };
        if (known is not null)
            Count(_refused, "refused", "code", known);
    }

    public void Webhook(string outcome) => Count(_webhooks, "webhook", "outcome", outcome);

    public void Acquired(TimeSpan after) => _acquire.Record(after.TotalSeconds);

    public void Wrote(TimeSpan duration) => _write.Record(duration.TotalSeconds);

    /// <summary>Gives the gauges their values.</summary>
    public void Set(IReadOnlyList<KeyValuePair<(string State, LeaseFamily Family), int>> leases, int freeMacs)
    {
        _leases = leases;
        Volatile.Write(ref _freeMacs, freeMacs);
    }

    /// <summary>Gives the number of leases without an owner.</summary>
    public void SetOrphans(int orphans) => Volatile.Write(ref _orphans, orphans);

    /// <summary>Gives the other gauges their values.</summary>
    public void Observe(int unrenewed, int poolMacs, int watchers, long cutOff, int avoided)
    {
        Volatile.Write(ref _unrenewed, unrenewed);
        Volatile.Write(ref _poolMacs, poolMacs);
        Volatile.Write(ref _watchers, watchers);
        Volatile.Write(ref _cutOff, cutOff);
        Volatile.Write(ref _avoided, avoided);
    }

    public IReadOnlyDictionary<string, long> Totals()
    {
        lock (_gate)
            return _totals.Select(total => KeyValuePair.Create($"{total.Key.Group}.{total.Key.Value}", total.Value))
                .OrderBy(total => total.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);
    }

    private void Count(Counter<long> counter, string group, string label, string value)
    {
        counter.Add(1, new KeyValuePair<string, object?>(label, value));
        Total(group, value);
    }

    private void Count(Counter<long> counter, string group, string type, LeaseFamily family)
    {
        counter.Add(1, new KeyValuePair<string, object?>("type", type), new KeyValuePair<string, object?>("family", LeaseKeeper.FamilyName(family)));
        Total(group, type);
    }

    private void Total(string group, string value)
    {
        lock (_gate)
            _totals[(group, value)] = _totals.GetValueOrDefault((group, value)) + 1;
    }
}
