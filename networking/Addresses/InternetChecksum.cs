using System.Buffers.Binary;

namespace DynamicLb.Networking.Addresses;

/// <summary>The checksum of ICMP, and of UDP and ICMPv6 over IPv6 (RFC 1071; pseudo-header of RFC 8200 §8.1).</summary>
internal static class InternetChecksum
{
    /// <summary>Over a payload, its checksum included or zero, and the pseudo-header before it.</summary>
    /// <returns>The checksum to send; zero when the payload bears a right one.</returns>
    public static ushort OfIPv6(ReadOnlySpan<byte> addresses, byte protocol, ReadOnlySpan<byte> payload)
    {
        uint sum = Sum(payload) + Sum(addresses) + protocol + (uint)payload.Length;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    /// <summary>Over a message without a pseudo-header, its checksum included or zero; the result is as above.</summary>
    public static ushort Of(ReadOnlySpan<byte> message)
    {
        uint sum = Sum(message);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)~sum;
    }

    // 64 KB of payload at most: the sum of its halves fits.
    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (; bytes.Length >= 2; bytes = bytes[2..])
            sum += BinaryPrimitives.ReadUInt16BigEndian(bytes);
        return bytes.IsEmpty ? sum : sum + ((uint)bytes[0] << 8);
    }
}
