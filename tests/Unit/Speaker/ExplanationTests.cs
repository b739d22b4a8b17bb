using DynamicLb.Cli.Explain;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Why a Service is announced, or not, as users are told.</summary>
public sealed class ExplanationTests
{
    private const string Config = "address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24]}\n";
    private static readonly NamespacedName Web = new("demo", "web");
    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private readonly SpeakerParts _parts = new();

    [Fact]
    public void Every_node_is_told_why_it_lost()
    {
        _parts.Configure(Config);
        // 10.0.0.1: b, a, c.
        _parts.Membership.Set("node-a", "node-b", "node-c", "node-d", "node-e");
        foreach (string name in (string[])["node-a", "node-b", "node-c", "node-x"])
            _parts.Nodes.Set(new Node { Metadata = new ObjectMeta { Name = name } });
        _parts.Nodes.Set(new Node
        {
            Metadata = new ObjectMeta { Name = "node-d", Labels = new Dictionary<string, string> { [NodeLabels.ExcludeFromExternalLoadBalancers] = "" } },
        });
        _parts.Nodes.Set(new Node
        {
            Metadata = new ObjectMeta { Name = "node-e" },
            Status = new NodeStatus { Conditions = [new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] },
        });
        _parts.Links.Set(
            new InterfaceState(new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02")), true, true, true, false) { HasCarrier = true },
            new InterfaceState(new LinkInfo(3, "eth1", MacAddress.Parse("02:00:00:00:00:03")), true, true, true, true) { HasCarrier = true },
            new InterfaceState(new LinkInfo(4, "veth9", MacAddress.Parse("02:00:00:00:00:04")), true, true, true, false));
        Add();
        _parts.Reconciler.Work();
        _parts.Table.Snapshot[Ip].Traffic.Asked(_parts.Time.GetUtcNow(), MacAddress.Parse("02:00:00:00:00:99"));

        var explanation = Explain()!;

        Assert.Equal(("announced from this node, node-b", "None", "node-b"), (explanation.Verdict, explanation.Reason, explanation.Owner));
        Assert.Equal(
            [
                "node-b: elected", "node-a: number 2 in the order of this address", "node-c: number 3 in the order of this address",
                "node-e: its condition NetworkUnavailable is true", "node-d: labelled exclude-from-external-load-balancers",
                "node-x: its speaker is not alive, as far as this one can tell",
            ],
            explanation.Nodes.Select(static node => $"{node.Node}: {node.Why}"));
        Assert.Equal(
            ["eth0: announced on", "eth1: part of a bridge, bond or VRF, whose own interface is used", "veth9: excluded by --exclude-interfaces"],
            explanation.Interfaces.Select(static link => $"{link.Name}: {link.Why}"));
        Assert.Equal("02:00:00:00:00:99", Assert.Single(explanation.Addresses).LastAsker);

        string report = ExplainReport.Write(explanation);
        Assert.Contains("demo/web: announced from this node, node-b", report, StringComparison.Ordinal);
        Assert.Contains("  * node-b  elected", report, StringComparison.Ordinal);
        Assert.Contains("  10.0.0.1: last asked 2026-01-01 12:00:00Z by 02:00:00:00:00:99, last answered never", report, StringComparison.Ordinal);
        Assert.Contains("  + 10.244.0.5  node-a", report, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("https://*:9120")]
    public void It_is_served_beside_health_wherever_the_metrics_are(string? metrics)
    {
        var ports = ExplainEndpoint.AddTo(_parts.Options.Common with { MetricsListen = metrics });

        Assert.Equal(["/healthz", "/v1/explain"], ports.Where(static port => port.Paths.Contains("/v1/explain")).SelectMany(static port => port.Paths).Intersect(["/healthz", "/v1/explain"]));
        Assert.Single(ports, static port => port.Paths.Contains("/v1/explain"));
    }

    [Fact]
    public void Why_nobody_announces_is_told()
    {
        Assert.Null(Explain());
        Add();
        Assert.Equal("no configuration has been read yet", Explain()!.Verdict);

        _parts.Configure(Config);
        _parts.Slices.Remove(Slice());
        _parts.Reconciler.Work();
        Assert.Equal("has no endpoint that takes traffic", Explain()!.Verdict);

        _parts.Slices.Set(Slice());
        _parts.Membership.Set("node-a");
        _parts.Reconciler.Work();
        Assert.Equal("announced from node node-a; ask its speaker for what neighbours asked", Explain()!.Verdict);
    }

    [Fact]
    public void Who_announces_stays_where_owners_are_sticky_as_long_as_it_can()
    {
        var parts = new SpeakerParts(sticky: true);
        parts.Configure(Config);
        parts.Reconciler.AnnouncersOf = static _ => ["node-a"];
        parts.Slices.Set(Slice());
        parts.Services.Set(Service());
        // 10.0.0.1 is node-b's by election; node-a announces it, and goes on until it is gone.
        parts.Membership.Set("node-a", "node-b");
        parts.Reconciler.Work();
        Assert.Empty(parts.Table.Snapshot);
        Assert.Equal("node-a", parts.Reconciler.DecisionOf(Web)!.Owner);

        parts.Membership.Set("node-b");
        parts.Reconciler.Work();
        Assert.Single(parts.Table.Snapshot);
    }

    private static Service Service() => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "lab" } },
        Spec = new ServiceSpec { Type = "LoadBalancer" },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1" }] } },
    };

    private static EndpointSlice Slice() => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web-1", Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = "web" } },
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = "node-a" }],
    };

    private void Add()
    {
        _parts.Slices.Set(Slice());
        _parts.Services.Set(Service());
    }

    private ServiceExplanation? Explain() =>
        new ServiceExplainer(_parts.Options, _parts.Reconciler, _parts.Table, _parts.Links, new BgpExplainer(_parts.Options, new FakeBgpPeers(), static () => [])).Explain(Web);
}
