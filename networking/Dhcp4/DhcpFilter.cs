using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>Kernel filters of DHCP: IPv4, UDP, no later fragment, to a port of it.</summary>
public static class DhcpFilter
{
    private const ushort IPv4 = 0x0800;
    private const uint Udp = 17;
    private const uint ClientPort = 68;
    private const uint ServerPort = 67;
    private const uint Broadcast = 1;
    private const uint HeaderOnly = 64;
    private const uint WholeFrame = 262144;
    private const uint Outgoing = 4;
    private const uint VlanMask = 0xfff;

    // From before UdpTo to its last instruction, which drops the frame.
    private const byte ToEnd = 8;

    /// <summary>For who wants to know that other hosts ask servers, by broadcast: the beginning of the frame.</summary>
    public static BpfProgram Requests { get; } = new(
        IPv4,
        [
            BpfInstruction.LoadPacketType(),
            BpfInstruction.JumpIfEqual(Broadcast, 0, ToEnd),
            .. UdpTo(ServerPort, HeaderOnly),
        ]);

    /// <summary>For a DHCP client: of one VLAN, not our own, to port 68.</summary>
    /// <param name="vlan">VLAN identifier, 1 to 4094; 0 for frames without a tag, or with one for the priority only.</param>
    /// <remarks>
    /// Bound to all Ethernet types: only such a socket sees a frame before the kernel has forgotten the tag of a VLAN that has no interface of its own,
    /// and would take it for an untagged one (net/core/dev.c, __netif_receive_skb_core).
    /// </remarks>
    public static BpfProgram For(ushort vlan) => new(
        BpfProgram.AllTypes,
        [
            BpfInstruction.LoadPacketType(),
            BpfInstruction.JumpIfEqual(Outgoing, ToEnd + 5, 0),
            BpfInstruction.LoadVlanTag(),
            BpfInstruction.And(VlanMask),
            BpfInstruction.JumpIfEqual(vlan, 0, ToEnd + 2),
            BpfInstruction.LoadHalf(12),
            BpfInstruction.JumpIfEqual(IPv4, 0, ToEnd),
            .. UdpTo(ClientPort, WholeFrame),
        ]);

    /// <summary>The end of both: takes so many bytes of a UDP datagram to a port, and drops all else.</summary>
    private static BpfInstruction[] UdpTo(uint port, uint bytes) =>
    [
        BpfInstruction.LoadByte(23),
        BpfInstruction.JumpIfEqual(Udp, 0, 6),
        BpfInstruction.LoadHalf(20),
        BpfInstruction.JumpIfAnyBit(0x1fff, 4, 0),
        BpfInstruction.LoadIPv4HeaderLength(14),
        BpfInstruction.LoadHalfIndexed(16),
        BpfInstruction.JumpIfEqual(port, 0, 1),
        BpfInstruction.Return(bytes),
        BpfInstruction.Return(0),
    ];
}
