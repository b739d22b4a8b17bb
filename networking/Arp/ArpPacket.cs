using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Arp;

/// <summary>What an ARP packet is (RFC 826, <c>ar$op</c>).</summary>
public enum ArpOperation
{
    /// <summary>Who has the target address?</summary>
    Request = 1,

    /// <summary>The sender has its address.</summary>
    Reply = 2,
}

/// <summary>An ARP packet for IPv4 over Ethernet (RFC 826) in its frame.</summary>
/// <param name="Operation">Request or reply.</param>
/// <param name="SenderMac">Hardware address of the sender.</param>
/// <param name="SenderAddress">IPv4 address of the sender; 0.0.0.0 in a probe (RFC 5227 §2.1.1).</param>
/// <param name="TargetMac">Hardware address of the target; ignored in requests.</param>
/// <param name="TargetAddress">IPv4 address of the target.</param>
public readonly record struct ArpPacket(
    ArpOperation Operation, MacAddress SenderMac, IPv4Address SenderAddress, MacAddress TargetMac, IPv4Address TargetAddress)
{
    /// <summary>The Ethernet type of ARP.</summary>
    public const ushort EtherType = 0x0806;

    /// <summary>Length of the frame, Ethernet header included, without padding, in bytes.</summary>
    public const int FrameLength = 42;

    /// <summary>
    /// For who answers on an interface: what is sent to its own address or to all, replies as well, since they show who else has an address. A frame of a VLAN that the host is no member of arrives here without its
    /// tag; the kernel counts it as sent to somebody else, so it must not be answered.
    /// </summary>
    public static BpfProgram ResponderFilter { get; } = new(
        EtherType,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfAnyBit(0xfffffffe, 6, 0),
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(EtherType, 0, 4),
        BpfInstruction.LoadHalf(20),
        BpfInstruction.JumpIfEqual((uint)ArpOperation.Request, 1, 0),
        BpfInstruction.JumpIfEqual((uint)ArpOperation.Reply, 0, 1),
        BpfInstruction.Return(256),
        BpfInstruction.Return(0));

    /// <summary>Lets through what hosts of one VLAN say by ARP, not what this one says.</summary>
    /// <param name="vlan">VLAN identifier, 1 to 4094; 0 for frames without a tag.</param>
    /// <remarks>Bound to all Ethernet types, as the filter of the DHCP client is, and for its reason.</remarks>
    public static BpfProgram FilterFor(ushort vlan) => new(
        BpfProgram.AllTypes,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfEqual(4, 6, 0),
        BpfInstruction.LoadVlanTag(),
        BpfInstruction.And(0xfff),
        BpfInstruction.JumpIfEqual(vlan, 0, 3),
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(EtherType, 0, 1),
        BpfInstruction.Return(256),
        BpfInstruction.Return(0));

    /// <summary>
    /// The address whose use the packet shows (RFC 5227 §2.1.1): the sender's, or, in a probe, the one that the sender is about to use; 0.0.0.0 for neither.
    /// </summary>
    public IPv4Address ClaimedAddress => !SenderAddress.IsAny ? SenderAddress : Operation == ArpOperation.Request ? TargetAddress : IPv4Address.Any;

    /// <summary>Reads a frame. False for anything but a whole ARP request or reply for IPv4 over Ethernet.</summary>
    public static bool TryParse(ReadOnlySpan<byte> frame, out MacAddress destination, out ArpPacket packet)
    {
        destination = default;
        packet = default;
        if (frame.Length < FrameLength
            || BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) != EtherType
            || BinaryPrimitives.ReadUInt16BigEndian(frame[14..]) != 1
            || BinaryPrimitives.ReadUInt16BigEndian(frame[16..]) != 0x0800
            || frame[18] != MacAddress.Length
            || frame[19] != IPv4Address.Length)
            return false;
        ushort operation = BinaryPrimitives.ReadUInt16BigEndian(frame[20..]);
        if (operation is not ((ushort)ArpOperation.Request or (ushort)ArpOperation.Reply))
            return false;
        destination = MacAddress.Read(frame);
        packet = new ArpPacket(
            (ArpOperation)operation,
            MacAddress.Read(frame[22..]), IPv4Address.Read(frame[28..]), MacAddress.Read(frame[32..]), IPv4Address.Read(frame[38..]));
        return true;
    }

    /// <summary>Writes a frame.</summary>
    /// <param name="frame">At least <see cref="FrameLength"/> bytes.</param>
    /// <param name="source">Ethernet source.</param>
    /// <param name="destination">Ethernet destination.</param>
    /// <returns>Bytes written: <see cref="FrameLength"/>.</returns>
    /// <exception cref="ArgumentException">The frame is too short.</exception>
    public int Write(Span<byte> frame, MacAddress source, MacAddress destination)
    {
        destination.Write(frame);
        source.Write(frame[6..]);
        BinaryPrimitives.WriteUInt16BigEndian(frame[12..], EtherType);
        BinaryPrimitives.WriteUInt16BigEndian(frame[14..], 1);
        BinaryPrimitives.WriteUInt16BigEndian(frame[16..], 0x0800);
        frame[18] = MacAddress.Length;
        frame[19] = IPv4Address.Length;
        BinaryPrimitives.WriteUInt16BigEndian(frame[20..], (ushort)Operation);
        SenderMac.Write(frame[22..]);
        SenderAddress.Write(frame[28..]);
        TargetMac.Write(frame[32..]);
        TargetAddress.Write(frame[38..]);
        return FrameLength;
    }
}
