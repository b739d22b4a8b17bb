using System.Buffers;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DynamicLb.Contracts.Metrics;

/// <summary>
/// Listens to the instruments of System.Diagnostics.Metrics and writes what they measured in the Prometheus text format.
/// Measurements may come from any thread; recording into a known series takes no lock and allocates nothing.
/// </summary>
/// <remarks>
/// Only meters of its own <see cref="IMeterFactory"/> and those of no factory (the runtime's) are taken, so that two hosts in one process
/// do not mix their numbers. Two instruments of one name and kind feed one metric; a second one of another kind is left out and logged.
/// </remarks>
internal sealed partial class PrometheusCollector : IDisposable
{
    /// <summary>Bounds of a histogram that gives no advice: Prometheus' own default, for seconds.</summary>
    private static readonly double[] s_defaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    private readonly PrometheusMetricsOptions _options;
    private readonly IMeterFactory _meterFactory;
    private readonly ILogger<PrometheusCollector> _logger;
    private readonly MeterListener _listener = new();
    private readonly SortedDictionary<string, MetricFamily> _families = new(StringComparer.Ordinal);
    private readonly Lock _familiesLock = new();
    private readonly Lock _collecting = new();
    private long _dropped;

    public PrometheusCollector(IOptions<PrometheusMetricsOptions> options, IMeterFactory meterFactory, ILogger<PrometheusCollector> logger)
    {
        _options = options.Value;
        _meterFactory = meterFactory;
        _logger = logger;
        _listener.InstrumentPublished = Publish;
        _listener.MeasurementsCompleted = Complete;
        _listener.SetMeasurementEventCallback<double>(OnDouble);
        _listener.SetMeasurementEventCallback<float>((i, value, tags, state) => OnDouble(i, value, tags, state));
        _listener.SetMeasurementEventCallback<decimal>((i, value, tags, state) => OnDouble(i, (double)value, tags, state));
        _listener.SetMeasurementEventCallback<long>((i, value, tags, state) => OnDouble(i, value, tags, state));
        _listener.SetMeasurementEventCallback<int>((i, value, tags, state) => OnDouble(i, value, tags, state));
        _listener.SetMeasurementEventCallback<short>((i, value, tags, state) => OnDouble(i, value, tags, state));
        _listener.SetMeasurementEventCallback<byte>((i, value, tags, state) => OnDouble(i, value, tags, state));
        _listener.Start();
    }

    /// <summary>Measurements that found no room for another series.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Asks the observable instruments and writes everything. One call at a time collects; the others wait for it.</summary>
    public void WriteTo(IBufferWriter<byte> output)
    {
        lock (_collecting)
        {
            MetricFamily[] families;
            lock (_familiesLock)
            {
                families = [.. _families.Values];
            }

            foreach (var family in families)
            {
                family.BeginCollection();
            }

            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException e)
            {
                // A callback threw; what the others reported is still good.
                Log.CallbackFailed(_logger, e);
            }

            foreach (var family in families)
            {
                PrometheusText.Write(output, family.Name, family.Help, family.Kind, family.Bounds, family.Collect());
            }

            var dropped = new MetricSeries("", []);
            dropped.Set(Dropped);
            PrometheusText.Write(
                output,
                "dynamiclb_metrics_dropped_measurements_total",
                "Measurements left out because their metric had too many series.",
                MetricKind.Counter,
                [],
                [dropped]);
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Publish(Instrument instrument, MeterListener listener)
    {
        var scope = instrument.Meter.Scope;
        if (!_options.Takes(instrument.Meter.Name) || (scope is not null && !ReferenceEquals(scope, _meterFactory)))
        {
            return;
        }

        var type = instrument.GetType().GetGenericTypeDefinition();
        var kind = type == typeof(Counter<>) || type == typeof(ObservableCounter<>) ? MetricKind.Counter
            : type == typeof(Histogram<>) ? MetricKind.Histogram
            : MetricKind.Gauge;
        var sets = instrument.IsObservable || type == typeof(Gauge<>);
        var name = PrometheusNames.Metric(instrument.Name, instrument.Unit, kind);
        MetricFamily? family;
        lock (_familiesLock)
        {
            if (!_families.TryGetValue(name, out family))
            {
                family = new MetricFamily(
                    name, instrument.Description, kind, sets, instrument.IsObservable, BoundsOf(instrument, kind), _options.MaxSeriesPerMetric);
                _families.Add(name, family);
            }
            else if (!family.IsLike(kind, sets, instrument.IsObservable))
            {
                Log.Conflict(_logger, instrument.Name, instrument.Meter.Name, name);
                return;
            }

            family.Instruments++;
        }

        listener.EnableMeasurementEvents(instrument, family);
    }

    private void Complete(Instrument instrument, object? state)
    {
        if (state is not MetricFamily family)
        {
            return;
        }

        lock (_familiesLock)
        {
            if (--family.Instruments == 0)
            {
                _families.Remove(family.Name);
            }
        }
    }

    private void OnDouble(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, object? state)
    {
        if (state is MetricFamily family && !family.Record(value, tags))
        {
            Interlocked.Increment(ref _dropped);
        }
    }

    private static double[] BoundsOf(Instrument instrument, MetricKind kind)
    {
        if (kind != MetricKind.Histogram)
        {
            return [];
        }

        return instrument switch
        {
            Histogram<double> { Advice.HistogramBucketBoundaries: { } bounds } => [.. bounds],
            Histogram<float> { Advice.HistogramBucketBoundaries: { } bounds } => [.. bounds.Select(b => (double)b)],
            Histogram<long> { Advice.HistogramBucketBoundaries: { } bounds } => [.. bounds.Select(b => (double)b)],
            Histogram<int> { Advice.HistogramBucketBoundaries: { } bounds } => [.. bounds.Select(b => (double)b)],
            _ => s_defaultBounds,
        };
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "An observable instrument failed; its metric is missing from this collection")]
        public static partial void CallbackFailed(ILogger logger, Exception exception);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Instrument {Instrument} of meter {Meter} is left out: metric {Metric} exists with another type")]
        public static partial void Conflict(ILogger logger, string instrument, string meter, string metric);
    }
}
