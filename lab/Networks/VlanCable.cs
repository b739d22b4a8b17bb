using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Lab.Networks;

/// <summary>
/// What a managed switch does between an access port and a trunk: frames of the access port get a VLAN's tag on the trunk, those of that VLAN lose it.
/// A program, since not every kernel has VLANs.
/// </summary>
public static class VlanCable
{
    private const int LargestFrame = 65536;

    /// <summary>Carries frames until cancelled.</summary>
    public static async Task RunAsync(string access, string trunk, ushort vlan, CancellationToken cancellationToken)
    {
        await using var untagged = Open(access, 0);
        await using var tagged = new TaggedLinkChannel(Open(trunk, vlan), vlan);
        Console.WriteLine("ready");
        await Task.WhenAll(CarryAsync(untagged, tagged, cancellationToken), CarryAsync(tagged, untagged, cancellationToken))
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static PacketLinkChannel Open(string name, ushort vlan)
    {
        const uint Outgoing = 4;
        var link = NetworkInterfaces.TryRead(name)?.Link ?? throw new ArgumentException($"There is no interface {name}.", nameof(name));
        return PacketLinkChannel.Open(link, new BpfProgram(
            BpfProgram.AllTypes,
            BpfInstruction.LoadPacketType(),
            BpfInstruction.JumpIfEqual(Outgoing, 4, 0),
            BpfInstruction.LoadVlanTag(),
            BpfInstruction.And(0xfff),
            BpfInstruction.JumpIfEqual(vlan, 0, 1),
            BpfInstruction.Return(LargestFrame),
            BpfInstruction.Return(0)));
    }

    private static async Task CarryAsync(ILinkChannel from, ILinkChannel to, CancellationToken cancellationToken)
    {
        var frame = new byte[LargestFrame];
        while (true)
        {
            int length = await from.ReceiveAsync(frame, cancellationToken);
            await to.SendAsync(frame.AsMemory(0, length), cancellationToken);
        }
    }
}
