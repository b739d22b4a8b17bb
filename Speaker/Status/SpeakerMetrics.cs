using System.Diagnostics.Metrics;
using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Status;

/// <summary>The speaker's metrics, under MetalLB's names where it has them. Thread-safe.</summary>
internal sealed class SpeakerMetrics
{
    private static readonly KeyValuePair<string, object?>[] Verdicts =
        [.. Enum.GetNames<FrameVerdict>().Select(static name => new KeyValuePair<string, object?>("verdict", name))];

    private static readonly KeyValuePair<string, object?>[] HeardKinds =
        [.. Enum.GetNames<HeardKind>().Select(static name => new KeyValuePair<string, object?>("outcome", name.ToLowerInvariant()))];

    private static readonly KeyValuePair<string, object?> Refused = new("outcome", "refused");

    private readonly Meter _meter;
    private readonly string _node;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _responses;
    private readonly Counter<long> _gratuitous;
    private readonly Counter<long> _frames;
    private readonly Counter<long> _conflicts;
    private readonly Counter<long> _updates;
    private readonly Counter<long> _updateErrors;
    private readonly Counter<long> _heartbeatsSent;
    private readonly Counter<long> _heartbeatsHeard;
    private volatile IReadOnlyList<(NamespacedName Service, HostAddress Address)> _announced = [];
    private volatile IReadOnlyList<(NamespacedName Service, IPAddress Address)> _announcedByBgp = [];

    public SpeakerMetrics(IMeterFactory factory, SpeakerOptions options, IConfigSource config)
    {
        _node = options.NodeName;
        _meter = factory.Create("DynamicLb.Speaker");
        _requests = _meter.CreateCounter<long>("metallb_layer2_requests_received", description: "ARP and NDP requests received for announced addresses");
        _responses = _meter.CreateCounter<long>("metallb_layer2_responses_sent", description: "ARP and NDP replies sent");
        _gratuitous = _meter.CreateCounter<long>("metallb_layer2_gratuitous_sent", description: "Gratuitous ARP and NDP packets sent");
        _frames = _meter.CreateCounter<long>("dynamiclb_layer2_frames_total", description: "ARP and NDP frames received, by what became of them");
        _conflicts = _meter.CreateCounter<long>("dynamiclb_layer2_conflicts_total", description: "Times that another machine was found to have an address of a Service");
        _updates = _meter.CreateCounter<long>("metallb_k8s_client_updates_total", description: "Services looked at");
        _updateErrors = _meter.CreateCounter<long>("metallb_k8s_client_update_errors_total", description: "Writes of what Services are announced that failed");
        _heartbeatsSent = _meter.CreateCounter<long>("dynamiclb_speaker_heartbeats_sent_total", description: "Heartbeats sent to the other speakers on the segment");
        _heartbeatsHeard = _meter.CreateCounter<long>("dynamiclb_speaker_heartbeats_received_total", description: "Heartbeats received, by what became of them");
        _meter.CreateObservableGauge("metallb_speaker_announced", () => _announced.Select(item => Announced(item.Service, "layer2", item.Address.ToString()))
            .Concat(_announcedByBgp.Select(item => Announced(item.Service, "bgp", item.Address.ToString()))), description: "Addresses announced from this node");
        _meter.CreateObservableGauge(
            "metallb_k8s_client_config_loaded_bool", () => config.Current is null ? 0 : 1, description: "1 once a configuration was loaded");
        _meter.CreateObservableGauge(
            "metallb_k8s_client_config_stale_bool", () => config.IsStale ? 1 : 0, description: "1 while the configuration has faults");
    }

    public void HeartbeatSent() => _heartbeatsSent.Add(1);

    /// <param name="kind">What came of it; null for one whose code fits no key.</param>
    public void HeartbeatHeard(HeardKind? kind) => _heartbeatsHeard.Add(1, kind is { } known ? HeardKinds[(int)known] : Refused);

    /// <summary>Lets be asked what the speaker sees of the others. To be called once, while the parts are put together.</summary>
    /// <param name="members">Nodes whose speakers are alive.</param>
    /// <param name="isCutOff">Whether the others cannot know of this one.</param>
    /// <param name="interfaces">Interfaces that take part.</param>
    /// <param name="heard">Other nodes that are heard and may announce.</param>
    public void Observe(Func<int> members, Func<bool> isCutOff, Func<int> interfaces, Func<int> heard)
    {
        _meter.CreateObservableGauge("dynamiclb_speaker_members", members, description: "Nodes whose speakers are alive, as this one sees it");
        _meter.CreateObservableGauge("dynamiclb_speaker_cut_off", () => isCutOff() ? 1 : 0, description: "1 while the other speakers cannot know of this one");
        _meter.CreateObservableGauge("dynamiclb_speaker_interfaces", interfaces, description: "Interfaces on which ARP and NDP are answered");
        _meter.CreateObservableGauge("dynamiclb_speaker_heartbeat_nodes", heard, description: "Other nodes that are heard on the segment and may announce");
    }

    public void RequestReceived(string ip) => _requests.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void ResponseSent(string ip) => _responses.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void GratuitousSent(string ip) => _gratuitous.Add(1, new KeyValuePair<string, object?>("ip", ip));

    public void Frame(FrameVerdict verdict) => _frames.Add(1, Verdicts[(int)verdict]);

    public void ConflictFound() => _conflicts.Add(1);

    public void Updated(int services) => _updates.Add(services);

    /// <summary>The API server did not take what was to be written.</summary>
    public void UpdateFailed() => _updateErrors.Add(1);

    /// <summary>Replaces what is announced by BGP.</summary>
    public void AnnouncedByBgp(IReadOnlyList<(NamespacedName Service, IPAddress Address)> announced) => _announcedByBgp = announced;

    /// <summary>Replaces what is announced by ARP and NDP.</summary>
    public void Announced(IReadOnlyList<(NamespacedName Service, HostAddress Address)> announced) => _announced = announced;

    private Measurement<int> Announced(NamespacedName service, string protocol, string ip) =>
        new(1, new("service", service.ToString()), new("protocol", protocol), new("node", _node), new("ip", ip));
}
