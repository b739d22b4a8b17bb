using System.Collections.Frozen;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What becomes of a frame that arrived.</summary>
internal enum ArpVerdict
{
    /// <summary>It asks for an address of ours.</summary>
    Answer = 0,

    /// <summary>Another machine says that an address of ours is its own.</summary>
    Claim,

    /// <summary>Not ARP for IPv4 over Ethernet.</summary>
    Malformed,

    /// <summary>A reply.</summary>
    NotARequest,

    /// <summary>Sent to another machine.</summary>
    ForAnotherStation,

    /// <summary>Sent by ourselves, by way of another interface on the same LAN.</summary>
    FromOurselves,

    /// <summary>Asks for an address that is not ours.</summary>
    NotAnnounced,

    /// <summary>Asks for an address whose lease has ended.</summary>
    Expired,

    /// <summary>It waited while our process stood still, and others have taken over meanwhile.</summary>
    Late,
}

/// <summary>The rules of answering ARP (RFC 826), without any I/O.</summary>
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
    public static ArpVerdict Judge(
        ReadOnlySpan<byte> frame, MacAddress own, IReadOnlySet<MacAddress> ours, FrozenDictionary<IPv4Address, Announced> announced, TimeProvider time,
        out ArpPacket packet, out Announced? item)
    {
        item = null;
        if (!ArpPacket.TryParse(frame, out var destination, out packet))
            return ArpVerdict.Malformed;
        if (packet.Operation != ArpOperation.Request)
            return ArpVerdict.NotARequest;
        // Broadcast requests, and the unicast ones by which neighbours confirm what they know (RFC 4861 §7.3 in the form of ARP).
        if (destination != MacAddress.Broadcast && destination != own)
            return ArpVerdict.ForAnotherStation;
        if (packet.SenderMac == own || ours.Contains(packet.SenderMac))
            return ArpVerdict.FromOurselves;
        // RFC 5227 §2.4: who sends with an address has it, or believes so.
        if (announced.TryGetValue(packet.SenderAddress, out item))
            return item.IsValid(time) ? ArpVerdict.Claim : ArpVerdict.Expired;
        if (!announced.TryGetValue(packet.TargetAddress, out item))
            return ArpVerdict.NotAnnounced;
        return item.IsValid(time) ? ArpVerdict.Answer : ArpVerdict.Expired;
    }

    /// <summary>Writes the answer to a request: the address is at <paramref name="own"/>.</summary>
    public static void WriteAnswer(Span<byte> frame, in ArpPacket request, MacAddress own) =>
        new ArpPacket(ArpOperation.Reply, own, request.TargetAddress, request.SenderMac, request.SenderAddress).Write(frame, own, request.SenderMac);

    /// <summary>Writes a gratuitous packet to all: the address is at <paramref name="own"/>.</summary>
    public static void WriteGratuitous(Span<byte> frame, ArpOperation form, IPv4Address address, MacAddress own) =>
        new ArpPacket(form, own, address, MacAddress.Broadcast, address).Write(frame, own, MacAddress.Broadcast);
}
