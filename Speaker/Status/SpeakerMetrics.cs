using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace DynamicLb.Speaker.Status;

/// <summary>The speaker's metrics, under MetalLB's names.</summary>
internal sealed class SpeakerMetrics
{
    private readonly Counter<long> _requests;
    private readonly Counter<long> _responses;
    private readonly Counter<long> _gratuitous;
    private readonly ConcurrentDictionary<(string Service, string Ip), KeyValuePair<string, object?>[]> _announced = new();

    public SpeakerMetrics(IMeterFactory factory, SpeakerOptions options)
    {
        var meter = factory.Create("DynamicLb.Speaker");
        NodeName = options.NodeName;
        _requests = meter.CreateCounter<long>("metallb_layer2_requests_received", description: "ARP requests received for announced addresses");
        _responses = meter.CreateCounter<long>("metallb_layer2_responses_sent", description: "ARP replies sent");
        _gratuitous = meter.CreateCounter<long>("metallb_layer2_gratuitous_sent", description: "Gratuitous ARP packets sent");
        meter.CreateObservableGauge(
            "metallb_speaker_announced",
            () => _announced.Values.Select(static tags => new Measurement<int>(1, tags)),
            description: "Addresses announced from this node");
    }

    public string NodeName { get; }

    public void RequestReceived(string ip) => _requests.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void ResponseSent(string ip) => _responses.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void GratuitousSent(string ip) => _gratuitous.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void Announced(string service, IEnumerable<string> addresses)
    {
        var wanted = addresses.ToHashSet();
        foreach (var key in _announced.Keys.Where(key => key.Service == service && !wanted.Contains(key.Ip)))
            _announced.TryRemove(key, out _);
        foreach (string ip in wanted)
        {
            _announced.TryAdd(
                (service, ip),
                [new("service", service), new("protocol", "layer2"), new("node", NodeName), new("ip", ip)]);
        }
    }
}
