using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;

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
