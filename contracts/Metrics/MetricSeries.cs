namespace DynamicLb.Contracts.Metrics;

/// <summary>The numbers behind one label set. Safe to update from any thread while it is read.</summary>
internal sealed class MetricSeries(string labels, double[] bounds)
{
    private double _value;
    private readonly long[] _buckets = bounds.Length == 0 ? [] : new long[bounds.Length + 1];

    /// <summary>The labels as they stand in the text format, without braces.</summary>
    public string Labels { get; } = labels;

    /// <summary>The collection in which an observable instrument reported it last; touched by the collecting thread alone.</summary>
    public long SeenIn { get; set; }

    /// <summary>The value; for a histogram the sum of what was observed.</summary>
    public double Value => Volatile.Read(ref _value);

    public void Set(double value) => Volatile.Write(ref _value, value);

    public void Add(double value)
    {
        var seen = Volatile.Read(ref _value);
        while (true)
        {
            var before = Interlocked.CompareExchange(ref _value, seen + value, seen);
            if (before.Equals(seen))
            {
                return;
            }

            seen = before;
        }
    }

    public void Observe(double value)
    {
        var bucket = 0;
        while (bucket < bounds.Length && value > bounds[bucket])
        {
            bucket++;
        }

        Interlocked.Increment(ref _buckets[bucket]);
        Add(value);
    }

    /// <summary>Observations in one bucket alone (not cumulative); the last index is those above every bound.</summary>
    public long Bucket(int index) => Interlocked.Read(ref _buckets[index]);
}
