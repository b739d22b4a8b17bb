using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Ndp;

namespace DynamicLb.Speaker.Layer2;

/// <summary>What a frame is about.</summary>
/// <param name="Item">The address of ours; null for none.</param>
/// <param name="Sender">Hardware address of who sent it.</param>
/// <param name="AnswerLength">Bytes of the answer that was written; 0 for none.</param>
internal readonly record struct HeardFrame(Announced? Item, MacAddress Sender, int AnswerLength)
{
    /// <summary>The address that the sender shows to have, or to be about to use.</summary>
    public HostAddress Shown { get; init; }

    /// <summary>Whether it was sent to tell all neighbours of that address.</summary>
    public bool IsGratuitous { get; init; }
}

/// <summary>How neighbours find addresses of one family: what a <see cref="Responder"/> needs to know of it. Stateless, thread-safe, without allocation per frame.</summary>
internal interface INeighborProtocol
{
    /// <summary>Its name in the log.</summary>
    string Name { get; }

    /// <summary>Length of the longest frame that is sent.</summary>
    int FrameLength { get; }

    /// <summary>Frames of which an announcement to all consists.</summary>
    int GratuitousForms { get; }

    /// <summary>Whether an address is of this family.</summary>
    bool IsFor(HostAddress address);

    /// <summary>What becomes of a frame; with the answer written when it is to be answered.</summary>
    FrameVerdict Judge(ReadOnlySpan<byte> frame, MacAddress own, ResponderContext context, Span<byte> answer, out HeardFrame heard);

    /// <summary>Writes one form of an announcement to all.</summary>
    /// <returns>Length.</returns>
    int WriteGratuitous(Span<byte> frame, int form, HostAddress address, MacAddress own);

    /// <summary>Writes the question whether another machine has an address, from which nobody learns anything.</summary>
    /// <returns>Length.</returns>
    int WriteProbe(Span<byte> frame, HostAddress address, MacAddress own);
}

/// <summary>IPv4: ARP.</summary>
internal sealed class ArpProtocol : INeighborProtocol
{
    public static ArpProtocol Instance { get; } = new();

    public string Name => "ARP";

    public int FrameLength => ArpPacket.FrameLength;

    // A request and a reply, since some listen only to one of them.
    public int GratuitousForms => 2;

    public bool IsFor(HostAddress address) => address.IsIPv4;

    public FrameVerdict Judge(ReadOnlySpan<byte> frame, MacAddress own, ResponderContext context, Span<byte> answer, out HeardFrame heard)
    {
        var verdict = ArpRules.Judge(frame, own, context.OwnMacs, context.Table.Snapshot, context.Time, out var packet, out var item);
        if (verdict == FrameVerdict.Answer)
            ArpRules.WriteAnswer(answer, packet, item!.Mac ?? own);
        heard = new HeardFrame(item, packet.SenderMac, verdict == FrameVerdict.Answer ? ArpPacket.FrameLength : 0)
        {
            Shown = packet.ClaimedAddress,
            IsGratuitous = packet.SenderAddress == packet.TargetAddress,
        };
        return verdict;
    }

    public int WriteGratuitous(Span<byte> frame, int form, HostAddress address, MacAddress own)
    {
        ArpRules.WriteGratuitous(frame, form == 0 ? ArpOperation.Request : ArpOperation.Reply, address.IPv4, own);
        return ArpPacket.FrameLength;
    }

    public int WriteProbe(Span<byte> frame, HostAddress address, MacAddress own) =>
        new ArpPacket(ArpOperation.Request, own, IPv4Address.Any, MacAddress.Zero, address.IPv4).Write(frame, own, MacAddress.Broadcast);
}

/// <summary>IPv6: Neighbor Discovery.</summary>
internal sealed class NdpProtocol : INeighborProtocol
{
    public static NdpProtocol Instance { get; } = new();

    public string Name => "NDP";

    public int FrameLength => NeighborMessage.AdvertisementLength;

    public int GratuitousForms => 1;

    public bool IsFor(HostAddress address) => !address.IsIPv4;

    public FrameVerdict Judge(ReadOnlySpan<byte> frame, MacAddress own, ResponderContext context, Span<byte> answer, out HeardFrame heard)
    {
        var verdict = NdpRules.Judge(frame, own, context.OwnMacs, context.Table.Snapshot, context.Time, out var message, out var item);
        bool isAdvertised = message.Type == NeighborMessageType.Advertisement;
        heard = new HeardFrame(item, message.SourceMac, verdict == FrameVerdict.Answer ? NdpRules.WriteAnswer(answer, message, own) : 0)
        {
            Shown = isAdvertised || message.Source.IsAny ? message.Target : message.Source,
            IsGratuitous = isAdvertised,
        };
        return verdict;
    }

    public int WriteGratuitous(Span<byte> frame, int form, HostAddress address, MacAddress own) => NdpRules.WriteGratuitous(frame, address.IPv6, own);

    public int WriteProbe(Span<byte> frame, HostAddress address, MacAddress own) => NeighborMessage.WriteDetection(frame, own, address.IPv6);
}
