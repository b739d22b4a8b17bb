using System.Globalization;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Netlink;

/// <summary>An IPv6 address of this host.</summary>
/// <param name="Address">The address.</param>
/// <param name="InterfaceIndex">The kernel's index of its interface.</param>
/// <param name="PrefixLength">0 to 128.</param>
/// <param name="IsUsable">Duplicate address detection is over and found nobody: the kernel answers for it.</param>
public readonly record struct LocalIPv6Address(IPv6Address Address, int InterfaceIndex, int PrefixLength, bool IsUsable);

/// <summary>The IPv6 addresses of this network namespace, from /proc/net/if_inet6 (net/ipv6/addrconf.c, if6_seq_show). Thread-safe.</summary>
public static class LocalIPv6Addresses
{
    private const string Path = "/proc/net/if_inet6";
    private const int Tentative = 0x40;
    private const int DadFailed = 0x08;

    /// <summary>All of them; none when the kernel has no IPv6.</summary>
    public static IReadOnlyList<LocalIPv6Address> Read()
    {
        try
        {
            return Parse(File.ReadLines(Path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Whether an interface of this host has an address.</summary>
    public static bool Has(IPv6Address address) => Read().Any(own => own.Address == address);

    /// <summary>The link-local address that the kernel answers for on an interface; null when there is none (yet).</summary>
    public static IPv6Address? FindLinkLocal(int interfaceIndex)
    {
        foreach (var address in Read())
        {
            if (address.InterfaceIndex == interfaceIndex && address.IsUsable && address.Address.IsLinkLocal)
                return address.Address;
        }
        return null;
    }

    /// <summary>Reads lines of address, index, prefix length, scope, flags (all hexadecimal) and name. Others are skipped.</summary>
    internal static IReadOnlyList<LocalIPv6Address> Parse(IEnumerable<string> lines)
    {
        var addresses = new List<LocalIPv6Address>();
        foreach (string line in lines)
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length >= 5 && fields[0].Length == 32
                && ulong.TryParse(fields[0].AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong high)
                && ulong.TryParse(fields[0].AsSpan(16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong low)
                && TryParseHex(fields[1], out int index) && TryParseHex(fields[2], out int prefix) && TryParseHex(fields[4], out int flags))
                addresses.Add(new LocalIPv6Address(new IPv6Address(high, low), index, prefix, (flags & (Tentative | DadFailed)) == 0));
        }
        return addresses;
    }

    private static bool TryParseHex(string text, out int value) =>
        int.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}
