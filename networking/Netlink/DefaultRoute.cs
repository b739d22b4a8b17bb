using System.Globalization;

namespace DynamicLb.Networking.Netlink;

/// <summary>Where the IPv4 default route leads.</summary>
public static class DefaultRoute
{
    // proc(5) shows the network namespace of the reader, whatever is mounted where.
    private const string RouteTable = "/proc/net/route";

    /// <summary>The interface that holds the IPv4 default route of the lowest metric; null without one.</summary>
    public static string? FindInterface()
    {
        try
        {
            return FindInterface(File.ReadLines(RouteTable));
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>As <see cref="FindInterface()"/>, from lines in the form of <c>/proc/net/route</c> (proc(5)).</summary>
    internal static string? FindInterface(IEnumerable<string> lines)
    {
        const int RouteUp = 1, Reject = 0x200;
        string? best = null;
        int bestMetric = int.MaxValue;
        foreach (string line in lines)
        {
            var fields = line.Split('\t', StringSplitOptions.TrimEntries);
            if (fields.Length < 8 || fields[1] != "00000000" || fields[7] != "00000000")
                continue;
            if (!int.TryParse(fields[3], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int flags) || (flags & (RouteUp | Reject)) != RouteUp)
                continue;
            if (int.TryParse(fields[6], CultureInfo.InvariantCulture, out int metric) && metric < bestMetric)
                (best, bestMetric) = (fields[0], metric);
        }
        return best;
    }
}
