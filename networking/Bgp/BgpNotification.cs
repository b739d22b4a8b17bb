using System.Globalization;
using System.Text;

namespace DynamicLb.Networking.Bgp;

/// <summary>What a NOTIFICATION is about (RFC 4271 §4.5, IANA "BGP Error Codes").</summary>
public enum BgpErrorCode : byte
{
    /// <summary>The header of a message.</summary>
    MessageHeader = 1,

    /// <summary>An OPEN.</summary>
    Open = 2,

    /// <summary>An UPDATE.</summary>
    Update = 3,

    /// <summary>Nothing was heard for the hold time.</summary>
    HoldTimerExpired = 4,

    /// <summary>A message that does not belong to the state.</summary>
    FiniteStateMachine = 5,

    /// <summary>The session is ended on purpose (RFC 4486).</summary>
    Cease = 6,

    /// <summary>A ROUTE-REFRESH (RFC 7313).</summary>
    RouteRefresh = 7,

    /// <summary>Nothing could be sent for the send hold time (RFC 9687).</summary>
    SendHoldTimerExpired = 8,
}

/// <summary>Why a session is ended on purpose (RFC 4486, 8538, 9384).</summary>
public enum BgpCease : byte
{
    /// <summary>More prefixes than allowed.</summary>
    MaximumPrefixes = 1,

    /// <summary>The administrator ends it (RFC 9003: with a message).</summary>
    AdministrativeShutdown = 2,

    /// <summary>The peer is no longer configured.</summary>
    PeerDeconfigured = 3,

    /// <summary>The administrator restarts it (RFC 9003: with a message).</summary>
    AdministrativeReset = 4,

    /// <summary>No session is wanted now.</summary>
    ConnectionRejected = 5,

    /// <summary>The configuration changed.</summary>
    OtherConfigurationChange = 6,

    /// <summary>Two connections came about at once, and this is the one too many.</summary>
    ConnectionCollision = 7,

    /// <summary>Short of resources.</summary>
    OutOfResources = 8,

    /// <summary>Routes are to be dropped, graceful restart or not (RFC 8538).</summary>
    HardReset = 9,

    /// <summary>BFD says that the path is down (RFC 9384).</summary>
    BfdDown = 10,
}

/// <summary>A NOTIFICATION: why a session ends. Immutable.</summary>
/// <param name="Code">What it is about.</param>
/// <param name="Subcode">More closely; 0 for nothing more.</param>
/// <param name="Data">What the code defines.</param>
public sealed record BgpNotification(BgpErrorCode Code, byte Subcode, ReadOnlyMemory<byte> Data = default)
{
    /// <summary>Most bytes of an administrator's message (RFC 9003 §2).</summary>
    public const int LongestCommunication = 255;

    private static readonly string[] HeaderErrors = ["", "connection not synchronized", "bad message length", "bad message type"];

    private static readonly string[] OpenErrors =
    [
        "", "unsupported version number", "bad peer AS", "bad BGP identifier", "unsupported optional parameter", "authentication failure", "unacceptable hold time",
        "unsupported capability", "", "", "", "role mismatch",
    ];

    private static readonly string[] UpdateErrors =
    [
        "", "malformed attribute list", "unrecognized well-known attribute", "missing well-known attribute", "attribute flags error", "attribute length error",
        "invalid ORIGIN attribute", "AS routing loop", "invalid NEXT_HOP attribute", "optional attribute error", "invalid network field", "malformed AS_PATH",
    ];

    private static readonly string[] StateErrors = ["", "unexpected message in OpenSent", "unexpected message in OpenConfirm", "unexpected message in Established"];

    private static readonly string[] CeaseReasons =
    [
        "", "maximum number of prefixes reached", "administrative shutdown", "peer de-configured", "administrative reset", "connection rejected",
        "other configuration change", "connection collision resolution", "out of resources", "hard reset", "BFD down",
    ];

    /// <summary>A session ended on purpose.</summary>
    /// <param name="reason">Why.</param>
    /// <param name="communication">The administrator's words, for a shutdown or reset; cut at 255 bytes.</param>
    public static BgpNotification Cease(BgpCease reason, string? communication = null)
    {
        if (string.IsNullOrEmpty(communication) || reason is not (BgpCease.AdministrativeShutdown or BgpCease.AdministrativeReset))
            return new BgpNotification(BgpErrorCode.Cease, (byte)reason);
        var data = new byte[1 + LongestCommunication];
        System.Text.Unicode.Utf8.FromUtf16(communication, data.AsSpan(1), out _, out int length);
        data[0] = (byte)length;
        return new BgpNotification(BgpErrorCode.Cease, (byte)reason, data.AsMemory(0, 1 + length));
    }

    /// <summary>The reason wrapped so that the receiver drops our routes although graceful restart was agreed on (RFC 8538 §3).</summary>
    public BgpNotification AsHardReset()
    {
        byte[] data = [(byte)Code, Subcode, .. Data.Span];
        return new BgpNotification(BgpErrorCode.Cease, (byte)BgpCease.HardReset, data);
    }

    /// <summary>Whether this ends the session and the use of its routes at once, although graceful restart was agreed on.</summary>
    public bool IsHardReset => Code == BgpErrorCode.Cease && Subcode == (byte)BgpCease.HardReset;

    /// <summary>The administrator's words, or null (RFC 9003; 8203 has the same form with at most 128 bytes). Control characters are replaced.</summary>
    public string? Communication
    {
        get
        {
            var inner = Unwrapped;
            var data = inner.Data.Span;
            if (inner.Code != BgpErrorCode.Cease || inner.Subcode is not ((byte)BgpCease.AdministrativeShutdown or (byte)BgpCease.AdministrativeReset))
                return null;
            if (data.Length < 2 || data[0] == 0 || data[0] > data.Length - 1)
                return null;
            return string.Concat(Encoding.UTF8.GetString(data.Slice(1, data[0])).Select(static letter => char.IsControl(letter) ? '?' : letter));
        }
    }

    /// <summary>In words, such as <c>OPEN message error: bad peer AS</c>.</summary>
    public override string ToString()
    {
        var inner = Unwrapped;
        string text = inner.Code switch
        {
            BgpErrorCode.MessageHeader => Join("message header error", HeaderErrors),
            BgpErrorCode.Open => Join("OPEN message error", OpenErrors),
            BgpErrorCode.Update => Join("UPDATE message error", UpdateErrors),
            BgpErrorCode.HoldTimerExpired => "hold timer expired",
            BgpErrorCode.FiniteStateMachine => Join("finite state machine error", StateErrors),
            BgpErrorCode.Cease => Join("cease", CeaseReasons),
            BgpErrorCode.RouteRefresh => Join("ROUTE-REFRESH message error", ["", "invalid message length"]),
            BgpErrorCode.SendHoldTimerExpired => "send hold timer expired",
            _ => $"error {(byte)inner.Code}/{inner.Subcode}",
        };
        if (Communication is { } words)
            text += $" (\"{words}\")";
        return ReferenceEquals(inner, this) ? text : $"{text}, as hard reset";

        string Join(string what, string[] subcodes) => inner.Subcode == 0 ? what
            : inner.Subcode < subcodes.Length && subcodes[inner.Subcode].Length > 0 ? $"{what}: {subcodes[inner.Subcode]}"
            : string.Create(CultureInfo.InvariantCulture, $"{what}: subcode {inner.Subcode}");
    }

    /// <summary>Compares what is said.</summary>
    public bool Equals(BgpNotification? other) => other is not null && Code == other.Code && Subcode == other.Subcode && Data.Span.SequenceEqual(other.Data.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Code, Subcode, Data.Length);

    private BgpNotification Unwrapped => IsHardReset && Data.Length >= 2 ? new BgpNotification((BgpErrorCode)Data.Span[0], Data.Span[1], Data[2..]) : this;

    /// <summary>Reads the body of a NOTIFICATION; false when code and subcode are not there.</summary>
    public static bool TryParse(ReadOnlySpan<byte> body, out BgpNotification? notification)
    {
        notification = body.Length < 2 ? null : new BgpNotification((BgpErrorCode)body[0], body[1], body[2..].ToArray());
        return notification is not null;
    }
}
