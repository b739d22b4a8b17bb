using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// Who a DHCP client is. Servers bind a lease to it (RFC 2131 §4.2), so it never changes for the life of a lease, not by a byte.
/// </summary>
/// <param name="ChAddr">The hardware address in <c>chaddr</c>: generated, one a lease; or the interface's own for all, where option 61 tells leases apart.</param>
/// <param name="ClientId">Option 61, at least two bytes, or empty for none. <see cref="HardwareClientId"/> is what most clients send.</param>
/// <param name="Hostname">Option 12: letters, digits and hyphens, at most 63; null for none.</param>
/// <param name="VendorClass">Option 60, by which administrators choose a pool; null for none.</param>
public sealed record DhcpClientIdentity(MacAddress ChAddr, ReadOnlyMemory<byte> ClientId, string? Hostname, string? VendorClass)
{
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
}
