using System.Globalization;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Netlink;

/// <summary>An interface and what decides whether it can announce.</summary>
/// <param name="Link">Index, name and hardware address.</param>
/// <param name="IsUp">Administratively up (IFF_UP).</param>
/// <param name="IsBroadcast">Can broadcast (IFF_BROADCAST).</param>
/// <param name="UsesArp">Resolves addresses (no IFF_NOARP).</param>
/// <param name="IsEnslaved">Part of a bridge, bond or VRF, whose own interface does the talking.</param>
public sealed record InterfaceState(LinkInfo Link, bool IsUp, bool IsBroadcast, bool UsesArp, bool IsEnslaved);

/// <summary>The interfaces of this network namespace, read from sysfs (<c>/sys/class/net</c>). The sysfs mount must belong to the namespace.</summary>
public static class NetworkInterfaces
{
    private const string Root = "/sys/class/net";
    private const int IffUp = 0x1;
    private const int IffBroadcast = 0x2;
    private const int IffNoArp = 0x80;

    /// <summary>All interfaces with a 48-bit hardware address. One that vanishes meanwhile is left out.</summary>
    public static IReadOnlyList<InterfaceState> Read()
    {
        var interfaces = new List<InterfaceState>();
        foreach (string folder in Directory.EnumerateDirectories(Root))
        {
            if (TryRead(Path.GetFileName(folder)) is { } state)
                interfaces.Add(state);
        }
        return interfaces;
    }

    /// <summary>One interface by name; null when there is none, or it has no 48-bit hardware address.</summary>
    public static InterfaceState? TryRead(string name)
    {
        string folder = Path.Combine(Root, name);
        try
        {
            if (!MacAddress.TryParse(Text(folder, "address"), out var mac) || mac == MacAddress.Zero)
                return null;
            int flags = int.Parse(Text(folder, "flags").AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            int index = int.Parse(Text(folder, "ifindex"), CultureInfo.InvariantCulture);
            return new InterfaceState(
                new LinkInfo(index, name, mac), (flags & IffUp) != 0, (flags & IffBroadcast) != 0, (flags & IffNoArp) == 0,
                Path.Exists(Path.Combine(folder, "master")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }

    /// <summary>The interface that holds the IPv4 default route of the lowest metric; null without one.</summary>
    public static string? WithDefaultRoute()
    {
        try
        {
            return FindDefaultRoute(File.ReadLines("/proc/net/route"));
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>As <see cref="WithDefaultRoute"/>, from lines in the form of <c>/proc/net/route</c> (proc(5)).</summary>
    internal static string? FindDefaultRoute(IEnumerable<string> lines)
    {
        const int RouteUp = 1;
        string? best = null;
        int bestMetric = int.MaxValue;
        foreach (string line in lines)
        {
            var fields = line.Split('\t', StringSplitOptions.TrimEntries);
            if (fields.Length < 8 || fields[1] != "00000000" || fields[7] != "00000000")
                continue;
            if (!int.TryParse(fields[3], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int flags) || (flags & RouteUp) == 0)
                continue;
            if (int.TryParse(fields[6], CultureInfo.InvariantCulture, out int metric) && metric < bestMetric)
                (best, bestMetric) = (fields[0], metric);
        }
        return best;
    }

    private static string Text(string folder, string file) => File.ReadAllText(Path.Combine(folder, file)).Trim();
}
