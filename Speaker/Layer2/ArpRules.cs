using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What becomes of a frame that arrived.</summary>
internal enum ArpVerdict
{
    /// <summary>It asks for an address of ours.</summary>
    Answer = 0,

    /// <summary>Another machine claims an address of ours.</summary>
    Claim,

    /// <summary>Not an ARP request for IPv4 over Ethernet.</summary>
    NotARequest,

    /// <summary>Sent to another machine.</summary>
    OtherDestination,

    /// <summary>Sent by ourselves.</summary>
    OwnFrame,

    /// <summary>Asks for an address that is not ours.</summary>
    NotAnnounced,
}

/// <summary>The rules of answering ARP, without any I/O.</summary>
internal static class ArpRules
{
    /// <summary>
    /// Decides about a frame that arrived on an interface with the hardware address <paramref name="own"/>; <paramref name="ours"/> are those of
    /// all our interfaces, since two of them may be on one LAN.
    /// </summary>
    public static ArpVerdict Judge(
        ReadOnlySpan<byte> frame, MacAddress own, IReadOnlySet<MacAddress> ours, AnnouncedAddresses announced, DateTimeOffset now, out ArpPacket packet)
    {
        if (!ArpPacket.TryParse(frame, out var destination, out packet) || packet.Operation != ArpOperation.Request)
            return ArpVerdict.NotARequest;
        if (packet.SenderMac == own || ours.Contains(packet.SenderMac))
            return ArpVerdict.OwnFrame;
        if (destination != MacAddress.Broadcast && destination != own)
            return ArpVerdict.OtherDestination;
        // A gratuitous request: its sender says that the address is its own (RFC 5227, section 3).
        if (announced.Has(packet.SenderAddress, now))
            return ArpVerdict.Claim;
        return announced.Has(packet.TargetAddress, now) ? ArpVerdict.Answer : ArpVerdict.NotAnnounced;
    }

    /// <summary>Writes the answer to <paramref name="request"/>: the address is at <paramref name="own"/>.</summary>
    public static int WriteAnswer(Span<byte> frame, in ArpPacket request, MacAddress own) =>
        new ArpPacket(ArpOperation.Reply, own, request.TargetAddress, request.SenderMac, request.SenderAddress).Write(frame, own, request.SenderMac);

    /// <summary>
    /// Writes a gratuitous packet, to all: the address is at <paramref name="own"/>. Some hosts take up only the request form, some only the
    /// reply form; both are sent.
    /// </summary>
    public static int WriteGratuitous(Span<byte> frame, ArpOperation form, IPv4Address address, MacAddress own) =>
        new ArpPacket(form, own, address, MacAddress.Broadcast, address).Write(frame, own, MacAddress.Broadcast);
}
