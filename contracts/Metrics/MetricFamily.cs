using System.Collections.Concurrent;

namespace DynamicLb.Contracts.Metrics;

internal enum MetricKind
{
    Counter,
    Gauge,
    Histogram,
}

/// <summary>All series of one metric name.</summary>
/// <param name="name">Name of the metric, as exposed.</param>
/// <param name="help">What it counts.</param>
/// <param name="kind">Its type in the text format.</param>
/// <param name="sets">A measurement replaces the value (gauges, observable instruments) instead of adding to it.</param>
/// <param name="observable">Only what the last collection reported exists: the series of a deleted object goes with it.</param>
/// <param name="bounds">Upper bounds of a histogram's buckets, rising; empty for the others.</param>
/// <param name="maxSeries">Most series it may have.</param>
internal sealed class MetricFamily(
    string name, string? help, MetricKind kind, bool sets, bool observable, double[] bounds, int maxSeries)
{
    // Two ways to a series: by the tags as given (fast, no allocation), and by the labels they amount to, because tags in another
    // order or 1 and "1" are the same series to the reader, and a series that stands twice spoils the whole exposition.
    private readonly ConcurrentDictionary<LabelSet, MetricSeries> _byTags = new(LabelSet.Comparer.Instance);
    private readonly Dictionary<string, MetricSeries> _byLabels = new(StringComparer.Ordinal);
    private readonly Lock _growing = new();
    private long _collection;

    public string Name { get; } = name;

    public string? Help { get; } = help;

    public MetricKind Kind { get; } = kind;

    public double[] Bounds { get; } = bounds;

    /// <summary>Instruments that feed it; changed under the collector's lock.</summary>
    public int Instruments { get; set; }

    public bool IsLike(MetricKind otherKind, bool otherSets, bool otherObservable) =>
        Kind == otherKind && sets == otherSets && observable == otherObservable;

    /// <summary>Takes one measurement. False: there was no room for another series.</summary>
    public bool Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (!_byTags.GetAlternateLookup<ReadOnlySpan<KeyValuePair<string, object?>>>().TryGetValue(tags, out var series))
        {
            series = AddSeries(tags);
            if (series is null)
            {
                return false;
            }
        }

        if (Kind == MetricKind.Histogram)
        {
            series.Observe(value);
        }
        else if (!sets)
        {
            series.Add(value);
        }
        else
        {
            series.SeenIn = _collection;
            series.Set(value);
        }

        return true;
    }

    /// <summary>Before the observable instruments are asked.</summary>
    public void BeginCollection() => _collection++;

    /// <summary>The series to expose, sorted by labels. After the observable instruments were asked.</summary>
    public MetricSeries[] Collect()
    {
        lock (_growing)
        {
            if (observable)
            {
                RemoveUnseen();
            }

            var all = _byLabels.Values.ToArray();
            Array.Sort(all, static (a, b) => string.CompareOrdinal(a.Labels, b.Labels));
            return all;
        }
    }

    private MetricSeries? AddSeries(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var labels = LabelSet.Render(tags);
        lock (_growing)
        {
            if (!_byLabels.TryGetValue(labels, out var series))
            {
                if (_byLabels.Count >= maxSeries)
                {
                    return null;
                }

                series = new MetricSeries(labels, Bounds);
                _byLabels.Add(labels, series);
            }

            // The spellings of one label set are bounded too; past that a measurement is merely slower.
            if (_byTags.Count < 2 * maxSeries)
            {
                _byTags.TryAdd(LabelSet.Comparer.Instance.Create(tags), series);
            }

            return series;
        }
    }

    private void RemoveUnseen()
    {
        foreach (var (tags, series) in _byTags)
        {
            if (series.SeenIn != _collection)
            {
                _byTags.TryRemove(tags, out _);
            }
        }

        foreach (var (labels, series) in _byLabels)
        {
            if (series.SeenIn != _collection)
            {
                _byLabels.Remove(labels);
            }
        }
    }
}
