using DynamicLb.Cli.Explain;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Status;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Endpoint = DynamicLb.Kubernetes.Resources.Endpoint;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>Why a Service is announced, or not, as users are told.</summary>
public sealed class ExplanationTests
{
    private const string Config = "address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24]}\n";
    private static readonly NamespacedName Web = new("demo", "web");
    private static readonly HostAddress Ip = HostAddress.Parse("10.0.0.1");
    private static readonly MacAddress Stranger = MacAddress.Parse("02:00:00:00:00:66");
    private static readonly InterfaceState s_link = new(new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02")), true, true, true, false) { HasCarrier = true };
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
        // Whether it probes, refuses or has no MAC is for node-a to say.
        Assert.Equal(("to be announced by node node-a, which has not said that it does: ask its speaker", false), (Explain()!.Verdict, Explain()!.IsAnnounced));
        _parts.Reconciler.AnnouncersOf = static _ => ["node-c"];
        Assert.False(Explain()!.IsAnnounced);
        _parts.Reconciler.AnnouncersOf = static _ => ["node-a"];
        Assert.Equal(("announced from node node-a; ask its speaker for what neighbours asked", true), (Explain()!.Verdict, Explain()!.IsAnnounced));
    }

    [Theory]
    [InlineData("pause", "this node stood still, and waits until the others know of it again")]
    [InlineData("unplug", "no interface that takes part has a carrier")]
    [InlineData("remove", "no interface takes part")]
    [InlineData("lease", "the MAC of its lease, 02:00:00:00:00:11, is not in place yet")]
    [InlineData("elsewhere", "no interface takes part")]
    [InlineData("end", "its lease has ended")]
    [InlineData("nothing", "not taken up yet")]
    public void A_node_that_answers_for_nothing_does_not_say_that_it_announces(string trouble, string why)
    {
        Announce();
        Assert.True(Explain()!.IsAnnounced);
        switch (trouble)
        {
            case "pause":
                _parts.Guard.Pause();
                break;
            case "unplug":
                _parts.Links.Set(s_link with { HasCarrier = false });
                break;
            case "remove":
                _parts.Links.Set(s_link with { IsUp = false });
                break;
            case "lease":
                _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null }, null, new Dictionary<HostAddress, MacAddress> { [Ip] = MacAddress.Parse("02:00:00:00:00:11") });
                break;
            case "elsewhere":
                _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = null }, new Dictionary<HostAddress, IReadOnlySet<string>> { [Ip] = new HashSet<string> { "eth9" } });
                break;
            case "end":
                _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?> { [Ip] = _parts.Time.GetUtcNow() });
                break;
            default:
                _parts.Table.Replace(new Dictionary<HostAddress, DateTimeOffset?>());
                break;
        }

        var explanation = Explain()!;
        Assert.Equal($"this node, node-b, is to announce it, and does not: 10.0.0.1: {why}", explanation.Verdict);
        Assert.False(explanation.IsAnnounced);
        Assert.Contains($"  10.0.0.1: not answered here: {why}", ExplainReport.Write(explanation), StringComparison.Ordinal);
    }

    [Fact]
    public void An_address_that_is_not_answered_beside_one_that_is_is_named()
    {
        var parts = new SpeakerParts(ConflictPolicy.Refuse);
        parts.Configure("address-pools:\n- {name: lab, protocol: layer2, addresses: [10.0.0.0/24, fd00::/64]}\n");
        parts.Links.Set(s_link);
        parts.Reconciler.Work();
        parts.Slices.Set(Slice());
        parts.Services.Set(Service() with
        {
            Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "10.0.0.1" }, new LoadBalancerIngress { Ip = "fd00::1" }] } },
        });
        parts.Reconciler.Work();
        parts.Announcer.Probed!(Ip, null);
        parts.Announcer.Probed!(HostAddress.Parse("fd00::1"), Stranger);
        parts.Reconciler.Work();

        var explanation = Explain(parts)!;
        Assert.Equal("announced from this node, node-b, but for fd00::1: 02:00:00:00:00:66 has it", explanation.Verdict);
        Assert.Equal([true, false], explanation.Addresses.Select(static address => address.IsAnswered));
        Assert.True(explanation.IsAnnounced);
    }

    [Fact]
    public void An_address_that_is_left_to_another_machine_is_not_announced()
    {
        Announce();
        _parts.Membership.MustYield = true;
        _parts.Claim(Ip, Stranger);
        _parts.Reconciler.Work();

        Assert.Contains("10.0.0.1 is left to 02:00:00:00:00:66", Explain()!.Verdict, StringComparison.Ordinal);
        Assert.False(Explain()!.IsAnnounced);
    }

    [Theory]
    [InlineData(null, "  lease: none, the address does not end\n")]
    [InlineData("2026-01-02T03:04:05Z", "  lease: until 2026-01-02 03:04:05Z\n")]
    [InlineData("in a while", "  lease: its end cannot be read, so that nothing is announced: 'in a while'\n")]
    public void The_end_of_the_lease_is_told(string? end, string line)
    {
        Announce();
        if (end is not null)
            _parts.Services.Set(Service(new() { [Annotations.ValidUntil] = end }));
        _parts.Reconciler.Work();

        Assert.Contains(line, ExplainReport.Write(Explain()!), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_an_address_there_is_no_lease_to_tell_of()
    {
        Announce();
        _parts.Services.Set(Service() with { Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus() } });
        _parts.Reconciler.Work();

        string report = ExplainReport.Write(Explain()!);
        Assert.Contains("  no address\n", report, StringComparison.Ordinal);
        Assert.DoesNotContain("lease:", report, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_user_wrote_into_an_annotation_is_no_command_for_a_terminal()
    {
        Announce();
        _parts.Services.Set(Service(new() { [Annotations.AllocatedFromPool] = "\u001b]0;owned\u0007\r\n  lease: forged\u202e" + new string('x', 1000) }));

        string report = ExplainReport.Write(Explain()!);
        Assert.DoesNotContain(report, static c => c != '\n' && char.IsControl(c));
        Assert.DoesNotContain("\u202e", report, StringComparison.Ordinal);
        Assert.DoesNotContain("\n  lease: forged", report, StringComparison.Ordinal);
        Assert.All(report.Split('\n'), static line => Assert.InRange(line.Length, 0, 300));
    }

    [Theory]
    [InlineData(false, StatusCodes.Status503ServiceUnavailable)]
    [InlineData(true, StatusCodes.Status404NotFound)]
    public async Task What_is_not_known_yet_is_not_called_absent(bool isKnown, int code)
    {
        _parts.Slices.HasSynced = isKnown;
        await using var services = new ServiceCollection().AddSingleton<IInformer<Service>>(_parts.Services).AddSingleton<IInformer<Node>>(_parts.Nodes)
            .AddSingleton<IInformer<EndpointSlice>>(_parts.Slices).AddSingleton(Explainer(_parts)).BuildServiceProvider();
        using var body = new MemoryStream();
        var context = new DefaultHttpContext { RequestServices = services };
        context.Response.Body = body;
        (context.Request.RouteValues["space"], context.Request.RouteValues["name"]) = ("demo", "web");

        await ExplainEndpoint.AnswerAsync(context);

        Assert.Equal(code, context.Response.StatusCode);
        Assert.Equal(isKnown ? "" : "waiting for the API server", System.Text.Encoding.UTF8.GetString(body.ToArray()));
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

    private static Service Service(Dictionary<string, string>? annotations = null) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = annotations ?? new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "lab" } },
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

    /// <summary>A Service that this node announces, and answers for.</summary>
    private void Announce()
    {
        _parts.Configure(Config);
        _parts.Links.Set(s_link);
        Add();
        _parts.Reconciler.Work();
    }

    private ServiceExplanation? Explain() => Explain(_parts);

    private static ServiceExplanation? Explain(SpeakerParts parts) => Explainer(parts).Explain(Web);

    private static ServiceExplainer Explainer(SpeakerParts parts) =>
        new(parts.Options, parts.Reconciler, parts.Context, parts.Links, new BgpExplainer(parts.Options, new FakeBgpPeers(), static () => []));
}
