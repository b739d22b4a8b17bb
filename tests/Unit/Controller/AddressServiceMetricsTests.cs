using System.Diagnostics.Metrics;
using System.Globalization;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;

namespace DynamicLb.Tests.Unit.Controller;

/// <summary>What the metrics of the address services count.</summary>
public sealed class AddressServiceMetricsTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly MeterListener _listener = new();
    private readonly Dictionary<string, double> _values = new(StringComparer.Ordinal);
    private readonly AddressServiceMetrics _metrics;

    public AddressServiceMetricsTests()
    {
        var factory = _services.GetRequiredService<IMeterFactory>();
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == factory)
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Count(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Count(instrument, value, tags));
        _listener.Start();
        _metrics = new AddressServiceMetrics(factory);
    }

    public void Dispose()
    {
        _listener.Dispose();
        _services.Dispose();
    }

    [Fact]
    public async Task A_call_is_counted_with_its_outcome_and_its_time()
    {
        var time = new FakeTime();
        var api = new Answers(() =>
        {
            time.Advance(TimeSpan.FromSeconds(2));
            return new AcquireAddressAnswer(AnswerStatus.Success, "10.0.0.1");
        });

        await new MeteredClient(api, "dhcp", _metrics, time).AcquireAsync(new AcquireAddressRequest("a/b"), TestContext.Current.CancellationToken);

        Assert.Equal(1, _values["dynamiclb_address_service_requests_total dhcp acquire success"]);
        Assert.Equal(2, _values["dynamiclb_address_service_request_seconds dhcp acquire"]);
        Assert.DoesNotContain(_values.Keys, static key => key.Contains("failures", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("denied", "denied")]
    [InlineData("timeout", "no_dhcp_answer")]
    [InlineData("error", "refused")]
    [InlineData("anything that an address service may say", "refused")]
    public async Task A_refusal_is_counted_by_a_reason_of_a_few(string status, string reason)
    {
        var client = new MeteredClient(new Answers(() => new AcquireAddressAnswer(status, "", Detail: "whatever")), "dhcp", _metrics, TimeProvider.System);

        await client.AcquireAsync(new AcquireAddressRequest("a/b"), TestContext.Current.CancellationToken);

        Assert.Equal(1, _values["dynamiclb_address_service_requests_total dhcp acquire refused"]);
        Assert.Equal(1, _values[$"dynamiclb_address_service_failures_total dhcp {reason}"]);
    }

    [Theory]
    [InlineData(AddressServiceFault.Unreachable, "unreachable")]
    [InlineData(AddressServiceFault.Timeout, "timeout")]
    [InlineData(AddressServiceFault.CircuitOpen, "circuit_open")]
    public async Task A_call_without_an_answer_is_counted_and_still_fails(AddressServiceFault fault, string reason)
    {
        var client = new MeteredClient(new Answers(() => throw new AddressServiceUnavailableException("no") { Fault = fault }), "dhcp", _metrics, TimeProvider.System);

        await Assert.ThrowsAsync<AddressServiceUnavailableException>(() => client.AcquireAsync(new AcquireAddressRequest("a/b"), TestContext.Current.CancellationToken));

        Assert.Equal(1, _values["dynamiclb_address_service_requests_total dhcp acquire unanswered"]);
        Assert.Equal(1, _values[$"dynamiclb_address_service_failures_total dhcp {reason}"]);
    }

    private void Count(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string key = string.Join(' ', [instrument.Name, .. tags.ToArray().Select(static tag => Convert.ToString(tag.Value, CultureInfo.InvariantCulture)!)]);
        _values[key] = _values.GetValueOrDefault(key) + value;
    }

    private sealed class Answers(Func<AcquireAddressAnswer> acquire) : IAddressServiceClient
    {
        public Task<AcquireAddressAnswer> AcquireAsync(AcquireAddressRequest request, CancellationToken cancellationToken)
        {
            try
            {
                return Task.FromResult(acquire());
            }
            catch (AddressServiceUnavailableException e)
            {
                return Task.FromException<AcquireAddressAnswer>(e);
            }
        }

        public Task<ConfigAnswer> GetConfigAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<StatusAnswer> GetStatusAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<ReleaseAddressAnswer> ReleaseAsync(ReleaseAddressRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<OrphansAnswer> ReportOrphansAsync(OrphansRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<SelfTestAnswer> TestAsync(SelfTestRequest request, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<LeasesAnswer> GetLeasesAsync(LeaseQuery query, CancellationToken cancellationToken) => throw new NotSupportedException();

        public IAsyncEnumerable<LeaseWatchEvent> WatchLeasesAsync(string? lastEventId, CancellationToken cancellationToken) => throw new NotSupportedException();
    }
}
