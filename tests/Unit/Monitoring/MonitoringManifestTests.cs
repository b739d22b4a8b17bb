using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Text.RegularExpressions;
using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Replicas;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Metrics;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Status;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Bfd;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Status;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.Monitoring;

/// <summary>The manifests for Prometheus and Grafana speak of what the programs really expose.</summary>
public sealed partial class MonitoringManifestTests
{
    [Fact]
    [Trait("Fault", "C26")]
    public void Every_metric_of_the_alert_rules_exists()
    {
        var exposed = Exposed();
        var rules = Rules();
        Assert.NotEmpty(rules);
        Assert.All(rules, rule => Assert.All(Names(rule.Expression), name => Assert.Contains(name, exposed)));
        Assert.All(rules, rule => Assert.NotEmpty(Names(rule.Expression)));
    }

    [Fact]
    public void Every_metric_of_the_dashboard_exists_and_every_panel_shows_one()
    {
        var exposed = Exposed();
        using var dashboard = JsonDocument.Parse(RepositoryFiles.Read("manifests/monitoring/grafana-dashboard.json"));
        var expressions = dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(panel => panel.GetProperty("targets").EnumerateArray()).Select(target => target.GetProperty("expr").GetString()!).ToList();
        Assert.NotEmpty(expressions);
        Assert.All(expressions, expression => Assert.NotEmpty(Names(expression)));
        Assert.All(expressions.SelectMany(Names), name => Assert.Contains(name, exposed));
    }

    [Fact]
    public void Every_metric_of_the_programs_is_on_the_dashboard()
    {
        string dashboard = RepositoryFiles.Read("manifests/monitoring/grafana-dashboard.json") + RepositoryFiles.Read("manifests/monitoring/rules.yaml");
        var families = Exposed().Select(name => HistogramPart().Replace(name, "")).Distinct(StringComparer.Ordinal);
        Assert.All(families, family => Assert.Contains(family, dashboard, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_metric_of_the_programs_is_documented()
    {
        string documentation = RepositoryFiles.Read("docs/operations.md").Replace("`…_", "`dynamiclb_address_service_", StringComparison.Ordinal)
            .Replace("`dynamiclb_address_service_received_total`", "`dynamiclb_address_service_dhcp_received_total`", StringComparison.Ordinal);
        var families = Exposed().Select(static name => HistogramPart().Replace(name, "")).Distinct(StringComparer.Ordinal).ToList();
        Assert.True(families.Count >= 70, string.Join(' ', families));
        Assert.All(families, family => Assert.Contains($"`{family}`", documentation, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_alert_is_documented_and_says_what_to_do()
    {
        string documentation = RepositoryFiles.Read("docs/operations.md");
        Assert.All(Rules(), rule =>
        {
            Assert.Contains($"| `{rule.Alert}` |", documentation, StringComparison.Ordinal);
            Assert.False(string.IsNullOrWhiteSpace(rule.Description));
        });
    }

    private static List<(string Alert, string Expression, string Description)> Rules()
    {
        var groups = (YamlSequenceNode)RepositoryFiles.Objects("manifests/monitoring/rules.yaml").Single()["spec"]["groups"];
        return [.. groups.SelectMany(group => (YamlSequenceNode)group["rules"])
            .Select(rule => (((YamlScalarNode)rule["alert"]).Value!, ((YamlScalarNode)rule["expr"]).Value!, ((YamlScalarNode)rule["annotations"]["description"]).Value!))];
    }

    private static IEnumerable<string> Names(string expression) => MetricName().Matches(expression).Select(match => match.Value);

    /// <summary>The names of what the three programs expose, as they define it.</summary>
    private static HashSet<string> Exposed()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var factory = services.GetRequiredService<IMeterFactory>();
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (instrument.Meter.Scope != factory)
                return;
            bool isHistogram = instrument.GetType().Name.StartsWith("Histogram", StringComparison.Ordinal);
            bool isCounter = instrument.GetType().Name.Contains("Counter", StringComparison.Ordinal);
            string name = PrometheusNames.Metric(instrument.Name, instrument.Unit, isCounter ? MetricKind.Counter : MetricKind.Gauge);
            names.UnionWith(isHistogram ? [name + "_bucket", name + "_sum", name + "_count"] : [name]);
        };
        listener.Start();
        _ = new LeaseMetrics(factory);
        _ = new Leadership(new AddressServiceOptions(), [], null!, factory, NullLogger<Leadership>.Instance);
        _ = new ControllerMetrics(factory, null!, null!);
        _ = new AddressServiceMetrics(factory);
        var options = new SpeakerOptions(null!, "node1", MetricName(), false, TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100));
        var metrics = new SpeakerMetrics(factory, options, new ConfigFileWatcher("none", TimeProvider.System, NullLogger<ConfigFileWatcher>.Instance));
        metrics.Observe(static () => 0, static () => false, static () => 0, static () => 0);
        var peers = new BgpPeers(options, [], TimeProvider.System, Random.Shared, NullLogger<BgpPeers>.Instance);
        _ = new BgpReports(options, null!, metrics, factory, peers, NullLogger<BgpReports>.Instance);
        _ = new BfdMetrics(factory, new BfdSessions(TimeProvider.System, NullLogger<BfdSessions>.Instance));
        return names;
    }

    [GeneratedRegex("(?:dynamiclb|metallb)_[a-z0-9_]+")]
    private static partial Regex MetricName();

    [GeneratedRegex("_(?:bucket|sum|count)$")]
    private static partial Regex HistogramPart();
}
