using System.Buffers;
using System.Buffers.Binary;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.PacketSocket;

/// <summary>
/// One VLAN of an interface (IEEE 802.1Q): puts the tag into frames on their way out. On their way in the kernel has taken it off already; which VLAN
/// they came from only its filter knows, so the channel below must have one that takes this VLAN alone.
/// </summary>
/// <param name="inner">The interface, filtered; disposed with this one.</param>
/// <param name="vlan">VLAN identifier, 1 to 4094.</param>
public sealed class TaggedLinkChannel(ILinkChannel inner, ushort vlan) : ILinkChannel
{
    private const int Addresses = 12;
    private const int TagLength = 4;
    private const ushort TagProtocol = 0x8100;

    /// <inheritdoc/>
    public LinkInfo Link => inner.Link;

    /// <inheritdoc/>
    public bool HasPending => inner.HasPending;

    /// <inheritdoc/>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
    {
        byte[] tagged = ArrayPool<byte>.Shared.Rent(frame.Length + TagLength);
        try
        {
            frame.Span[..Addresses].CopyTo(tagged);
            BinaryPrimitives.WriteUInt16BigEndian(tagged.AsSpan(Addresses), TagProtocol);
            BinaryPrimitives.WriteUInt16BigEndian(tagged.AsSpan(Addresses + 2), vlan);
            frame.Span[Addresses..].CopyTo(tagged.AsSpan(Addresses + TagLength));
            await inner.SendAsync(tagged.AsMemory(0, frame.Length + TagLength), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(tagged);
        }
    }

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) => inner.ReceiveAsync(buffer, cancellationToken);

    /// <inheritdoc/>
    public void JoinUnicast(MacAddress address) => inner.JoinUnicast(address);

    /// <inheritdoc/>
    public void LeaveUnicast(MacAddress address) => inner.LeaveUnicast(address);

    /// <inheritdoc/>
    public uint TakeDropped() => inner.TakeDropped();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
