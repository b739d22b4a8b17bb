using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Icmp;

/// <summary>ICMP echo (RFC 792): requests with a token by which their replies are known.</summary>
internal static class IcmpEcho
{
    /// <summary>Length of a request, in bytes: header, identifier, number, token.</summary>
    public const int Length = 16;

    private const byte Request = 8;
    private const byte Reply = 0;

    /// <summary>Writes a request.</summary>
    /// <param name="buffer">At least <see cref="Length"/> bytes.</param>
    /// <param name="sequence">Number of the request.</param>
    /// <param name="token">Comes back in the reply.</param>
    public static void WriteRequest(Span<byte> buffer, ushort sequence, ulong token)
    {
        buffer[..Length].Clear();
        buffer[0] = Request;
        // The identifier, which the kernel replaces where the socket is not a raw one, is of no use here: the token says more.
        BinaryPrimitives.WriteUInt16BigEndian(buffer[6..], sequence);
        BinaryPrimitives.WriteUInt64BigEndian(buffer[8..], token);
        BinaryPrimitives.WriteUInt16BigEndian(buffer[2..], InternetChecksum.Of(buffer[..Length]));
    }

    /// <summary>Reads the token of a reply.</summary>
    /// <param name="message">An ICMP message, or an IPv4 packet with one.</param>
    /// <param name="hasHeader">Whether the IPv4 header stands before it, as raw sockets have it.</param>
    /// <param name="token">The token.</param>
    /// <returns>Whether it is a whole reply to a request of this form.</returns>
    public static bool TryReadReply(ReadOnlySpan<byte> message, bool hasHeader, out ulong token)
    {
        token = 0;
        if (hasHeader)
        {
            int header = message.IsEmpty ? 0 : (message[0] & 15) * 4;
            if (header < 20 || message.Length < header || message[0] >> 4 != 4)
                return false;
            message = message[header..];
        }
        if (message.Length != Length || message[0] != Reply || message[1] != 0 || InternetChecksum.Of(message) != 0)
            return false;
        token = BinaryPrimitives.ReadUInt64BigEndian(message[8..]);
        return true;
    }
}
