using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// Who a DHCP client is. Servers bind a lease to it (RFC 2131 §4.2), so it never changes for the life of a lease, not by a byte.
/// </summary>
/// <param name="ChAddr">The hardware address in <c>chaddr</c>: generated, one a lease; or the interface's own for all, where option 61 tells leases apart.</param>
/// <param name="ClientId">Option 61, at least two bytes, or empty for none. <see cref="HardwareClientId"/> is what most clients send.</param>
/// <param name="Hostname">Option 12: letters, digits and hyphens, at most 63; null for none. Not sent when there is an <see cref="Fqdn"/>.</param>
/// <param name="VendorClass">Option 60, by which administrators choose a pool; null for none.</param>
public sealed record DhcpClientIdentity(MacAddress ChAddr, ReadOnlyMemory<byte> ClientId, string? Hostname, string? VendorClass)
{
    // RFC 4702 §2.1: E, the name is in labels; S, the server shall make the A record.
    private const byte FqdnFlags = 5;

    /// <summary>The name with its domain, option 81 (RFC 4702), for servers that write the DNS; null for none. Then option 12 is never sent (§3.1).</summary>
    /// <exception cref="ArgumentException">It is no host name.</exception>
    public string? Fqdn
    {
        get;
        init
        {
            field = value;
            // The two bytes after the flags are for old servers, and zero.
            FqdnOption = value is null ? default : (byte[])[FqdnFlags, 0, 0, .. DomainName.Encode(value)];
        }
    }

    /// <summary>Further options, in the order they are sent.</summary>
    public IReadOnlyList<DhcpExtraOption> ExtraOptions { get; init; } = [];

    /// <summary>The value of option 81; empty without.</summary>
    internal ReadOnlyMemory<byte> FqdnOption { get; private init; }

    /// <summary>The client identifier 01 + <paramref name="mac"/> (RFC 2132 §9.14).</summary>
    public static ReadOnlyMemory<byte> HardwareClientId(MacAddress mac)
    {
        var id = new byte[1 + MacAddress.Length];
        id[0] = 1;
        mac.Write(id.AsSpan(1));
        return id;
    }

    /// <summary>
    /// The client identifier that names a client apart from any hardware: 255, the identity association and the DUID (RFC 4361 §6.1). The same pair
    /// identifies the client in DHCPv6.
    /// </summary>
    /// <param name="iaid">Identity association of the address among those of the DUID.</param>
    /// <param name="duid">The DUID's bytes, 3 to 123 here.</param>
    public static ReadOnlyMemory<byte> DuidClientId(uint iaid, ReadOnlySpan<byte> duid)
    {
        var id = new byte[5 + duid.Length];
        id[0] = 255;
        BinaryPrimitives.WriteUInt32BigEndian(id.AsSpan(1), iaid);
        duid.CopyTo(id.AsSpan(5));
        return id;
    }

    /// <summary>Length of the longest message that such a client sends: all it can carry, with options 50, 51 and 54.</summary>
    public int LongestMessage(DhcpClientSettings settings) => DhcpMessages.RequestSelecting(
        this, settings with { RequestedLeaseSeconds = settings.RequestedLeaseSeconds ?? 1 }, 1, 1, IPv4Address.Broadcast, IPv4Address.Broadcast).EncodedLength;
}
