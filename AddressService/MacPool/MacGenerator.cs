using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.MacPool;

/// <summary>
/// Locally administered MACs that follow from a secret and the service: the same service gets the same one again, and nobody can guess the next.
/// 24 bits under the default prefix, so that two services may meet: the caller then asks for the next attempt, and stores what it took.
/// </summary>
/// <param name="prefix">The first three octets, in the low 24 bits.</param>
/// <param name="key">The secret.</param>
internal sealed class MacGenerator(uint prefix, byte[] key)
{
    /// <param name="subject">The Service's UID, or its name where there is none.</param>
    /// <param name="attempt">Zero first.</param>
    public MacAddress Derive(string subject, int attempt)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"mac|{subject}|{attempt}"), hash);
        return new MacAddress(((ulong)prefix << 24) | (BinaryPrimitives.ReadUInt32BigEndian(hash) >> 8));
    }

    /// <summary>
    /// The DUID-UUID of a service, the same in every lease that it has. The UUID is the Service's UID; where that is none, or an attempt met another's, it
    /// follows from the secret, so that nobody can guess it.
    /// </summary>
    /// <param name="subject">The Service's name.</param>
    /// <param name="uid">The Service's UID, or null.</param>
    /// <param name="attempt">Zero first.</param>
    public Dhcp6Duid DeriveDuid(string subject, string? uid, int attempt)
    {
        if (attempt > 0 || !Guid.TryParse(uid, out var uuid))
        {
            Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
            HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"duid|{uid ?? subject}|{attempt}"), hash);
            // Version 8, for private schemes, of the standard's variant (RFC 9562).
            hash[6] = (byte)((hash[6] & 0x0f) | 0x80);
            hash[8] = (byte)((hash[8] & 0x3f) | 0x80);
            uuid = new Guid(hash[..16], bigEndian: true);
        }
        return Dhcp6Duid.FromUuid(uuid);
    }

    /// <summary>The DHCPv4 client identifier of a service that shares the interface's MAC: its DUID (RFC 4361).</summary>
    public ReadOnlyMemory<byte> DeriveClientId(string subject, string? uid, int attempt) =>
        DhcpClientIdentity.DuidClientId(1, DeriveDuid(subject, uid, attempt).Bytes);

    /// <summary>Parses a prefix such as <c>02:4c:42</c>.</summary>
    public static bool TryParsePrefix(string text, out uint prefix, out string fault)
    {
        prefix = 0;
        fault = "";
        if (!MacAddress.TryParse(text + ":00:00:00", out var mac) || text.Length != 8)
            fault = "is not three octets such as 02:4c:42";
        else if (mac.IsMulticast)
            fault = "is a group address: the lowest bit of the first octet must be 0";
        else
            prefix = (uint)(mac.Value >> 24);
        return fault.Length == 0;
    }
}
