using System.Diagnostics.Metrics;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Controller.AddressServices;

/// <summary>
/// How the address services fare, as the controller sees it. The labels are the names in the configuration and the few words here: what an address service says goes to the log. Thread-safe.
/// </summary>
internal sealed class AddressServiceMetrics
{
    private readonly Counter<long> _requests;
    private readonly Counter<long> _failures;
    private readonly Histogram<double> _seconds;

    public AddressServiceMetrics(IMeterFactory factory)
    {
        var meter = factory.Create("DynamicLb.Controller.AddressServices");
        _requests = meter.CreateCounter<long>("dynamiclb_address_service_requests_total", description: "Calls to an address service, by what came of them");
        _failures = meter.CreateCounter<long>("dynamiclb_address_service_failures_total", description: "Calls to an address service that brought no address, by the reason");
        _seconds = meter.CreateHistogram<double>(
            "dynamiclb_address_service_request_seconds", description: "Time of a call to an address service; for an address that includes DHCP",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 4, 8, 16, 32, 64] });
        meter.CreateObservableGauge(
            "dynamiclb_address_service_wanted_leases",
            () => Brokers().SelectMany(static broker => broker.CountPhases().Select(entry => new Measurement<int>(
                entry.Count, new("address_service", broker.Source.Name), new("state", entry.Phase switch
                {
                    LeasePhase.Pending => "pending",
                    LeasePhase.Leased => "leased",
                    LeasePhase.Failed => "failed",
                    _ => "lost",
                })))),
            description: "Leases that Services need from an address service, by where they stand");
        meter.CreateObservableGauge(
            "dynamiclb_address_service_reachable",
            () => Brokers().Select(static broker => new Measurement<int>(broker.IsReachable ? 1 : 0, new KeyValuePair<string, object?>("address_service", broker.Source.Name))),
            description: "1 while the last call reached the address service");
    }

    /// <summary>The brokers whose leases are counted.</summary>
    public Func<IEnumerable<LeaseBroker>> Brokers { get; set; } = static () => [];

    /// <summary>Counts a call that was answered.</summary>
    /// <param name="addressService">The address service.</param>
    /// <param name="call">Which call.</param>
    /// <param name="status">What it said: one of <see cref="AnswerStatus"/>.</param>
    /// <param name="elapsed">How long it took.</param>
    public void Answered(string addressService, string call, string status, TimeSpan elapsed)
    {
        bool isSuccess = status == AnswerStatus.Success;
        Count(addressService, call, isSuccess ? "success" : "refused", elapsed);
        if (!isSuccess)
            Failed(addressService, status switch { AnswerStatus.Denied => "denied", AnswerStatus.Timeout => "no_dhcp_answer", _ => "refused" });
    }

    /// <summary>Counts a call that had no answer.</summary>
    public void Unanswered(string addressService, string call, AddressServiceFault fault, TimeSpan elapsed)
    {
        Count(addressService, call, "unanswered", elapsed);
        Failed(addressService, fault switch { AddressServiceFault.Timeout => "timeout", AddressServiceFault.CircuitOpen => "circuit_open", _ => "unreachable" });
    }

    /// <summary>Counts an address that was leased and is not taken: it lies outside the networks that are configured.</summary>
    public void Outside(string addressService) => Failed(addressService, "outside_cidrs");

    private void Count(string addressService, string call, string outcome, TimeSpan elapsed)
    {
        _requests.Add(1, new("address_service", addressService), new("call", call), new("outcome", outcome));
        _seconds.Record(elapsed.TotalSeconds, new("address_service", addressService), new("call", call));
    }

    private void Failed(string addressService, string reason) => _failures.Add(1, new("address_service", addressService), new("reason", reason));
}
