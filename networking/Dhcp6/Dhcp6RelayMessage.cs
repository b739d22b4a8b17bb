using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>What a relay agent says about the message that it wraps (RFC 8415 §9). The server gives it back as it was.</summary>
/// <param name="Link">An address of the link the client is on: the server chooses the range by it.</param>
/// <param name="Peer">The address the client's message came from.</param>
/// <param name="InterfaceId">The agent's name for the link (option 18), opaque to the server; empty for none.</param>
public sealed record Dhcp6RelayHeader(IPv6Address Link, IPv6Address Peer, ReadOnlyMemory<byte> InterfaceId)
{
    /// <summary>Whether all of it is the same.</summary>
    public bool Equals(Dhcp6RelayHeader? other) =>
        other is not null && Link == other.Link && Peer == other.Peer && InterfaceId.Span.SequenceEqual(other.InterfaceId.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Link, Peer, InterfaceId.Length);
}

/// <summary>RELAY-FORW and RELAY-REPL messages (RFC 8415 §9, §19) of the relay agent next to the client.</summary>
public static class Dhcp6RelayMessage
{
    private const int HeaderLength = 34;
    private const int OptionHeaderLength = 4;

    /// <summary>Bytes that <see cref="WriteForward"/> needs.</summary>
    public static int ForwardLength(Dhcp6RelayHeader header, Dhcp6Message message) =>
        HeaderLength + (header.InterfaceId.IsEmpty ? 0 : OptionHeaderLength + header.InterfaceId.Length) + OptionHeaderLength + message.EncodedLength;

    /// <summary>Wraps a client's message.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">Too little room.</exception>
    public static int WriteForward(Span<byte> destination, Dhcp6RelayHeader header, Dhcp6Message message)
    {
        int length = ForwardLength(header, message);
        if (destination.Length < length)
            throw new ArgumentException($"The message needs {length} bytes, not {destination.Length}.", nameof(destination));
        destination[0] = (byte)Dhcp6MessageType.RelayForward;
        destination[1] = 0;
        header.Link.Write(destination[2..]);
        header.Peer.Write(destination[18..]);
        var rest = destination[HeaderLength..];
        if (!header.InterfaceId.IsEmpty)
            header.InterfaceId.Span.CopyTo(Dhcp6Message.Put(ref rest, Dhcp6OptionCode.InterfaceId, header.InterfaceId.Length));
        message.Write(Dhcp6Message.Put(ref rest, Dhcp6OptionCode.RelayMessage, message.EncodedLength));
        return length;
    }

    /// <summary>Unwraps a server's answer.</summary>
    /// <param name="source">Payload of the datagram.</param>
    /// <param name="header">What it says about the way.</param>
    /// <param name="message">The message within.</param>
    /// <param name="reason">Why it could not be read.</param>
    /// <returns>Whether it could be read. Never throws.</returns>
    public static bool TryParseReply(ReadOnlySpan<byte> source, out Dhcp6RelayHeader header, out Dhcp6Message message, out Dhcp6DropReason reason)
    {
        header = null!;
        message = null!;
        reason = Dhcp6DropReason.TooShort;
        if (source.Length < HeaderLength)
            return false;
        reason = Dhcp6DropReason.UnexpectedMessageType;
        if (source[0] != (byte)Dhcp6MessageType.RelayReply)
            return false;
        reason = Dhcp6DropReason.MalformedOptions;
        byte[]? relayed = null;
        byte[] interfaceId = [];
        var rest = source[HeaderLength..];
        while (!rest.IsEmpty)
        {
            if (!Dhcp6Message.TryTake(ref rest, out var code, out var value))
                return false;
            if (code == Dhcp6OptionCode.InterfaceId)
                interfaceId = value.ToArray();
            if (code != Dhcp6OptionCode.RelayMessage)
                continue;
            if (relayed is not null)
                return false;
            relayed = value.ToArray();
        }
        header = new Dhcp6RelayHeader(IPv6Address.Read(source[2..]), IPv6Address.Read(source[18..]), interfaceId);
        return Dhcp6Message.TryParse(relayed, out message, out reason);
    }
}
