using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Which addresses no host can have, whatever a server says.</summary>
internal static class DhcpAddressRules
{
    /// <returns>Null when the address can be used, else the cause.</returns>
    public static string? Refuse(IPv4Address address, DhcpMessage reply, IPv4Address server)
    {
        uint value = address.Value;
        if (value == 0)
            return "no address";
        if (value >> 24 == 127)
            return "loopback address";
        if (value >> 16 == 0xa9fe)
            return "link-local address";
        if (value >> 28 >= 14)
            return value >> 28 == 14 ? "multicast address" : "reserved address";
        if (address == server)
            return "the server's own address";
        if (reply.Options.ContainsAddress(DhcpOptionCode.Router, address))
            return "the router's address";
        int prefixLength = PrefixLength(reply.Options);
        if (prefixLength >= 31)
            return null;
        var network = new IPv4Network(address, prefixLength);
        return address == network.Address ? "the network's address" : address == network.Last ? "the network's broadcast address" : null;
    }

    /// <summary>Prefix length by option 1; 32 when it is absent or no mask.</summary>
    public static int PrefixLength(DhcpOptions options)
    {
        if (!options.TryGetUInt32(DhcpOptionCode.SubnetMask, out uint mask) || mask == 0)
            return 32;
        int length = System.Numerics.BitOperations.LeadingZeroCount(~mask);
        return length == 32 || mask << length == 0 ? length : 32;
    }

    /// <summary>Whether an address can identify a server.</summary>
    public static bool IsServer(IPv4Address address) => address.Value >> 28 < 14 && !address.IsAny;
}
