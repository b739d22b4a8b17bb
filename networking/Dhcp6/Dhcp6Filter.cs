using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>The kernel filter of a DHCPv6 client: of one VLAN, not our own, IPv6, UDP without extension headers before it, to port 546.</summary>
public static class Dhcp6Filter
{
    private const ushort IPv6 = 0x86dd;
    private const uint Udp = 17;
    private const uint ClientPort = 546;
    private const uint WholeFrame = 262144;
    private const uint Outgoing = 4;
    private const uint VlanMask = 0xfff;

    /// <summary>The program. Bound to all Ethernet types for the reason that <see cref="Dhcp4.DhcpFilter.For"/> gives.</summary>
    /// <param name="vlan">VLAN identifier, 1 to 4094; 0 for frames without a tag, or with one for the priority only.</param>
    public static BpfProgram For(ushort vlan) => new(
        BpfProgram.AllTypes,
        BpfInstruction.LoadPacketType(),
        BpfInstruction.JumpIfEqual(Outgoing, 10, 0),
        BpfInstruction.LoadVlanTag(),
        BpfInstruction.And(VlanMask),
        BpfInstruction.JumpIfEqual(vlan, 0, 7),
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(IPv6, 0, 5),
        BpfInstruction.LoadByte(20),
        BpfInstruction.JumpIfEqual(Udp, 0, 3),
        BpfInstruction.LoadHalf(56),
        BpfInstruction.JumpIfEqual(ClientPort, 0, 1),
        BpfInstruction.Return(WholeFrame),
        BpfInstruction.Return(0));
}
