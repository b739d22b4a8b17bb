using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Ndp;

namespace DynamicLb.Speaker.Layer2;

/// <summary>The rules of answering Neighbor Solicitations (RFC 4861 §7.2, RFC 4862 §5.4), without any I/O: those of <see cref="FrameVerdicts"/> for what it says.</summary>
internal static class NdpRules
{
    /// <summary>What becomes of a frame.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="own">Hardware address of the interface.</param>
    /// <param name="ours">Hardware addresses of all our interfaces.</param>
    /// <param name="announced">What we answer for.</param>
    /// <param name="time">The clock.</param>
    /// <param name="message">The frame's contents.</param>
    /// <param name="item">The address of ours that it is about; null when it is about none.</param>
    public static FrameVerdict Judge(
        ReadOnlySpan<byte> frame, MacAddress own, IReadOnlySet<MacAddress> ours, FrozenDictionary<HostAddress, Announced> announced, TimeProvider time,
        out NeighborMessage message, out Announced? item)
    {
        item = null;
        if (!NeighborMessage.TryParse(frame, out message))
            return FrameVerdict.Malformed;
        // To a group, or by unicast from neighbours that confirm what they know (RFC 4861 §7.3).
        if (!message.DestinationMac.IsMulticast && message.DestinationMac != own)
            return FrameVerdict.ForAnotherStation;
        // Who advertises an address has it, or believes so, and who sends with it.
        bool isAdvertised = message.Type == NeighborMessageType.Advertisement;
        return FrameVerdicts.Judge(
            message.SourceMac, isAdvertised ? message.Target : message.Source, isAdvertised ? null : (HostAddress)message.Target, own, ours, announced, time, out item);
    }

    /// <summary>
    /// Writes the answer to a solicitation: the address is at <paramref name="own"/>. Who looks whether it may use the address itself (DAD) has none yet, and is answered by way of
    /// all nodes.
    /// </summary>
    public static int WriteAnswer(Span<byte> frame, in NeighborMessage request, MacAddress own) =>
        NeighborMessage.WriteAdvertisement(frame, own, request.Target, (request.Source, request.AnswerTo));

    /// <summary>Writes an unsolicited advertisement to all nodes: the address is at <paramref name="own"/>.</summary>
    public static int WriteGratuitous(Span<byte> frame, IPv6Address address, MacAddress own) => NeighborMessage.WriteAdvertisement(frame, own, address, null);
}
