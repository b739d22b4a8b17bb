using System.Buffers;
using System.Globalization;
using System.Text;

namespace DynamicLb.Contracts.Metrics;

/// <summary>The Prometheus text exposition format, version 0.0.4.</summary>
internal static class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Writes one metric with all its series; nothing at all for a metric without series.</summary>
    public static void Write(
        IBufferWriter<byte> output, string name, string? help, MetricKind kind, double[] bounds, ReadOnlySpan<MetricSeries> series)
    {
        if (series.IsEmpty)
        {
            return;
        }

        if (!string.IsNullOrEmpty(help))
        {
            Text(output, "# HELP ");
            Text(output, name);
            Text(output, " ");
            Text(output, help.Replace(@"\", @"\\", StringComparison.Ordinal).ReplaceLineEndings(@"\n"));
            Text(output, "\n");
        }

        Text(output, "# TYPE ");
        Text(output, name);
        Text(output, kind switch { MetricKind.Counter => " counter\n", MetricKind.Histogram => " histogram\n", _ => " gauge\n" });

        foreach (var one in series)
        {
            if (kind == MetricKind.Histogram)
            {
                Histogram(output, name, bounds, one);
            }
            else
            {
                Sample(output, name, "", one.Labels, null, one.Value);
            }
        }
    }

    private static void Histogram(IBufferWriter<byte> output, string name, double[] bounds, MetricSeries series)
    {
        long count = 0;
        for (var i = 0; i <= bounds.Length; i++)
        {
            count += series.Bucket(i);
            Sample(output, name, "_bucket", series.Labels, i < bounds.Length ? bounds[i] : double.PositiveInfinity, count);
        }

        Sample(output, name, "_sum", series.Labels, null, series.Value);
        // The sum of the buckets just written, so that it equals the +Inf bucket whatever was observed meanwhile.
        Sample(output, name, "_count", series.Labels, null, count);
    }

    private static void Sample(IBufferWriter<byte> output, string name, string suffix, string labels, double? upperBound, double value)
    {
        Text(output, name);
        Text(output, suffix);
        if (labels.Length > 0 || upperBound is not null)
        {
            Text(output, "{");
            Text(output, labels);
            if (upperBound is { } bound)
            {
                Text(output, labels.Length > 0 ? ",le=\"" : "le=\"");
                Number(output, bound);
                Text(output, "\"");
            }

            Text(output, "}");
        }

        Text(output, " ");
        Number(output, value);
        Text(output, "\n");
    }

    private static void Text(IBufferWriter<byte> output, string text)
    {
        var span = output.GetSpan(Encoding.UTF8.GetMaxByteCount(text.Length));
        output.Advance(Encoding.UTF8.GetBytes(text, span));
    }

    private static void Number(IBufferWriter<byte> output, double value)
    {
        if (!double.IsFinite(value))
        {
            Text(output, double.IsNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
            return;
        }

        var span = output.GetSpan(32);
        value.TryFormat(span, out var written, default, CultureInfo.InvariantCulture);
        output.Advance(written);
    }
}
