using System.Globalization;
using System.Text.RegularExpressions;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Durations as Go writes them and MetalLB reads them: <c>40s</c>, <c>1m30s</c>, <c>500ms</c>, <c>0</c>.</summary>
public static partial class GoDuration
{
    /// <summary>Reads a duration; false when the text is none, or is negative or longer than a century.</summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = default;
        if (text == "0")
            return true;
        var match = Pattern().Match(text);
        if (!match.Success)
            return false;
        double milliseconds = 0;
        for (int i = 0; i < match.Groups["number"].Captures.Count; i++)
        {
            double number = double.Parse(match.Groups["number"].Captures[i].ValueSpan, CultureInfo.InvariantCulture);
            milliseconds += number * match.Groups["unit"].Captures[i].Value switch { "ns" => 1e-6, "us" or "µs" => 1e-3, "ms" => 1, "s" => 1e3, "m" => 6e4, _ => 3.6e6 };
        }
        if (milliseconds > 3.2e12)
            return false;
        duration = TimeSpan.FromMilliseconds(milliseconds);
        return true;
    }

    [GeneratedRegex(@"^((?<number>\d+(\.\d+)?)(?<unit>ns|us|µs|ms|s|m|h))+$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
