using System.Buffers.Binary;

namespace DynamicLb.Networking.Bfd;

/// <summary>
/// The mandatory section of a BFD control packet (RFC 5880 §4.1). Immutable. Intervals are in microseconds, discriminators are opaque numbers in host order.
/// </summary>
public readonly record struct BfdPacket
{
    /// <summary>Length of the mandatory section, in bytes.</summary>
    public const int Length = 24;

    /// <summary>Length of the longest packet, with the longest authentication section, in bytes.</summary>
    public const int MaxLength = Length + BfdAuthentication.MaxSectionLength;

    private const int Version = 1;
    private const int ShortestSection = 2;
    private const byte PollFlag = 0x20;
    private const byte FinalFlag = 0x10;
    private const byte IndependentFlag = 0x08;
    private const byte AuthenticationFlag = 0x04;
    private const byte DemandFlag = 0x02;
    private const byte MultipointFlag = 0x01;

    /// <summary>Why the sender's session last changed its state.</summary>
    public BfdDiagnostic Diagnostic { get; init; }

    /// <summary>The sender's state.</summary>
    public BfdState State { get; init; }

    /// <summary>The sender asks for an answer with <see cref="IsFinal"/>.</summary>
    public bool IsPoll { get; init; }

    /// <summary>The answer to a packet with <see cref="IsPoll"/>.</summary>
    public bool IsFinal { get; init; }

    /// <summary>The sender's BFD goes on when its control plane does not.</summary>
    public bool IsControlPlaneIndependent { get; init; }

    /// <summary>An authentication section follows.</summary>
    public bool HasAuthentication { get; init; }

    /// <summary>The sender wants no periodic packets while the session is up on both sides.</summary>
    public bool IsDemand { get; init; }

    /// <summary>How many packets in a row must be lost before the session fails, 1 to 255.</summary>
    public byte DetectMultiplier { get; init; }

    /// <summary>The sender's number for the session; not 0.</summary>
    public uint MyDiscriminator { get; init; }

    /// <summary>The receiver's number for the session; 0 while the sender does not know it.</summary>
    public uint YourDiscriminator { get; init; }

    /// <summary>The shortest pause between packets that the sender would like to keep.</summary>
    public uint DesiredMinTx { get; init; }

    /// <summary>The shortest pause between packets that the sender can take; 0 when it wants none.</summary>
    public uint RequiredMinRx { get; init; }

    /// <summary>The shortest pause between echo packets that the sender can send back; 0 when it sends none back.</summary>
    public uint RequiredMinEchoRx { get; init; }

    /// <summary>
    /// Reads a packet and makes the checks of RFC 5880 §6.8.6 that need no session, in its order. The packet's end is told by its length field: what lies behind it is ignored.
    /// </summary>
    /// <param name="datagram">The payload of the datagram.</param>
    /// <param name="packet">The mandatory section.</param>
    /// <param name="length">Length of the packet with its authentication section.</param>
    /// <param name="reason">Why it was refused.</param>
    public static bool TryParse(ReadOnlySpan<byte> datagram, out BfdPacket packet, out int length, out BfdDropReason reason)
    {
        packet = default;
        length = 0;
        reason = Check(datagram);
        if (reason != BfdDropReason.None)
            return false;
        byte flags = datagram[1];
        length = datagram[3];
        packet = new BfdPacket
        {
            Diagnostic = (BfdDiagnostic)(datagram[0] & 0x1f),
            State = (BfdState)(flags >> 6),
            IsPoll = (flags & PollFlag) != 0,
            IsFinal = (flags & FinalFlag) != 0,
            IsControlPlaneIndependent = (flags & IndependentFlag) != 0,
            HasAuthentication = (flags & AuthenticationFlag) != 0,
            IsDemand = (flags & DemandFlag) != 0,
            DetectMultiplier = datagram[2],
            MyDiscriminator = BinaryPrimitives.ReadUInt32BigEndian(datagram[4..]),
            YourDiscriminator = BinaryPrimitives.ReadUInt32BigEndian(datagram[8..]),
            DesiredMinTx = BinaryPrimitives.ReadUInt32BigEndian(datagram[12..]),
            RequiredMinRx = BinaryPrimitives.ReadUInt32BigEndian(datagram[16..]),
            RequiredMinEchoRx = BinaryPrimitives.ReadUInt32BigEndian(datagram[20..]),
        };
        return true;
    }

    /// <summary>Writes the mandatory section; its length field counts no authentication section.</summary>
    /// <param name="destination">Room for <see cref="Length"/> bytes.</param>
    /// <returns><see cref="Length"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">Room for fewer bytes.</exception>
    public int Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt32BigEndian(destination[20..], RequiredMinEchoRx);
        BinaryPrimitives.WriteUInt32BigEndian(destination[16..], RequiredMinRx);
        BinaryPrimitives.WriteUInt32BigEndian(destination[12..], DesiredMinTx);
        BinaryPrimitives.WriteUInt32BigEndian(destination[8..], YourDiscriminator);
        BinaryPrimitives.WriteUInt32BigEndian(destination[4..], MyDiscriminator);
        destination[3] = Length;
        destination[2] = DetectMultiplier;
        destination[1] = (byte)(
            ((int)State << 6) | (IsPoll ? PollFlag : 0) | (IsFinal ? FinalFlag : 0) | (IsControlPlaneIndependent ? IndependentFlag : 0)
            | (HasAuthentication ? AuthenticationFlag : 0) | (IsDemand ? DemandFlag : 0));
        destination[0] = (byte)((Version << 5) | ((int)Diagnostic & 0x1f));
        return Length;
    }

    private static BfdDropReason Check(ReadOnlySpan<byte> datagram)
    {
        if (datagram.Length < Length)
            return BfdDropReason.Truncated;
        bool hasAuthentication = (datagram[1] & AuthenticationFlag) != 0;
        return datagram[0] >> 5 != Version ? BfdDropReason.Version
            : datagram[3] < Length + (hasAuthentication ? ShortestSection : 0) ? BfdDropReason.Length
            : datagram[3] > datagram.Length ? BfdDropReason.Truncated
            : datagram[2] == 0 ? BfdDropReason.DetectMultiplier
            : (datagram[1] & MultipointFlag) != 0 ? BfdDropReason.Multipoint
            : BinaryPrimitives.ReadUInt32BigEndian(datagram[4..]) == 0 ? BfdDropReason.MyDiscriminator
            : BfdDropReason.None;
    }
}
