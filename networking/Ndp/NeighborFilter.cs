using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Ndp;

/// <summary>The kernel filters of Neighbor Discovery: IPv6, ICMPv6, a Neighbor Solicitation or Advertisement.</summary>
public static class NeighborFilter
{
    private const ushort IPv6 = 0x86dd;
    private const uint Icmp = 58;
    private const uint WholeFrame = 2048;
    private const uint Outgoing = 4;
    private const uint VlanMask = 0xfff;

    /// <summary>
    /// For who answers on an interface: what is sent to its own address, to all or to a group. A frame of a VLAN that the host is no member of counts as sent to somebody else.
    /// </summary>
    public static BpfProgram Responder { get; } = new(
        IPv6,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfAnyBit(0xfffffffc, 7, 0),
        BpfInstruction.JumpIfEqual(3, 6, 0),
        BpfInstruction.LoadByte(20),
        BpfInstruction.JumpIfEqual(Icmp, 0, 4),
        BpfInstruction.LoadByte(54),
        BpfInstruction.JumpIfEqual((uint)NeighborMessageType.Solicitation, 1, 0),
        BpfInstruction.JumpIfEqual((uint)NeighborMessageType.Advertisement, 0, 1),
        BpfInstruction.Return(256),
        BpfInstruction.Return(0));

    /// <summary>For duplicate address detection: of one VLAN, not our own. Bound to all Ethernet types for the reason that <see cref="Dhcp4.DhcpFilter.For"/> gives.</summary>
    /// <param name="vlan">VLAN identifier, 1 to 4094; 0 for frames without a tag, or with one for the priority only.</param>
    public static BpfProgram For(ushort vlan) => new(
        BpfProgram.AllTypes,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfEqual(Outgoing, 11, 0),
        BpfInstruction.LoadVlanTag(),
        BpfInstruction.And(VlanMask),
        BpfInstruction.JumpIfEqual(vlan, 0, 8),
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(IPv6, 0, 6),
        BpfInstruction.LoadByte(20),
        BpfInstruction.JumpIfEqual(Icmp, 0, 4),
        BpfInstruction.LoadByte(54),
        BpfInstruction.JumpIfEqual((uint)NeighborMessageType.Solicitation, 1, 0),
        BpfInstruction.JumpIfEqual((uint)NeighborMessageType.Advertisement, 0, 1),
        BpfInstruction.Return(WholeFrame),
        BpfInstruction.Return(0));
}
