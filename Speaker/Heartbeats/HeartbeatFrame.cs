using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Speaker.Heartbeats;

/// <summary>
/// A heartbeat on the wire: an Ethernet frame of its own type to a group address, so that it goes where ARP goes and nowhere else, and needs no IP address. It is authenticated
/// by HMAC-SHA-256, cut to 16 bytes, over the source address and everything else.
/// </summary>
/// <remarks>
/// Behind the Ethernet header, in network order: "DLB1", flags (1 ready, 2 leaving), length of the node's name, number of echoes (2 bytes), instance (8), sequence (8), interval in
/// milliseconds (2), two bytes of zero; the name, the echoes (8 bytes each), the code. Echoes are the instances that the sender hears: who finds its own among them knows that the
/// sender is alive now, and that no recorded frame is played to it.
/// </remarks>
internal static class HeartbeatFrame
{
    /// <summary>IEEE 802 local experimental Ethernet type 1.</summary>
    public const ushort EtherType = 0x88b5;

    /// <summary>Echoes in one frame.</summary>
    public const int MaxEchoes = 64;

    /// <summary>A Kubernetes node's name.</summary>
    public const int MaxName = 253;

    /// <summary>Room for the longest frame.</summary>
    public const int MaxLength = Header + Fixed + MaxName + (MaxEchoes * sizeof(ulong)) + CodeLength;

    private const int Header = 14;
    private const int Fixed = 28;
    private const int CodeLength = 16;
    private const byte ReadyFlag = 1;
    private const byte LeavingFlag = 2;

    /// <summary>A locally administered group address: 03, "dlb", 1.</summary>
    public static MacAddress Group { get; } = MacAddress.Parse("03:64:6c:62:00:01");

    /// <summary>Untagged frames of our type.</summary>
    public static BpfProgram Filter { get; } = new(
        EtherType,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfAnyBit(0xfffffffc, 4, 0),
        BpfInstruction.LoadVlanTag(),
        BpfInstruction.JumpIfAnyBit(0xfff, 2, 0),
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(EtherType, 1, 0),
        BpfInstruction.Return(0),
        BpfInstruction.Return(2048));

    private static ReadOnlySpan<byte> Magic => "DLB1"u8;

    /// <summary>Writes a frame.</summary>
    /// <returns>Its length.</returns>
    public static int Write(Span<byte> frame, MacAddress source, in Heartbeat beat, ReadOnlySpan<byte> name, ReadOnlySpan<ulong> echoes, ReadOnlySpan<byte> key)
    {
        Group.Write(frame);
        source.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherType);
        var body = frame[Header..];
        Magic.CopyTo(body);
        body[4] = (byte)((beat.IsReady ? ReadyFlag : 0) | (beat.IsLeaving ? LeavingFlag : 0));
        body[5] = (byte)name.Length;
        BinaryPrimitives.WriteUInt16BigEndian(body[6..], (ushort)echoes.Length);
        BinaryPrimitives.WriteUInt64BigEndian(body[8..], beat.Instance);
        BinaryPrimitives.WriteUInt64BigEndian(body[16..], beat.Sequence);
        BinaryPrimitives.WriteUInt16BigEndian(body[24..], beat.IntervalMilliseconds);
        body[26] = body[27] = 0;
        name.CopyTo(body[Fixed..]);
        int length = Fixed + name.Length;
        foreach (ulong echo in echoes)
        {
            BinaryPrimitives.WriteUInt64BigEndian(body[length..], echo);
            length += sizeof(ulong);
        }
        Code(frame.Slice(6, 8 + length), key, body[length..]);
        return Header + length + CodeLength;
    }

    /// <summary>Reads a frame whose code fits one of the keys.</summary>
    public static bool TryRead(ReadOnlySpan<byte> frame, IReadOnlyList<byte[]> keys, out HeartbeatView view)
    {
        view = default;
        if (frame.Length < Header + Fixed + CodeLength || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != EtherType || !frame.Slice(Header, 4).SequenceEqual(Magic))
            return false;
        var body = frame[Header..];
        int name = body[5];
        int echoes = BinaryPrimitives.ReadUInt16BigEndian(body[6..]);
        int length = Fixed + name + (echoes * sizeof(ulong));
        if (name is 0 or > MaxName || echoes > MaxEchoes || body.Length < length + CodeLength)
            return false;
        if (!IsGenuine(frame.Slice(6, 8 + length), body.Slice(length, CodeLength), keys))
            return false;
        ushort interval = BinaryPrimitives.ReadUInt16BigEndian(body[24..]);
        if (interval == 0)
            return false;
        var beat = new Heartbeat(
            BinaryPrimitives.ReadUInt64BigEndian(body[8..]), BinaryPrimitives.ReadUInt64BigEndian(body[16..]), interval,
            (body[4] & ReadyFlag) != 0, (body[4] & LeavingFlag) != 0);
        view = new HeartbeatView(beat, MacAddress.Read(frame[6..]), body.Slice(Fixed, name), body[(Fixed + name)..length]);
        return true;
    }

    private static bool IsGenuine(ReadOnlySpan<byte> covered, ReadOnlySpan<byte> code, IReadOnlyList<byte[]> keys)
    {
        Span<byte> expected = stackalloc byte[CodeLength];
        bool fits = false;
        for (int i = 0; i < keys.Count; i++)
        {
            Code(covered, keys[i], expected);
            fits |= CryptographicOperations.FixedTimeEquals(expected, code);
        }
        return fits;
    }

    private static void Code(ReadOnlySpan<byte> covered, ReadOnlySpan<byte> key, Span<byte> code)
    {
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, covered, hash);
        hash[..CodeLength].CopyTo(code);
    }
}

/// <summary>A heartbeat in the frame that it came with.</summary>
internal readonly ref struct HeartbeatView(Heartbeat beat, MacAddress source, ReadOnlySpan<byte> name, ReadOnlySpan<byte> echoes)
{
    private readonly ReadOnlySpan<byte> _name = name;
    private readonly ReadOnlySpan<byte> _echoes = echoes;

    public Heartbeat Beat { get; } = beat;

    /// <summary>The sender's hardware address on this segment.</summary>
    public MacAddress Source { get; } = source;

    /// <summary>The sender's node.</summary>
    public string Node => Encoding.UTF8.GetString(_name);

    /// <summary>Whether the sender hears an instance.</summary>
    public bool Echoes(ulong instance)
    {
        for (var rest = _echoes; rest.Length >= sizeof(ulong); rest = rest[sizeof(ulong)..])
        {
            if (BinaryPrimitives.ReadUInt64BigEndian(rest) == instance)
                return true;
        }
        return false;
    }
}
