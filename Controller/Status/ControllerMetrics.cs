using System.Diagnostics.Metrics;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.Allocation;
using DynamicLb.Controller.Services;

namespace DynamicLb.Controller.Status;

/// <summary>The controller's metrics, under MetalLB's names.</summary>
internal sealed class ControllerMetrics
{
    private readonly Counter<long> _reconciled;
    private readonly Counter<long> _failed;

    public ControllerMetrics(IMeterFactory factory, AddressDecider decider, IConfigSource config)
    {
        var meter = factory.Create("DynamicLb.Controller");
        _reconciled = meter.CreateCounter<long>("metallb_k8s_client_updates_total", description: "Services looked at");
        _failed = meter.CreateCounter<long>("metallb_k8s_client_update_errors_total", description: "Services that could not be written");
        meter.CreateObservableGauge("metallb_k8s_client_config_loaded_bool", () => config.Current is null ? 0 : 1, description: "1 once a configuration was loaded");
        meter.CreateObservableGauge("metallb_k8s_client_config_stale_bool", () => config.IsStale ? 1 : 0, description: "1 while the configuration has faults");
        meter.CreateObservableGauge(
            "metallb_allocator_addresses_total", () => decider.PoolUse.Select(static use => Of(use, use.Total)), description: "Addresses in a pool");
        meter.CreateObservableGauge(
            "metallb_allocator_addresses_in_use_total", () => decider.PoolUse.Select(static use => Of(use, use.InUse)), description: "Addresses of a pool in use");
        meter.CreateObservableGauge(
            "metallb_allocator_ipv4_addresses_total", () => decider.PoolUse.Select(static use => Of(use, use.TotalIPv4)), description: "IPv4 addresses in a pool");
        meter.CreateObservableGauge(
            "metallb_allocator_ipv4_addresses_in_use_total", () => decider.PoolUse.Select(static use => Of(use, use.InUseIPv4)), description: "IPv4 addresses of a pool in use");
        meter.CreateObservableGauge(
            "metallb_allocator_ipv6_addresses_total", () => decider.PoolUse.Select(static use => Of(use, use.TotalIPv6)), description: "IPv6 addresses in a pool");
        meter.CreateObservableGauge(
            "metallb_allocator_ipv6_addresses_in_use_total", () => decider.PoolUse.Select(static use => Of(use, use.InUseIPv6)), description: "IPv6 addresses of a pool in use");
    }

    public void Reconciled() => _reconciled.Add(1);

    public void Failed() => _failed.Add(1);

    private static Measurement<double> Of(PoolUse use, double value) => new(value, new KeyValuePair<string, object?>("pool", use.Pool));
}
