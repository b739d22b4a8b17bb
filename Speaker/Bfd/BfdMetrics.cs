using System.Diagnostics.Metrics;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Speaker.Bfd;

/// <summary>Metrics of BFD, under the names that MetalLB has for them. Thread-safe.</summary>
internal sealed class BfdMetrics
{
    public BfdMetrics(IMeterFactory factory, BfdSessions sessions)
    {
        var meter = factory.Create("DynamicLb.Speaker.Bfd");
        meter.CreateObservableGauge(
            "metallb_bfd_session_up", () => Each(sessions, static watch => watch.Status.State == BfdState.Up ? 1 : 0), description: "1 while the BFD session is up");
        Counter("control_packet_input", static counts => counts.ControlIn, "BFD control packets received");
        Counter("control_packet_output", static counts => counts.ControlOut, "BFD control packets sent");
        Counter("echo_packet_input", static counts => counts.EchoIn, "BFD echo packets that came back");
        Counter("echo_packet_output", static counts => counts.EchoOut, "BFD echo packets sent");
        Counter("session_up_events", static counts => counts.Ups, "How often the BFD session came up");
        Counter("session_down_events", static counts => counts.Downs, "How often the BFD session went down");
        // Of zebra only the name is left: it is BGP in the same process that is told.
        Counter("zebra_notifications", static counts => counts.Notifications, "Changes of the BFD session that BGP was told of");
        meter.CreateObservableCounter(
            "dynamiclb_bfd_packets_dropped_total",
            () => Enum.GetValues<BfdDropReason>().Where(static reason => reason != BfdDropReason.None)
                .Select(reason => new Measurement<long>(sessions.Dropped(reason), new KeyValuePair<string, object?>("reason", reason.ToString().ToLowerInvariant())))
                .Where(static measurement => measurement.Value > 0),
            description: "BFD control packets that were dropped, by reason");

        void Counter(string name, Func<BfdCounts, long> value, string description) =>
            meter.CreateObservableCounter($"metallb_bfd_{name}", () => Each(sessions, watch => value(watch.Counts)), description: description);
    }

    private static IEnumerable<Measurement<long>> Each(BfdSessions sessions, Func<IBfdWatch, long> value) =>
        sessions.Watches.Select(watch => new Measurement<long>(
            value(watch), new("peer", watch.Path.Peer.ToString()), new KeyValuePair<string, object?>("vrf", watch.Path.Device ?? "default")));
}
