using DynamicLb.Cli.Explain;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Explanations;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>What users are told of a Service that is announced by BGP.</summary>
public sealed class BgpExplanationTests
{
    private const string Pool = """
        address-pools:
        - name: routed
          protocol: bgp
          addresses: [203.0.113.0/24]
          bgp-advertisements:
          - {localpref: 150, communities: ["64513:7", "large:1:2:3"]}
        """;

    private const string Config = """
        peers:
        - {peer-address: 10.0.0.1, peer-asn: 64513, my-asn: 64513}
        - {peer-address: 10.0.0.2, peer-asn: 64512, my-asn: 64513}
        - {peer-address: 10.0.0.3, peer-asn: 64512, my-asn: 64513, node-selectors: [{match-labels: {rack: b}}]}

        """ + Pool;

    private readonly SpeakerParts _parts = new();
    private readonly FakeBgpPeers _peers = new();

    public BgpExplanationTests()
    {
        _parts.Membership.Set("node-a", "node-b", "node-c", "node-d");
        _parts.Nodes.Set(Node("node-a", NodeLabels.ExcludeFromExternalLoadBalancers));
        _parts.Nodes.Set(Node("node-b"));
        _parts.Nodes.Set(Node("node-c") with { Status = new NodeStatus { Conditions = [new NodeCondition { Type = "NetworkUnavailable", Status = "True" }] } });
        _parts.Nodes.Set(Node("node-d"));
        _parts.Nodes.Set(Node("node-x"));
        _parts.Slices.Set(Slice("node-b"));
        _parts.Services.Set(Service("Cluster"));
        _parts.Configure(Config);
    }

    [Fact]
    public void Peers_are_told_with_routes_state_and_last_error_and_nodes_with_what_keeps_them()
    {
        _peers.Add("peer1", new BgpSessionStatus(BgpState.Established, "", 1, 0, 0) { Session = Session(64513), Since = DateTimeOffset.UnixEpoch, Local = "10.0.0.9:4000" });
        _peers.Add("peer2", new BgpSessionStatus(BgpState.Active, "OPEN message error: bad peer AS", 0, 1, 0));

        var explanation = Explain();
        var bgp = explanation.Bgp!;

        Assert.Equal(("announced by BGP from this node, node-b, to 1 of 2 peers", true), (explanation.Verdict, explanation.IsAnnounced));
        Assert.Equal(
            """
            node-a: False, labelled exclude-from-external-load-balancers
            node-b: True, announces to peer1, peer2
            node-c: False, its condition NetworkUnavailable is true
            node-d: True, announces to peer1, peer2
            node-x: False, its speaker is not alive, as far as this one can tell
            """,
            string.Join('\n', bgp.Nodes.Select(static node => $"{node.Node}: {node.IsAnnouncer}, {node.Why}")));
        var route = Assert.Single(bgp.Peers[0].Routes);
        Assert.Equal(("203.0.113.5/32", true, 150u), (route.Prefix, route.IsTold, route.LocalPref));
        Assert.Equal(["64513:7", "large:1:2:3"], route.Communities);
        Assert.Equal("OPEN message error: bad peer AS", bgp.Peers[1].Session!.LastError);

        string report = ExplainReport.Write(explanation);
        Assert.DoesNotContain("Election", report, StringComparison.Ordinal);
        Assert.Contains(
            """
            BGP peers of node-b
              + peer1  10.0.0.1:179  Established since 1970-01-01 00:00:00Z from 10.0.0.9:4000
                  told
                  + 203.0.113.5/32, localPref 150, communities 64513:7 large:1:2:3
              - peer2  10.0.0.2:179  Active
                  last error: OPEN message error: bad peer AS
                  to be told when there is a session
                  - 203.0.113.5/32, localPref 150, communities 64513:7 large:1:2:3
              - peer3  its nodeSelectors do not select this node
            """,
            report, StringComparison.Ordinal);
        var json = System.Text.Json.JsonSerializer.Serialize(explanation, ExplanationJsonContext.Default.ServiceExplanation);
        Assert.Equal(json, System.Text.Json.JsonSerializer.Serialize(System.Text.Json.JsonSerializer.Deserialize(json, ExplanationJsonContext.Default.ServiceExplanation)!, ExplanationJsonContext.Default.ServiceExplanation));
    }

    [Fact]
    public void Routers_of_another_AS_are_told_no_preference_and_what_is_on_its_way_or_not_carried_is_said_so()
    {
        _peers.Add("peer1", new BgpSessionStatus(BgpState.Established, "", 1, 1, 0) { Session = Session(64513) });
        _peers.Add("peer2", new BgpSessionStatus(BgpState.Established, "", 0, 0, 1) { Session = Session(64512, BgpFamily.IPv6) });
        var bgp = Explain().Bgp!;
        Assert.Equal("this node, node-b, is to announce it by BGP, and has told no peer yet", bgp.Verdict);
        Assert.Equal("to be told: other changes are on their way", bgp.Peers[0].Why);
        Assert.Equal(("not told: the session does not carry its family", (uint?)null), (bgp.Peers[1].Why, Assert.Single(bgp.Peers[1].Routes).LocalPref));
    }

    [Fact]
    public void With_policy_Local_the_node_without_an_endpoint_names_those_that_have_one()
    {
        _parts.Slices.Remove(Slice("node-b"));
        _parts.Slices.Set(Slice("node-d"));
        _parts.Services.Set(Service("Local"));
        _peers.Add("peer1", new BgpSessionStatus(BgpState.Established, "", 0, 0, 0) { Session = Session(64513) });
        var explanation = Explain();
        Assert.Equal(
            "to be announced by BGP from node-d: ask their speakers for their sessions; not from this node, node-b: hosts no usable endpoint, and externalTrafficPolicy is Local",
            explanation.Verdict);
        Assert.Equal(("NoLocalEndpoints", true), (explanation.Bgp!.Reason, explanation.IsAnnounced));
        Assert.Equal("not told: this node does not announce the Service", explanation.Bgp.Peers[0].Why);
    }

    [Fact]
    public void Why_no_node_can_announce_is_told()
    {
        _parts.Configure("peers:\n- {peer-address: 10.0.0.3, peer-asn: 64512, my-asn: 64513, node-selectors: [{match-labels: {rack: b}}]}\n" + Pool);
        var explanation = Explain();
        Assert.Equal(("no node can announce it by BGP: see the nodes", false), (explanation.Verdict, explanation.IsAnnounced));
        Assert.Contains(explanation.Bgp!.Nodes, static node => node is { Node: "node-b", Why: "no BGPPeer selects it" });

        _parts.Configure(Pool);
        Assert.Contains(Explain().Bgp!.Nodes, static node => node is { Node: "node-b", IsAnnouncer: false, Why: "there is no BGPPeer" });

        _parts.Slices.Remove(Slice("node-b"));
        Assert.Equal("not announced by BGP: the Service has no endpoint that takes traffic", Explain().Verdict);

        _parts.Configure(Config.Replace("bgp\n", "layer2\n", StringComparison.Ordinal).Replace("bgp-advertisements:\n  - {localpref: 150, communities: [\"64513:7\", \"large:1:2:3\"]}", "", StringComparison.Ordinal));
        Assert.Null(Explain().Bgp);
    }

    [Fact]
    public void Sessions_that_FRR_has_are_left_to_it()
    {
        _peers.IsFrr = true;
        var bgp = Explain().Bgp!;
        Assert.Equal(["left to FRR, which has the session: ask it", "left to FRR, which has the session: ask it", "its nodeSelectors do not select this node"], bgp.Peers.Select(static peer => peer.Why));
        Assert.True(bgp.Peers[0].IsTold);
    }

    private static BgpEstablished Session(uint asn, BgpFamily family = BgpFamily.IPv4) =>
        new(1, new BgpOpen(64513, 90, 1) { Families = [family], FourOctetAs = true }, new BgpOpen(asn, 90, 2) { Families = [family], FourOctetAs = true });

    private static Node Node(string name, string? label = null) => new()
    {
        Metadata = new ObjectMeta { Name = name, Labels = label is null ? null : new Dictionary<string, string> { [label] = "" } },
    };

    private static Service Service(string policy) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web", Annotations = new Dictionary<string, string> { [Annotations.AllocatedFromPool] = "routed" } },
        Spec = new ServiceSpec { Type = "LoadBalancer", ExternalTrafficPolicy = policy },
        Status = new ServiceStatus { LoadBalancer = new LoadBalancerStatus { Ingress = [new LoadBalancerIngress { Ip = "203.0.113.5" }] } },
    };

    private static EndpointSlice Slice(string node) => new()
    {
        Metadata = new ObjectMeta { Namespace = "demo", Name = "web-1", Labels = new Dictionary<string, string> { [EndpointSlice.ServiceNameLabel] = "web" } },
        Endpoints = [new Endpoint { Addresses = ["10.244.0.5"], NodeName = node }],
    };

    private ServiceExplanation Explain() =>
        new ServiceExplainer(_parts.Options, _parts.Reconciler, _parts.Context, _parts.Links, new BgpExplainer(_parts.Options, _peers, static () => [])).Explain(new NamespacedName("demo", "web"))!;
}

/// <summary>Sessions as a test says.</summary>
internal sealed class FakeBgpPeers : IBgpPeers
{
    private static readonly Dictionary<BgpPrefix, BgpRouteAttributes> Table = new()
    {
        [BgpPrefix.Parse("203.0.113.5/32")] = new BgpRouteAttributes(150, [(64513u << 16) | 7], [new BgpLargeCommunity(1, 2, 3)]),
    };

    private readonly List<BgpPeerView> _views = [];

    public bool IsFrr { get; set; }

    public IEnumerable<string> Names => _views.Select(static view => view.Name);

    public IReadOnlyList<BgpPeerView>? Sessions => IsFrr ? null : _views;

    public void Add(string name, BgpSessionStatus status) => _views.Add(new BgpPeerView(name, $"10.0.0.{name[^1]}:179", "default", status, null));

    public IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>? TableOf(string peer) => Table;

    public bool Configure(
        LoadBalancerConfig config, IReadOnlyDictionary<string, string>? labels, Func<BgpPeer, (BgpPassword Password, string? Fault)> password,
        Func<IEnumerable<string>, IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>> routes) => false;

    public void Publish(IReadOnlyDictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> tables)
    {
    }

    public Task StopAsync() => Task.CompletedTask;
}
