using System.Text;

namespace DynamicLb.Contracts.Metrics;

/// <summary>How the name of an instrument becomes the name of a metric.</summary>
/// <remarks>
/// <para>
/// A name without dots is taken as it stands, so that an instrument can carry exactly the name a dashboard expects
/// (<c>metallb_allocator_addresses_in_use_total</c> is a gauge there and stays one).
/// </para>
/// <para>
/// A dotted name follows OpenTelemetry's rule for Prometheus: dots become underscores, the unit is appended in words, and a counter
/// ends in <c>_total</c>: <c>dotnet.gc.pause.time</c> in <c>s</c> becomes <c>dotnet_gc_pause_time_seconds_total</c>.
/// </para>
/// </remarks>
internal static class PrometheusNames
{
    public static string Metric(string instrument, string? unit, MetricKind kind)
    {
        var name = Sanitize(instrument, allowColon: true);
        if (!instrument.Contains('.'))
        {
            return name;
        }

        var suffix = UnitInWords(unit);
        if (suffix.Length > 0 && !name.EndsWith(suffix, StringComparison.Ordinal))
        {
            name += suffix;
        }

        return kind == MetricKind.Counter && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }

    public static string Label(string key) => Sanitize(key, allowColon: false);

    private static string UnitInWords(string? unit) => unit switch
    {
        "s" => "_seconds",
        "ms" => "_milliseconds",
        "By" => "_bytes",
        "1" or null or "" => "",
        // {request}, {cpu}: annotations, not units.
        _ when unit[0] == '{' => "",
        _ => "_" + Sanitize(unit, allowColon: false),
    };

    private static string Sanitize(string name, bool allowColon)
    {
        if (name.Length == 0)
        {
            return "_";
        }

        var text = new StringBuilder(name.Length + 1);
        if (char.IsAsciiDigit(name[0]))
        {
            text.Append('_');
        }

        foreach (var c in name)
        {
            text.Append(char.IsAsciiLetterOrDigit(c) || (allowColon && c == ':') ? c : '_');
        }

        return text.ToString();
    }
}
