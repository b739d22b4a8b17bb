using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Ndp;

/// <summary>The kernel filter of duplicate address detection: of one VLAN, not our own, IPv6, ICMPv6, a Neighbor Solicitation or Advertisement.</summary>
public static class NeighborFilter
{
    private const ushort IPv6 = 0x86dd;
    private const uint Icmp = 58;
    private const uint WholeFrame = 2048;
    private const uint Outgoing = 4;
    private const uint VlanMask = 0xfff;

    /// <summary>The program. Bound to all Ethernet types for the reason that <see cref="Dhcp4.DhcpFilter.For"/> gives.</summary>
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
