using System.Globalization;
using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.AddressService.Configuration;

/// <summary>Reads the values of settings. Each returns what is wrong with the value, or null when it was taken.</summary>
internal static class Values
{
    public static string? Do(Action set)
    {
        set();
        return null;
    }

    public static string? Text(string value, Action<string> set) => value.Length == 0 ? "is empty" : Do(() => set(value));

    public static string? Switch(string value, Action<bool> set) => bool.TryParse(value, out bool on) ? Do(() => set(on)) : "is neither true nor false";

    public static string? Number(string value, int from, int to, Action<int> set) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= from && number <= to
            ? Do(() => set(number)) : $"is not a whole number from {from} to {to}";

    public static string? Seconds(string value, double from, double to, Action<TimeSpan> set) =>
        double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds >= from && seconds <= to
            ? Do(() => set(TimeSpan.FromSeconds(seconds))) : $"is not a number of seconds from {from} to {to}";

    public static string? Networks(string value, Action<IReadOnlyList<IPv4Network>, IReadOnlyList<IPv6Network>> set)
    {
        var networks = new List<IPv4Network>();
        var networks6 = new List<IPv6Network>();
        foreach (string item in Items(value, ','))
        {
            if (IPv4Network.TryParse(item, out var network))
                networks.Add(network);
            else if (IPv6Network.TryParse(item, out var network6))
                networks6.Add(network6);
            else
                return $"has '{item}', which is no network (bits beyond the prefix must be zero)";
        }
        return Do(() => set(networks, networks6));
    }

    public static string? Families(string value, Action<IReadOnlyList<LeaseFamily>> set)
    {
        var families = new List<LeaseFamily>();
        foreach (string item in Items(value, ','))
        {
            if (item is not ("ipv4" or "ipv6"))
                return $"has '{item}', which is neither ipv4 nor ipv6";
            families.Add(item == "ipv4" ? LeaseFamily.IPv4 : LeaseFamily.IPv6);
        }
        return families.Count == 0 ? "is empty" : Do(() => set([.. families.Distinct().Order()]));
    }

    public static string? Address(string value, Action<IPv4Address> set) =>
        IPv4Address.TryParse(value, out var address) && !address.IsAny ? Do(() => set(address)) : "is no IPv4 address";

    public static string? Addresses(string value, Action<IReadOnlyList<IPv4Address>> set)
    {
        const int Most = 16;
        var addresses = new List<IPv4Address>();
        foreach (string item in Items(value, ','))
        {
            if (Address(item, addresses.Add) is not null)
                return $"has '{item}', which is no IPv4 address";
        }
        return addresses.Count is 0 or > Most ? $"is not a list of 1 to {Most} addresses" : Do(() => set(addresses));
    }

    public static string? Address6(string value, Action<IPv6Address> set) =>
        IPv6Address.TryParse(value, out var address) && address is { IsAny: false, IsLoopback: false, IsMulticast: false, IsLinkLocal: false, IsIPv4Mapped: false }
            ? Do(() => set(address)) : "is no IPv6 address beyond the link";

    public static string? Addresses6(string value, Action<IReadOnlyList<IPv6Address>> set)
    {
        const int Most = 16;
        var addresses = new List<IPv6Address>();
        foreach (string item in Items(value, ','))
        {
            if (Address6(item, addresses.Add) is not null)
                return $"has '{item}', which is no IPv6 address beyond the link";
        }
        return addresses.Count is 0 or > Most ? $"is not a list of 1 to {Most} addresses" : Do(() => set(addresses));
    }

    public static string? Macs(string value, Action<IReadOnlyList<MacAddress>> set)
    {
        var macs = new List<MacAddress>();
        foreach (string item in Items(value, ','))
        {
            if (MacPool.MacList.Parse(item, out var mac) is { } fault)
                return $"has '{item}': {fault}";
            macs.Add(mac);
        }
        return Do(() => set(macs));
    }

    public static string[] Items(string value, char separator) =>
        value.Split(separator, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
