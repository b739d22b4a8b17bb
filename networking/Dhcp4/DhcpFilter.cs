using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>The kernel filter of a DHCP client: IPv4, UDP, no later fragment, to port 68.</summary>
public static class DhcpFilter
{
    private const ushort IPv4 = 0x0800;
    private const uint Udp = 17;
    private const uint ClientPort = 68;
    private const uint WholeFrame = 262144;

    /// <summary>The program.</summary>
    public static BpfProgram Program { get; } = new(
        IPv4,
        BpfInstruction.LoadHalf(12),
        BpfInstruction.JumpIfEqual(IPv4, 0, 8),
        BpfInstruction.LoadByte(23),
        BpfInstruction.JumpIfEqual(Udp, 0, 6),
        BpfInstruction.LoadHalf(20),
        BpfInstruction.JumpIfAnyBit(0x1fff, 4, 0),
        BpfInstruction.LoadIPv4HeaderLength(14),
        BpfInstruction.LoadHalfIndexed(16),
        BpfInstruction.JumpIfEqual(ClientPort, 0, 1),
        BpfInstruction.Return(WholeFrame),
        BpfInstruction.Return(0));
}
