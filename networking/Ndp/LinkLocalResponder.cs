using System.Buffers.Binary;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Networking.Ndp;

/// <summary>
/// Answers Neighbor Solicitations (RFC 4861 §7.2.4) for the link-local address that follows from an interface's hardware address, where the kernel does
/// not: on a VLAN by its tag, of which it knows nothing. Without it no server there could answer by unicast. Thread-safe.
/// </summary>
/// <remarks>
/// The address is as unique on the link as the hardware address, without which no frame would arrive either: it is not looked for before its use.
/// Where the kernel has the VLAN as well, both give the same answer.
/// </remarks>
/// <param name="channel">Whole Ethernet frames on one link, best filtered by <see cref="NeighborFilter"/>; disposed with this one.</param>
/// <param name="time">Clock for the pause after a fault of the link.</param>
public sealed class LinkLocalResponder(ILinkChannel channel, TimeProvider time) : IAsyncDisposable
{
    private const int LargestFrame = 2048;
    private const int IPv6Offset = 14;
    private const int IcmpOffset = IPv6Offset + 40;
    private const int IcmpLength = 32;
    private const int AnswerLength = IcmpOffset + IcmpLength;
    private const byte Icmp = 58;
    private const byte Solicited = 0x40;
    private const byte Override = 0x20;
    private const byte TargetLinkLayerAddress = 2;
    private static readonly IPv6Address AllNodes = new(0xff02_0000_0000_0000, 1);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromMilliseconds(200);

    /// <summary>Answers until cancelled. Faults of the wire or the link never end it.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[LargestFrame];
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                int length = await channel.ReceiveAsync(buffer, cancellationToken);
                if (Answer(buffer.AsSpan(0, length)) is { } answer)
                    await channel.SendAsync(answer, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (Exception fault) when (fault is SocketException or IOException)
            {
                await Task.Delay(PauseAfterFault, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => channel.DisposeAsync();

    private byte[]? Answer(ReadOnlySpan<byte> frame)
    {
        var own = channel.Link.Mac;
        var address = IPv6Address.LinkLocalOf(own);
        if (!NeighborMessage.TryParse(frame, out var asked) || asked.Type != NeighborMessageType.Solicitation || asked.Target != address || asked.SourceMac == own)
            return null;
        // Who looks whether it may use the address itself has none to be answered at: all nodes hear it.
        bool isDetection = asked.Source.IsAny;
        var destination = isDetection ? AllNodes : asked.Source;
        var answer = new byte[AnswerLength];
        (isDetection ? AllNodes.MulticastMac : asked.SourceMac).Write(answer);
        own.Write(answer.AsSpan(6));
        BinaryPrimitives.WriteUInt16BigEndian(answer.AsSpan(12), 0x86dd);
        var ip = answer.AsSpan(IPv6Offset);
        ip[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(ip[4..], IcmpLength);
        ip[6] = Icmp;
        ip[7] = 255;
        address.Write(ip[8..]);
        destination.Write(ip[24..]);
        var icmp = answer.AsSpan(IcmpOffset);
        icmp[0] = (byte)NeighborMessageType.Advertisement;
        icmp[4] = (byte)(isDetection ? Override : Solicited | Override);
        address.Write(icmp[8..]);
        icmp[24] = TargetLinkLayerAddress;
        icmp[25] = 1;
        own.Write(icmp[26..]);
        BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], InternetChecksum.OfIPv6(ip[8..40], Icmp, icmp));
        return answer;
    }
}
