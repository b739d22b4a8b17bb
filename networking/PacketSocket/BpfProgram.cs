using System.Buffers.Binary;

namespace DynamicLb.Networking.PacketSocket;

/// <summary>An instruction of the classic BPF (Linux, Documentation/networking/filter.rst): struct sock_filter.</summary>
/// <param name="Code">Operation.</param>
/// <param name="JumpTrue">Instructions to skip when a test holds.</param>
/// <param name="JumpFalse">Instructions to skip when it does not.</param>
/// <param name="Operand">Constant, or offset in the frame.</param>
public readonly record struct BpfInstruction(ushort Code, byte JumpTrue, byte JumpFalse, uint Operand)
{
    /// <summary>Loads a byte of the frame.</summary>
    public static BpfInstruction LoadByte(uint offset) => new(0x30, 0, 0, offset);

    /// <summary>Loads two bytes of the frame, as a number in network order.</summary>
    public static BpfInstruction LoadHalf(uint offset) => new(0x28, 0, 0, offset);

    /// <summary>Loads two bytes at the index register plus an offset.</summary>
    public static BpfInstruction LoadHalfIndexed(uint offset) => new(0x48, 0, 0, offset);

    /// <summary>Loads what the frame is to us: 0 sent to our address, 1 broadcast, 2 multicast, 3 to somebody else (SKF_AD_PKTTYPE; packet(7)).</summary>
    public static BpfInstruction LoadPacketType() => new(0x30, 0, 0, 0xfffff004);

    /// <summary>Loads the 802.1Q tag control that came with the frame; 0 without one (SKF_AD_VLAN_TAG).</summary>
    public static BpfInstruction LoadVlanTag() => new(0x28, 0, 0, 0xfffff02c);

    /// <summary>Keeps the bits of a mask.</summary>
    public static BpfInstruction And(uint mask) => new(0x54, 0, 0, mask);

    /// <summary>Sets the index register to the length of the IPv4 header that begins at an offset.</summary>
    public static BpfInstruction LoadIPv4HeaderLength(uint offset) => new(0xb1, 0, 0, offset);

    /// <summary>Tests for equality.</summary>
    public static BpfInstruction JumpIfEqual(uint value, byte jumpTrue, byte jumpFalse) => new(0x15, jumpTrue, jumpFalse, value);

    /// <summary>Tests for a bit in common.</summary>
    public static BpfInstruction JumpIfAnyBit(uint mask, byte jumpTrue, byte jumpFalse) => new(0x45, jumpTrue, jumpFalse, mask);

    /// <summary>Takes up to so many bytes of the frame; 0 drops it.</summary>
    public static BpfInstruction Return(uint bytes) => new(0x06, 0, 0, bytes);
}

/// <summary>A filter that the kernel runs on every frame, so that the program is not woken for the others. Immutable.</summary>
/// <param name="etherType">The Ethernet type the socket is bound to.</param>
/// <param name="instructions">The program.</param>
public sealed class BpfProgram(ushort etherType, params BpfInstruction[] instructions)
{
    /// <summary>Every Ethernet type (ETH_P_ALL).</summary>
    public const ushort AllTypes = 3;

    private const int InstructionLength = 8;

    /// <summary>The Ethernet type the socket is bound to.</summary>
    public ushort EtherType { get; } = etherType;

    /// <summary>Number of instructions.</summary>
    public int Count => instructions.Length;

    /// <summary>The program as the kernel takes it: struct sock_filter[], host order.</summary>
    internal byte[] ToBytes()
    {
        var bytes = new byte[instructions.Length * InstructionLength];
        for (int i = 0; i < instructions.Length; i++)
        {
            var target = bytes.AsSpan(i * InstructionLength);
            var instruction = instructions[i];
            // Linux on all platforms that .NET runs on is little-endian.
            BinaryPrimitives.WriteUInt16LittleEndian(target, instruction.Code);
            target[2] = instruction.JumpTrue;
            target[3] = instruction.JumpFalse;
            BinaryPrimitives.WriteUInt32LittleEndian(target[4..], instruction.Operand);
        }
        return bytes;
    }
}
