using System.Buffers;
using System.Diagnostics.Metrics;
using System.Text;
using DynamicLb.Contracts.Metrics;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace DynamicLb.Tests.Unit.Metrics;

public sealed class PrometheusEndpointTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Meter _meter;

    public PrometheusEndpointTests() => _meter = Factory.Create("DynamicLb.Test");

    private IMeterFactory Factory => _services.GetRequiredService<IMeterFactory>();

    public void Dispose() => _services.Dispose();

    [Fact]
    public void A_name_without_dots_is_exposed_as_it_stands_whatever_its_type()
    {
        using var collector = Collector();
        _meter.CreateObservableGauge("metallb_allocator_addresses_in_use_total", () => new Measurement<int>(3, Tag("pool", "default")));
        _meter.CreateCounter<long>("metallb_k8s_client_updates_total", description: "Updates seen").Add(2);

        var text = Text(collector);

        Assert.Contains("# TYPE metallb_allocator_addresses_in_use_total gauge\nmetallb_allocator_addresses_in_use_total{pool=\"default\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("# HELP metallb_k8s_client_updates_total Updates seen\n# TYPE metallb_k8s_client_updates_total counter\nmetallb_k8s_client_updates_total 2\n", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dotnet.gc.pause.time", "s", true, "dotnet_gc_pause_time_seconds_total")]
    [InlineData("dotnet.process.memory.working_set", "By", false, "dotnet_process_memory_working_set_bytes")]
    [InlineData("dotnet.thread_pool.thread.count", "{thread}", false, "dotnet_thread_pool_thread_count")]
    [InlineData("1st-thing", null, true, "_1st_thing")]
    [InlineData("plain_seconds", "s", true, "plain_seconds")]
    public void A_dotted_name_gets_unit_and_total(string instrument, string? unit, bool counter, string metric)
    {
        Assert.Equal(metric, PrometheusNames.Metric(instrument, unit, counter ? MetricKind.Counter : MetricKind.Gauge));
    }

    [Fact]
    public void Help_and_label_values_are_escaped()
    {
        using var collector = Collector();
        _meter.CreateCounter<int>("c", description: "a \\ and\na line").Add(1, Tag("path.name", "say \"hi\" \\ to\nall"));

        Assert.Contains("# HELP c a \\\\ and\\na line\n# TYPE c counter\nc{path_name=\"say \\\"hi\\\" \\\\ to\\nall\"} 1\n", Text(collector), StringComparison.Ordinal);
    }

    [Fact]
    public void Labels_in_another_order_or_of_another_type_are_the_same_series()
    {
        using var collector = Collector();
        var counter = _meter.CreateCounter<int>("c");
        counter.Add(1, Tag("a", 1), Tag("b", true));
        counter.Add(1, Tag("b", "true"), Tag("a", "1"));
        counter.Add(1, Tag("a", 1L), Tag("b", "true"), Tag("absent", null));

        Assert.Contains("c{a=\"1\",b=\"true\"} 3\n", Text(collector), StringComparison.Ordinal);
    }

    [Fact]
    public void A_histogram_uses_the_buckets_of_its_instrument_and_counts_upwards()
    {
        using var collector = Collector();
        var histogram = _meter.CreateHistogram("wait_seconds", null, null, [], new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        histogram.Record(0.1, Tag("kind", "x"));
        histogram.Record(0.5, Tag("kind", "x"));
        histogram.Record(7, Tag("kind", "x"));

        Assert.Contains(
            "# TYPE wait_seconds histogram\n"
            + "wait_seconds_bucket{kind=\"x\",le=\"0.1\"} 1\n"
            + "wait_seconds_bucket{kind=\"x\",le=\"1\"} 2\n"
            + "wait_seconds_bucket{kind=\"x\",le=\"+Inf\"} 3\n"
            + "wait_seconds_sum{kind=\"x\"} 7.6\n"
            + "wait_seconds_count{kind=\"x\"} 3\n",
            Text(collector),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Up_down_counters_and_gauges_are_gauges()
    {
        using var collector = Collector();
        var busy = _meter.CreateUpDownCounter<int>("busy");
        busy.Add(5);
        busy.Add(-2);
        var level = _meter.CreateGauge<double>("level");
        level.Record(1.5);
        level.Record(double.NegativeInfinity);

        var text = Text(collector);

        Assert.Contains("# TYPE busy gauge\nbusy 3\n", text, StringComparison.Ordinal);
        Assert.Contains("# TYPE level gauge\nlevel -Inf\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void The_series_of_an_observable_instrument_vanish_with_their_object()
    {
        using var collector = Collector();
        List<string> services = ["demo/a", "demo/b"];
        _meter.CreateObservableGauge("announced", () => services.Select(s => new Measurement<int>(1, Tag("service", s))));

        Assert.Contains("announced{service=\"demo/a\"} 1\nannounced{service=\"demo/b\"} 1\n", Text(collector), StringComparison.Ordinal);
        services.Remove("demo/a");
        var text = Text(collector);

        Assert.DoesNotContain("demo/a", text, StringComparison.Ordinal);
        Assert.Contains("announced{service=\"demo/b\"} 1\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failing_callback_leaves_the_other_metrics()
    {
        using var collector = Collector();
        _meter.CreateObservableGauge("broken", int () => throw new InvalidOperationException("no"));
        _meter.CreateObservableGauge("fine", () => 1);

        Assert.Contains("fine 1\n", Text(collector), StringComparison.Ordinal);
    }

    [Fact]
    public void Series_past_the_bound_are_dropped_and_counted()
    {
        using var collector = Collector(maxSeries: 2);
        var counter = _meter.CreateCounter<int>("c");
        for (var i = 0; i < 5; i++)
        {
            counter.Add(1, Tag("i", i));
        }

        counter.Add(1, Tag("i", 1));
        var text = Text(collector);

        Assert.Contains("c{i=\"0\"} 1\nc{i=\"1\"} 2\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("c{i=\"2\"}", text, StringComparison.Ordinal);
        Assert.Contains("dynamiclb_metrics_dropped_measurements_total 3\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Meters_of_other_names_and_other_hosts_are_left_out()
    {
        using var other = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using var collector = Collector();
        Factory.Create("DynamicLbish").CreateCounter<int>("by_name").Add(1);
        other.GetRequiredService<IMeterFactory>().Create("DynamicLb.Test").CreateCounter<int>("by_host").Add(1);

        var text = Text(collector);

        Assert.DoesNotContain("by_name", text, StringComparison.Ordinal);
        Assert.DoesNotContain("by_host", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_instruments_of_one_name_feed_one_metric_and_a_third_of_another_kind_is_left_out()
    {
        using var collector = Collector();
        _meter.CreateCounter<int>("c").Add(1, Tag("from", "a"));
        var second = Factory.Create("DynamicLb.Second");
        second.CreateCounter<int>("c").Add(1, Tag("from", "b"));
        Factory.Create("DynamicLb.Third").CreateGauge<int>("c").Record(9);

        var text = Text(collector);

        Assert.Contains("# TYPE c counter\nc{from=\"a\"} 1\nc{from=\"b\"} 1\n", text, StringComparison.Ordinal);
        Assert.Equal(2, text.Split("# TYPE c ").Length);
    }

    [Fact]
    public void Recording_from_many_threads_while_reading_loses_nothing()
    {
        using var collector = Collector();
        var counter = _meter.CreateCounter<long>("c");
        var histogram = _meter.CreateHistogram<double>("h");
        Parallel.For(0, 8, worker =>
        {
            for (var i = 0; i < 5000; i++)
            {
                counter.Add(1, Tag("i", i % 10));
                histogram.Record(i % 3);
                if (worker == 0 && i % 500 == 0)
                {
                    _ = Text(collector);
                }
            }
        });

        var text = Text(collector);

        for (var i = 0; i < 10; i++)
        {
            Assert.Contains($"c{{i=\"{i}\"}} 4000\n", text, StringComparison.Ordinal);
        }

        Assert.Contains("h_count 40000\n", text, StringComparison.Ordinal);
        Assert.Contains("h_bucket{le=\"+Inf\"} 40000\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Recording_into_a_known_series_allocates_nothing()
    {
        using var collector = Collector();
        var counter = _meter.CreateCounter<long>("c");
        counter.Add(1, Tag("kind", "offer"), Tag("server", "a"));
        long allocated = Allocations.LeastOf(() =>
        {
            for (int i = 0; i < 1000; i++)
                counter.Add(1, Tag("kind", "offer"), Tag("server", "a"));
        });
        Assert.Equal(0, allocated);
    }

    private static KeyValuePair<string, object?> Tag(string key, object? value) => new(key, value);

    private PrometheusCollector Collector(int maxSeries = 1000)
    {
        var options = new PrometheusMetricsOptions { MaxSeriesPerMetric = maxSeries };
        options.Meters.Remove("System.Runtime");
        return new PrometheusCollector(Options.Create(options), Factory, NullLogger<PrometheusCollector>.Instance);
    }

    private static string Text(PrometheusCollector collector)
    {
        var buffer = new ArrayBufferWriter<byte>();
        collector.WriteTo(buffer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }
}
