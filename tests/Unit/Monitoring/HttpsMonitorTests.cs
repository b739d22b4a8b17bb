using DynamicLb.Tests.Unit.Support;
using YamlDotNet.RepresentationModel;

namespace DynamicLb.Tests.Unit.Monitoring;

/// <summary>What Prometheus is told to scrape is there to be scraped.</summary>
public sealed class HttpsMonitorTests
{
    [Fact]
    public void Https_monitors_lead_to_the_port_that_the_documentation_has_the_programs_listen_on()
    {
        var objects = RepositoryFiles.Objects("manifests/monitoring/https-monitors.yaml");
        var monitor = objects.Single(static item => Text(item, "kind") == "ServiceMonitor");
        var services = objects.Where(static item => Text(item, "kind") == "Service").ToList();
        var endpoint = (YamlMappingNode)((YamlSequenceNode)monitor["spec"]["endpoints"]).Single();

        Assert.Equal("https", Text(endpoint, "scheme"));
        Assert.Equal("/var/run/secrets/kubernetes.io/serviceaccount/token", Text(endpoint, "bearerTokenFile"));
        Assert.Equal("true", Text(endpoint["tlsConfig"], "insecureSkipVerify"));
        Assert.Equal(["controller", "speaker"], services.Select(static service => Text(service["spec"]["selector"], "app.kubernetes.io/component")));
        string documentation = RepositoryFiles.Read("docs/operations.md");
        Assert.All(services, service =>
        {
            Assert.True(Covers(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]), "the monitor does not select the Service");
            var port = ((YamlSequenceNode)service["spec"]["ports"]).Single();
            Assert.Equal(Text(endpoint, "port"), Text(port, "name"));
            Assert.Contains($"DYNAMICLB_METRICS_LISTEN=https://*:{Text(port, "targetPort")}", documentation, StringComparison.Ordinal);
            Assert.Contains(Workloads(), workload => Covers(service["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]));
        });
    }

    [Theory]
    [InlineData("manifests/monitoring/monitors.yaml")]
    [InlineData("manifests/monitoring/https-monitors.yaml")]
    public void Pod_monitors_lead_to_ports_of_the_Pods(string file)
    {
        var monitors = RepositoryFiles.Objects(file).Where(static item => Text(item, "kind") == "PodMonitor").ToList();
        Assert.NotEmpty(monitors);
        Assert.All(monitors, monitor =>
        {
            var selected = Workloads().Where(workload => Covers(monitor["spec"]["selector"]["matchLabels"], workload["spec"]["template"]["metadata"]["labels"])).ToList();
            Assert.NotEmpty(selected);
            string[] ports = [.. ((YamlSequenceNode)monitor["spec"]["podMetricsEndpoints"]).Select(static endpoint => Text(endpoint, "port"))];
            Assert.All(ports, port => Assert.Contains(selected, workload => PortsOf(workload).Contains(port)));
        });
    }

    [Fact]
    public void Webhooks_are_served_where_their_configuration_is_applied()
    {
        var map = RepositoryFiles.Objects("manifests/webhooks.yaml").Single(static item => Text(item, "kind") == "ConfigMap");
        var controller = Workloads().Single(static workload => Text(workload["metadata"], "name") == "controller");
        var variable = ((YamlSequenceNode)((YamlSequenceNode)controller["spec"]["template"]["spec"]["containers"])[0]["env"])
            .Single(static variable => Text(variable, "name") == "DYNAMICLB_WEBHOOK_MODE")["valueFrom"]["configMapKeyRef"];

        Assert.Equal(Text(map["metadata"], "name"), Text(variable, "name"));
        Assert.Equal("enabled", Text(map["data"], Text(variable, "key")));
        Assert.Equal("true", Text(variable, "optional"));
    }

    private static List<YamlMappingNode> Workloads() => [.. RepositoryFiles.Objects("manifests/dynamiclb.yaml").Where(static item => Text(item, "kind") is "Deployment" or "DaemonSet")];

    private static List<string> PortsOf(YamlMappingNode workload) =>
        [.. ((YamlSequenceNode)workload["spec"]["template"]["spec"]["containers"]).OfType<YamlMappingNode>()
            .Where(static container => container.Children.ContainsKey("ports")).SelectMany(static container => (YamlSequenceNode)container["ports"]).Select(static port => Text(port, "name"))];

    private static bool Covers(YamlNode selector, YamlNode labels) =>
        ((YamlMappingNode)selector).All(wanted => ((YamlMappingNode)labels).Children.TryGetValue(wanted.Key, out var value) && ((YamlScalarNode)value).Value == ((YamlScalarNode)wanted.Value).Value);

    private static string Text(YamlNode node, string key) => ((YamlScalarNode)node[key]).Value!;
}
