using System.Diagnostics.Metrics;
using DynamicLb.Speaker.Announcing;
using DynamicLb.Speaker.Membership;

namespace DynamicLb.Speaker.Status;

/// <summary>Gauges of what the speaker does now, under MetalLB's names where it has them.</summary>
internal sealed class SpeakerMetrics
{
    public SpeakerMetrics(IMeterFactory meters, SpeakerOptions options, ServiceAnnouncer announcer, NodeLeaseKeeper membership, ConfigHolder config)
    {
        var meter = meters.Create("DynamicLb.Speaker");
        meter.CreateObservableGauge(
            "metallb_speaker_announced",
            () => announcer.Announcements.Select(one => new Measurement<int>(
                1, new("service", one.Service.ToString()), new("protocol", "layer2"), new("node", options.NodeName), new("ip", one.Address.ToString()))),
            description: "Addresses that this node announces");
        meter.CreateObservableGauge(
            "metallb_k8s_client_config_loaded_bool", () => config.HasConfig ? 1 : 0, description: "1 when a configuration was loaded");
        meter.CreateObservableGauge(
            "metallb_k8s_client_config_stale_bool", () => config.IsStale ? 1 : 0, description: "1 while the configuration file is bad");
        meter.CreateObservableGauge(
            "dynamiclb_speaker_living_nodes", () => membership.Living.Count, description: "Nodes whose speakers live, as this one sees it");
        meter.CreateObservableGauge(
            "dynamiclb_speaker_cut_off", () => membership.IsCutOff ? 1 : 0, description: "1 while this speaker cannot renew its Lease");
    }
}
