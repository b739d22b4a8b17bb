using System.Diagnostics.Metrics;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>Counters of layer 2, under MetalLB's names where it has them.</summary>
internal sealed class Layer2Metrics
{
    private static readonly KeyValuePair<string, object?>[] s_verdicts =
        [.. Enum.GetNames<ArpVerdict>().Select(name => new KeyValuePair<string, object?>("verdict", name))];

    private readonly Counter<long> _requests;
    private readonly Counter<long> _responses;
    private readonly Counter<long> _gratuitous;
    private readonly Counter<long> _frames;

    public Layer2Metrics(IMeterFactory meters)
    {
        var meter = meters.Create("DynamicLb.Speaker.Layer2");
        _requests = meter.CreateCounter<long>("metallb_layer2_requests_received", description: "ARP requests for announced addresses");
        _responses = meter.CreateCounter<long>("metallb_layer2_responses_sent", description: "ARP replies sent");
        _gratuitous = meter.CreateCounter<long>("metallb_layer2_gratuitous_sent", description: "Gratuitous ARP packets sent");
        _frames = meter.CreateCounter<long>("dynamiclb_layer2_frames", description: "ARP frames received, by what became of them");
    }

    public void Request(IPv4Address address) => _requests.Add(1, new KeyValuePair<string, object?>("ip", address));

    public void Response(IPv4Address address) => _responses.Add(1, new KeyValuePair<string, object?>("ip", address));

    public void Gratuitous(IPv4Address address, int packets) => _gratuitous.Add(packets, new KeyValuePair<string, object?>("ip", address));

    public void Frame(ArpVerdict verdict) => _frames.Add(1, s_verdicts[(int)verdict]);
}
