using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;

namespace DynamicLb.Speaker.Layer2;

/// <summary>The rules of answering ARP (RFC 826), without any I/O: those of <see cref="FrameVerdicts"/> for what ARP says.</summary>
internal static class ArpRules
{
    /// <summary>Decides about a frame.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="own">Hardware address of the interface it came in by.</param>
    /// <param name="ours">Hardware addresses of all our interfaces.</param>
    /// <param name="announced">What we answer for.</param>
    /// <param name="time">The clock.</param>
    /// <param name="packet">The frame's contents.</param>
    /// <param name="item">The address of ours that it is about; null when it is about none.</param>
    public static FrameVerdict Judge(
        ReadOnlySpan<byte> frame, MacAddress own, IReadOnlySet<MacAddress> ours, FrozenDictionary<HostAddress, Announced> announced, TimeProvider time,
        out ArpPacket packet, out Announced? item)
    {
        item = null;
        if (!ArpPacket.TryParse(frame, out var destination, out packet))
            return FrameVerdict.Malformed;
        // Broadcast requests, and the unicast ones by which neighbours confirm what they know (RFC 4861 §7.3 in the form of ARP).
        if (destination != MacAddress.Broadcast && destination != own && !(announced.TryGetValue(packet.TargetAddress, out var asked) && asked.Mac == destination))
            return FrameVerdict.ForAnotherStation;
        // RFC 5227 §2.4: who sends with an address has it, or believes so.
        return FrameVerdicts.Judge(
            packet.SenderMac, packet.SenderAddress, packet.Operation == ArpOperation.Request ? (HostAddress)packet.TargetAddress : null, own, ours, announced, time, out item);
    }

    /// <summary>Writes the answer to a request: the address is at <paramref name="own"/>.</summary>
    public static void WriteAnswer(Span<byte> frame, in ArpPacket request, MacAddress own) =>
        new ArpPacket(ArpOperation.Reply, own, request.TargetAddress, request.SenderMac, request.SenderAddress).Write(frame, own, request.SenderMac);

    /// <summary>Writes a gratuitous packet to all: the address is at <paramref name="own"/>.</summary>
    public static void WriteGratuitous(Span<byte> frame, ArpOperation form, IPv4Address address, MacAddress own) =>
        new ArpPacket(form, own, address, MacAddress.Broadcast, address).Write(frame, own, MacAddress.Broadcast);
}
