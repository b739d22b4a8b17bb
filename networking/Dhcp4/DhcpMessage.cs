using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// A DHCPv4 message (RFC 2131 §2) for Ethernet clients: the fixed part by field, the options by code. The payload of UDP, without its header.
/// Not thread-safe.
/// </summary>
/// <remarks>Messages that are <see cref="Recycle"/>d by whoever needs them last are used again, so that leases are kept without a byte of garbage.</remarks>
public sealed partial class DhcpMessage
{
    /// <summary>Length of the fixed part with the magic cookie: the least a message can be.</summary>
    public const int MinimumLength = 240;

    /// <summary>What is sent is padded to this length (RFC 1542 §2.1).</summary>
    public const int PaddedLength = 300;

    /// <summary>The most we send: every IP host takes 576 bytes, less the IP and UDP headers.</summary>
    public const int MaximumSentLength = 576 - 28;

    private const uint MagicCookie = 0x63825363;
    private const ushort BroadcastFlag = 0x8000;
    private const int FileOffset = 108;
    private const int ServerNameOffset = 44;

    /// <summary>Whether <c>op</c> is BOOTREPLY: sent by a server.</summary>
    public bool IsReply { get; set; }

    /// <summary><c>hops</c>: relays on the way.</summary>
    public byte Hops { get; set; }

    /// <summary><c>xid</c>: chosen by the client, echoed by servers.</summary>
    public uint TransactionId { get; set; }

    /// <summary><c>secs</c>: seconds since the client began.</summary>
    public ushort Seconds { get; set; }

    /// <summary>The broadcast flag: the client asks for a broadcast answer.</summary>
    public bool Broadcast { get; set; }

    /// <summary><c>ciaddr</c>: the client's address, if it can answer ARP for it.</summary>
    public IPv4Address ClientAddress { get; set; }

    /// <summary><c>yiaddr</c>: the address the server gives.</summary>
    public IPv4Address YourAddress { get; set; }

    /// <summary><c>siaddr</c>: the next server for booting; of no meaning here.</summary>
    public IPv4Address NextServer { get; set; }

    /// <summary><c>giaddr</c>: the relay the message came through.</summary>
    public IPv4Address RelayAddress { get; set; }

    /// <summary><c>chaddr</c>: the client's hardware address.</summary>
    public MacAddress HardwareAddress { get; set; }

    /// <summary>The options.</summary>
    public DhcpOptions Options { get; } = new();

    /// <summary>The message type, option 53; <see cref="DhcpMessageType.None"/> without one.</summary>
    public DhcpMessageType Type
    {
        get => Options.TryGetByte(DhcpOptionCode.MessageType, out byte type) ? (DhcpMessageType)type : DhcpMessageType.None;
        set => Options.SetByte(DhcpOptionCode.MessageType, (byte)value);
    }

    /// <summary>The server identifier, option 54; 0.0.0.0 without one.</summary>
    public IPv4Address ServerId => Options.TryGetAddress(DhcpOptionCode.ServerId, out var server) ? server : IPv4Address.Any;

    /// <summary>Reads a message of a client or of a server. Never throws, never keeps <paramref name="source"/>.</summary>
    /// <param name="source">The payload of the UDP datagram. Bytes after END are ignored.</param>
    /// <param name="message">The message.</param>
    /// <param name="reason">Why it was refused.</param>
    public static bool TryParse(ReadOnlySpan<byte> source, [NotNullWhen(true)] out DhcpMessage? message, out DhcpDropReason reason)
    {
        message = null;
        reason = CheckFixedPart(source);
        if (reason != DhcpDropReason.None)
            return false;
        message = Rent();
        message.IsReply = source[0] == 2;
        message.Hops = source[3];
        message.TransactionId = BinaryPrimitives.ReadUInt32BigEndian(source[4..]);
        message.Seconds = BinaryPrimitives.ReadUInt16BigEndian(source[8..]);
        message.Broadcast = (BinaryPrimitives.ReadUInt16BigEndian(source[10..]) & BroadcastFlag) != 0;
        message.ClientAddress = IPv4Address.Read(source[12..]);
        message.YourAddress = IPv4Address.Read(source[16..]);
        message.NextServer = IPv4Address.Read(source[20..]);
        message.RelayAddress = IPv4Address.Read(source[24..]);
        message.HardwareAddress = MacAddress.Read(source[28..]);
        if (!message.Options.TryDecode(source[MinimumLength..], source.Slice(FileOffset, 128), source.Slice(ServerNameOffset, 64)))
            reason = DhcpDropReason.MalformedOptions;
        else if (message.Type == DhcpMessageType.None)
            reason = DhcpDropReason.NoMessageType;
        if (reason == DhcpDropReason.None)
            return true;
        message.Recycle();
        message = null;
        return false;
    }

    /// <summary>Bytes that <see cref="Write"/> will write.</summary>
    public int EncodedLength => Math.Max(PaddedLength, MinimumLength + Options.EncodedLength);

    /// <summary>Writes the message: option 53 first, END, zero padding to 300 bytes. Nothing is overloaded into <c>file</c> or <c>sname</c>.</summary>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter than <see cref="EncodedLength"/>.</exception>
    public int Write(Span<byte> destination)
    {
        int length = EncodedLength;
        if (destination.Length < length)
            throw new ArgumentException($"The message needs {length} bytes, there are {destination.Length}.", nameof(destination));
        destination = destination[..length];
        destination.Clear();
        destination[0] = IsReply ? (byte)2 : (byte)1;
        destination[1] = 1;
        destination[2] = MacAddress.Length;
        destination[3] = Hops;
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], TransactionId);
        BinaryPrimitives.WriteUInt16BigEndian(destination[8..], Seconds);
        BinaryPrimitives.WriteUInt16BigEndian(destination[10..], Broadcast ? BroadcastFlag : (ushort)0);
        ClientAddress.Write(destination[12..]);
        YourAddress.Write(destination[16..]);
        NextServer.Write(destination[20..]);
        RelayAddress.Write(destination[24..]);
        HardwareAddress.Write(destination[28..]);
        BinaryPrimitives.WriteUInt32BigEndian(destination[236..], MagicCookie);
        _ = Options.Write(destination[MinimumLength..]);
        return length;
    }

    private static DhcpDropReason CheckFixedPart(ReadOnlySpan<byte> source)
    {
        if (source.Length < MinimumLength)
            return DhcpDropReason.TooShort;
        if (source[0] is not (1 or 2))
            return DhcpDropReason.NotAReply;
        if (source[1] != 1)
            return DhcpDropReason.BadHardwareType;
        if (source[2] != MacAddress.Length)
            return DhcpDropReason.BadHardwareLength;
        return BinaryPrimitives.ReadUInt32BigEndian(source[236..]) == MagicCookie ? DhcpDropReason.None : DhcpDropReason.BadCookie;
    }
}
