using System.Diagnostics.Metrics;

namespace DynamicLb.AddressService.Metrics;

/// <summary>Numbers of the address service: for Prometheus, and as totals by name for <c>GET /v1/status</c>. Thread-safe.</summary>
internal sealed class LeaseMetrics
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, long> _totals = new(StringComparer.Ordinal);
    private readonly Counter<long> _sent;
    private readonly Counter<long> _received;
    private readonly Counter<long> _dropped;
    private readonly Counter<long> _events;
    private readonly Counter<long> _storeFailures;
    private readonly Histogram<double> _acquire;
    private readonly Histogram<double> _write;
    private volatile IReadOnlyList<KeyValuePair<string, int>> _leases = [];
    private int _freeMacs;

    public LeaseMetrics(IMeterFactory factory)
    {
        var meter = factory.Create("DynamicLb.AddressService");
        _sent = meter.CreateCounter<long>("dynamiclb_address_service_dhcp_sent_total", description: "DHCP messages sent, by type.");
        _received = meter.CreateCounter<long>("dynamiclb_address_service_dhcp_received_total", description: "DHCP messages from servers that belong to a client here, by type.");
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
            "dynamiclb_address_service_leases", () => _leases.Select(l => new Measurement<int>(l.Value, new KeyValuePair<string, object?>("state", l.Key))),
            description: "Leases, by state.");
        meter.CreateObservableGauge("dynamiclb_address_service_free_macs", () => Volatile.Read(ref _freeMacs), description: "MACs of the pool that no lease uses.");
    }

    public void Sent(string type) => Count(_sent, "sent", "type", type);

    public void Received(string type) => Count(_received, "received", "type", type);

    public void Dropped(string reason) => Count(_dropped, "dropped", "reason", reason);

    public void Event(string name) => Count(_events, "lease", "event", name);

    public void StoreFailed() => Count(_storeFailures, "store", "operation", "failed");

    public void Acquired(TimeSpan after) => _acquire.Record(after.TotalSeconds);

    public void Wrote(TimeSpan duration) => _write.Record(duration.TotalSeconds);

    /// <summary>Gives the gauges their values.</summary>
    public void Set(IReadOnlyList<KeyValuePair<string, int>> leases, int freeMacs)
    {
        _leases = leases;
        Volatile.Write(ref _freeMacs, freeMacs);
    }

    public IReadOnlyDictionary<string, long> Totals()
    {
        lock (_gate)
            return new Dictionary<string, long>(_totals, StringComparer.Ordinal);
    }

    private void Count(Counter<long> counter, string group, string label, string value)
    {
        counter.Add(1, new KeyValuePair<string, object?>(label, value));
        string name = $"{group}.{value}";
        lock (_gate)
            _totals[name] = _totals.GetValueOrDefault(name) + 1;
    }
}
