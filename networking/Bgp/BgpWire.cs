using System.Buffers.Binary;

namespace DynamicLb.Networking.Bgp;

/// <summary>Types of messages (RFC 4271 §4.1, RFC 2918).</summary>
public enum BgpMessageType : byte
{
    /// <summary>Opens a session.</summary>
    Open = 1,

    /// <summary>Announces and withdraws routes.</summary>
    Update = 2,

    /// <summary>Ends a session.</summary>
    Notification = 3,

    /// <summary>Says that we are alive.</summary>
    Keepalive = 4,

    /// <summary>Asks for all routes again.</summary>
    RouteRefresh = 5,
}

/// <summary>Kinds of ROUTE-REFRESH (RFC 7313 §3.2).</summary>
public enum BgpRefreshKind : byte
{
    /// <summary>All routes are asked for.</summary>
    Request = 0,

    /// <summary>All routes follow.</summary>
    Begin = 1,

    /// <summary>All routes have been sent.</summary>
    End = 2,
}

/// <summary>The frame of messages: sixteen bytes of ones, length, type (RFC 4271 §4.1). Pure.</summary>
public static class BgpWire
{
    /// <summary>TCP port of BGP.</summary>
    public const int Port = 179;

    /// <summary>Bytes before the body.</summary>
    public const int HeaderLength = 19;

    /// <summary>Longest message without RFC 8654.</summary>
    public const int LongestMessage = 4096;

    /// <summary>Longest message with RFC 8654.</summary>
    public const int LongestExtendedMessage = 65535;

    /// <summary>AS number that stands for one that does not fit 16 bits (RFC 6793).</summary>
    public const ushort AsTrans = 23456;

    private const int MarkerLength = 16;

    /// <summary>Looks at the beginning of a stream.</summary>
    /// <param name="stream">Bytes received and not consumed.</param>
    /// <param name="extended">Whether extended messages were agreed on.</param>
    /// <param name="length">Length of the first message; 0 when it is not there as a whole.</param>
    /// <param name="error">What is wrong with its header, or null.</param>
    /// <returns>Whether the first message is there as a whole, and its header is right.</returns>
    public static bool TryFrame(ReadOnlySpan<byte> stream, bool extended, out int length, out BgpNotification? error)
    {
        (length, error) = (0, null);
        if (stream.Length < HeaderLength)
            return false;
        if (stream[..MarkerLength].ContainsAnyExcept((byte)0xff))
        {
            error = new BgpNotification(BgpErrorCode.MessageHeader, 1);
            return false;
        }
        int claimed = BinaryPrimitives.ReadUInt16BigEndian(stream[MarkerLength..]);
        var type = (BgpMessageType)stream[MarkerLength + 2];
        (int least, int most) = type switch
        {
            BgpMessageType.Open => (29, LongestMessage),
            BgpMessageType.Update => (23, extended ? LongestExtendedMessage : LongestMessage),
            BgpMessageType.Notification => (21, extended ? LongestExtendedMessage : LongestMessage),
            BgpMessageType.Keepalive => (HeaderLength, HeaderLength),
            BgpMessageType.RouteRefresh => (HeaderLength, extended ? LongestExtendedMessage : LongestMessage),
            _ => (0, 0),
        };
        if (most == 0)
        {
            error = new BgpNotification(BgpErrorCode.MessageHeader, 3, new[] { (byte)type });
            return false;
        }
        if (claimed < least || claimed > most)
        {
            error = new BgpNotification(BgpErrorCode.MessageHeader, 2, stream.Slice(MarkerLength, 2).ToArray());
            return false;
        }
        if (stream.Length < claimed)
            return false;
        length = claimed;
        return true;
    }

    /// <summary>Type of a message that <see cref="TryFrame"/> found.</summary>
    public static BgpMessageType TypeOf(ReadOnlySpan<byte> message) => (BgpMessageType)message[MarkerLength + 2];

    /// <summary>Writes a header.</summary>
    /// <param name="destination">Where the message begins.</param>
    /// <param name="type">Its type.</param>
    /// <param name="length">Length of the whole message.</param>
    public static void WriteHeader(Span<byte> destination, BgpMessageType type, int length)
    {
        destination[..MarkerLength].Fill(0xff);
        BinaryPrimitives.WriteUInt16BigEndian(destination[MarkerLength..], (ushort)length);
        destination[MarkerLength + 2] = (byte)type;
    }

    /// <summary>A KEEPALIVE.</summary>
    public static byte[] Keepalive()
    {
        var message = new byte[HeaderLength];
        WriteHeader(message, BgpMessageType.Keepalive, HeaderLength);
        return message;
    }

    /// <summary>A NOTIFICATION.</summary>
    public static byte[] Notification(BgpNotification notification)
    {
        ArgumentNullException.ThrowIfNull(notification);
        var data = notification.Data.Span;
        data = data[..Math.Min(data.Length, LongestMessage - HeaderLength - 2)];
        var message = new byte[HeaderLength + 2 + data.Length];
        WriteHeader(message, BgpMessageType.Notification, message.Length);
        message[HeaderLength] = (byte)notification.Code;
        message[HeaderLength + 1] = notification.Subcode;
        data.CopyTo(message.AsSpan(HeaderLength + 2));
        return message;
    }

    /// <summary>A ROUTE-REFRESH.</summary>
    public static byte[] RouteRefresh(BgpFamily family, BgpRefreshKind kind)
    {
        var message = new byte[HeaderLength + 4];
        WriteHeader(message, BgpMessageType.RouteRefresh, message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(HeaderLength), (ushort)family);
        message[HeaderLength + 2] = (byte)kind;
        message[HeaderLength + 3] = Unicast;
        return message;
    }

    /// <summary>Reads the body of a ROUTE-REFRESH.</summary>
    /// <returns>Null, or what is wrong. A family that we do not know is not wrong, and <paramref name="family"/> then no member of its type.</returns>
    public static BgpNotification? ParseRouteRefresh(ReadOnlySpan<byte> message, out BgpFamily family, out BgpRefreshKind kind)
    {
        var body = message[HeaderLength..];
        (family, kind) = default((BgpFamily, BgpRefreshKind));
        // Outbound route filters (RFC 5291) make it longer; we have none, and send all.
        if (body.Length < 4)
            return new BgpNotification(BgpErrorCode.RouteRefresh, 1, message.ToArray());
        kind = (BgpRefreshKind)body[2];
        if (body.Length > 4 && kind != BgpRefreshKind.Request)
            return new BgpNotification(BgpErrorCode.RouteRefresh, 1, message.ToArray());
        family = body[3] == Unicast ? (BgpFamily)BinaryPrimitives.ReadUInt16BigEndian(body) : default;
        return null;
    }

    /// <summary>Subsequent address family of unicast.</summary>
    internal const byte Unicast = 1;
}
