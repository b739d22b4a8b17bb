namespace DynamicLb.Contracts.Metrics;

/// <summary>What the metrics endpoint exposes, and how much of it at most.</summary>
public sealed class PrometheusMetricsOptions
{
    /// <summary>
    /// Names of the meters to expose: each entry is the full name or a prefix that ends before a dot (<c>DynamicLb</c> takes
    /// <c>DynamicLb.Speaker</c> too). Default: ours, and the runtime's own (memory, collections, threads).
    /// </summary>
    public IList<string> Meters { get; } = ["DynamicLb", "System.Runtime"];

    /// <summary>
    /// Most series (distinct label sets) of one metric; measurements beyond are counted in
    /// <c>dynamiclb_metrics_dropped_measurements_total</c> and otherwise lost. Default 20,000.
    /// </summary>
    public int MaxSeriesPerMetric { get; set; } = 20_000;

    internal bool Takes(string meterName)
    {
        foreach (var prefix in Meters)
        {
            if (meterName.StartsWith(prefix, StringComparison.Ordinal)
                && (meterName.Length == prefix.Length || meterName[prefix.Length] == '.'))
            {
                return true;
            }
        }

        return false;
    }
}
