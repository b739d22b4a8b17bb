using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Lab;
using DynamicLb.Tests.Cluster.Client;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>manifests/crds on a real API server. 1.20 knows no CEL rules: it drops them, and kubectl must be told not to mind (<c>--validate=false</c>).</summary>
public sealed class ConfigResourceTests(ClientCluster cluster) : IClassFixture<ClientCluster>, IAsyncLifetime
{
    private static readonly string _folder = Path.Combine(Repository.Root, "manifests", "crds");
    private static readonly string[] _names =
    [
        "addressservices.dynamiclb.io", "addressleases.dynamiclb.io", "bfdprofiles.metallb.io", "bgpadvertisements.metallb.io", "bgppeers.metallb.io",
        "communities.metallb.io", "configurationstates.metallb.io", "ipaddresspools.metallb.io", "l2advertisements.metallb.io",
        "servicebgpstatuses.metallb.io", "servicel2statuses.metallb.io",
    ];

    private Kubectl Kubectl => new(cluster.Plane.AdminKubeconfig);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await Kubectl.RunAsync(["apply", "--validate=false", "-f", _folder], cancellationToken: Token);
        await Kubectl.RunAsync(["wait", "--for=condition=Established", "--timeout=60s", .. _names.Select(static name => $"crd/{name}")], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(cluster.Plane, Token);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task All_definitions_are_structural_and_applying_them_again_changes_nothing()
    {
        // Where there are CEL rules, which the server does not keep, kubectl says "configured" and sends a patch that comes to nothing.
        await Kubectl.RunAsync(["apply", "--validate=false", "-f", _folder], cancellationToken: Token);
        foreach (string name in _names)
        {
            string conditions = await Kubectl.RunAsync(["get", "crd", name, "-o", "jsonpath=generation={.metadata.generation} {range .status.conditions[*]}{.type}={.status} {end}"], cancellationToken: Token);
            Assert.StartsWith("generation=1 ", conditions, StringComparison.Ordinal);
            Assert.Contains("Established=True", conditions, StringComparison.Ordinal);
            Assert.Contains("NamesAccepted=True", conditions, StringComparison.Ordinal);
            Assert.DoesNotContain("NonStructuralSchema=True", conditions, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Defaults_are_filled_in_and_unknown_fields_are_dropped()
    {
        string ns = await cluster.NamespaceAsync("defaults");
        await ApplyAsync(ns, """
            apiVersion: metallb.io/v1beta1
            kind: IPAddressPool
            metadata: {name: pool}
            spec: {addresses: [10.0.0.0/24], surprise: 1, serviceAllocation: {namespaceSelectors: [{matchLabels: {a: b}}]}}
            ---
            apiVersion: metallb.io/v1beta1
            kind: BGPAdvertisement
            metadata: {name: ad}
            spec: {}
            ---
            apiVersion: dynamiclb.io/v1beta1
            kind: AddressService
            metadata: {name: dhcp}
            spec: {url: "http://dhcp", tokenSecretRef: {name: token}, timeouts: {}}
            """);

        var pool = await cluster.Client.GetAsync(ConfigResourceTypes.IPAddressPools, ns, "pool", Token);
        Assert.True(pool.Spec.AutoAssign);
        Assert.False(pool.Spec.AvoidBuggyIPs);
        Assert.Equal("b", pool.Spec.ServiceAllocation!.NamespaceSelectors![0].MatchLabels!["a"]);
        Assert.DoesNotContain("surprise", await Kubectl.RunAsync(["-n", ns, "get", "ipaddresspool", "pool", "-o", "jsonpath={.spec}"], cancellationToken: Token), StringComparison.Ordinal);
        var ad = await cluster.Client.GetAsync(ConfigResourceTypes.BGPAdvertisements, ns, "ad", Token);
        Assert.Equal((32, 128), (ad.Spec.AggregationLength, ad.Spec.AggregationLengthV6));
        var service = await cluster.Client.GetAsync(ConfigResourceTypes.AddressServices, ns, "dhcp", Token);
        Assert.Equal(("token", "40s", true), (service.Spec.TokenSecretRef!.Key, service.Spec.Timeouts!.Request, service.Spec.AutoAssign));
    }

    [Theory]
    [InlineData("metallb.io/v1beta1", "IPAddressPool", "{}", "spec.addresses")]
    [InlineData("metallb.io/v1beta1", "IPAddressPool", "{addresses: 10.0.0.0/24}", "spec.addresses")]
    [InlineData("metallb.io/v1beta1", "L2Advertisement", "{preferredNodeSelectors: [{weight: 101, preference: {}}]}", "weight")]
    [InlineData("metallb.io/v1beta1", "L2Advertisement", "{preferredNodeSelectors: [{weight: 1}]}", "preference")]
    [InlineData("metallb.io/v1beta1", "BGPAdvertisement", "{aggregationLength: 0}", "aggregationLength")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{peerASN: 1}", "myASN")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{myASN: 4294967296}", "myASN")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{myASN: 1, dynamicASN: both}", "dynamicASN")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{myASN: 1, localASN: 0}", "localASN")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{myASN: 1, peerPort: 16385}", "peerPort")]
    [InlineData("metallb.io/v1beta1", "BGPPeer", "{myASN: 1, peerASN: 2}", "peerAddress")]
    [InlineData("metallb.io/v1beta1", "BFDProfile", "{receiveInterval: 9}", "receiveInterval")]
    [InlineData("metallb.io/v1beta1", "BFDProfile", "{transmitInterval: 60001}", "transmitInterval")]
    [InlineData("metallb.io/v1beta1", "BFDProfile", "{detectMultiplier: 1}", "detectMultiplier")]
    [InlineData("metallb.io/v1beta1", "BFDProfile", "{minimumTtl: 255}", "minimumTtl")]
    [InlineData("dynamiclb.io/v1beta1", "AddressService", "{}", "spec.url")]
    [InlineData("dynamiclb.io/v1beta1", "AddressService", "{url: 'http://a', tokenSecretRef: {}}", "tokenSecretRef.name")]
    public async Task The_schema_refuses(string version, string kind, string spec, string field)
    {
        var (code, _, error) = await Kubectl.TryAsync(
            ["apply", "--validate=false", "-f", "-"], $"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: bad, namespace: default}}\nspec: {spec}\n", Token);

        Assert.NotEqual(0, code);
        Assert.Contains(field, error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_of_the_older_version_is_read_in_the_newer_and_back()
    {
        string ns = await cluster.NamespaceAsync("conversion");
        await ApplyAsync(ns, """
            apiVersion: metallb.io/v1beta1
            kind: BGPPeer
            metadata: {name: router}
            spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.1, nodeSelectors: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}
            """);

        var peer = await cluster.Client.GetAsync(ConfigResourceTypes.BGPPeers, ns, "router", Token);
        Assert.Equal((64512, 64513, "10.0.0.1", 179), (peer.Spec.MyASN, peer.Spec.PeerASN, peer.Spec.PeerAddress, peer.Spec.PeerPort));
        Assert.Null(peer.Spec.HoldTime);
        Assert.True(peer.Spec.NodeSelectors![0].Matches(new Dictionary<string, string> { ["zone"] = "a" }));

        await Kubectl.RunAsync(["-n", ns, "patch", "bgppeers.v1beta2.metallb.io", "router", "--type=merge", "-p", """{"spec":{"vrf":"red","holdTime":"90s"}}"""], cancellationToken: Token);
        string old = await Kubectl.RunAsync(["-n", ns, "get", "bgppeers.v1beta1.metallb.io", "router", "-o", "jsonpath={.apiVersion} {.spec}"], cancellationToken: Token);
        Assert.StartsWith("metallb.io/v1beta1 ", old, StringComparison.Ordinal);
        Assert.Contains("90s", old, StringComparison.Ordinal);
        Assert.DoesNotContain("red", old, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ipaddresspools", "NAME AUTO ASSIGN AVOID BUGGY IPS ADDRESSES")]
    [InlineData("l2advertisements", "NAME IPADDRESSPOOLS IPADDRESSPOOL SELECTORS INTERFACES")]
    [InlineData("bgpadvertisements", "NAME IPADDRESSPOOLS IPADDRESSPOOL SELECTORS PEERS")]
    [InlineData("bgppeers", "NAME ADDRESS ASN BFD PROFILE MULTI HOPS")]
    [InlineData("bfdprofiles", "NAME PASSIVE MODE TRANSMIT INTERVAL RECEIVE INTERVAL MULTIPLIER")]
    [InlineData("servicel2statuses", "NAME ALLOCATED NODE SERVICE NAME SERVICE NAMESPACE")]
    [InlineData("servicebgpstatuses", "NAME NODE SERVICE NAME SERVICE NAMESPACE")]
    [InlineData("configurationstates", "NAME RESULT ERRORSUMMARY AGE")]
    [InlineData("addressservices", "NAME URL AUTO ASSIGN REACHABLE LEASED")]
    public async Task The_columns_are(string plural, string columns)
    {
        string ns = $"columns-{plural}";
        await cluster.NamespaceAsync(ns);
        string group = plural == "addressservices" ? "dynamiclb.io/v1beta1" : plural == "bgppeers" ? "metallb.io/v1beta2" : "metallb.io/v1beta1";
        string kind = await Kubectl.RunAsync(["get", "crd", _names.First(name => name.StartsWith(plural + ".", StringComparison.Ordinal)), "-o", "jsonpath={.spec.names.kind}"], cancellationToken: Token);
        await ApplyAsync(ns, $"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: one}}\nspec: {{addresses: [10.0.0.0/24], url: 'http://a', myASN: 1}}\n");

        string table = await Kubectl.RunAsync(["-n", ns, "get", plural], cancellationToken: Token);

        Assert.Equal(columns, string.Join(' ', table.Split('\n')[0].Split(' ', StringSplitOptions.RemoveEmptyEntries)));
    }

    [Fact]
    public async Task The_status_is_a_subresource()
    {
        string ns = await cluster.NamespaceAsync("status");
        await ApplyAsync(ns, "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: pool}\nspec: {addresses: [10.0.0.0/24]}\n");
        await cluster.Client.PatchAsync(
            ConfigResourceTypes.IPAddressPools, ns, "pool", PatchType.Merge,
            """{"status":{"assignedIPv4":1,"assignedIPv6":0,"availableIPv4":255,"availableIPv6":0},"spec":{"autoAssign":false}}"""u8.ToArray(), "status", Token);

        var pool = await cluster.Client.GetAsync(ConfigResourceTypes.IPAddressPools, ns, "pool", Token);
        Assert.Equal(new IPAddressPoolStatus { AssignedIPv4 = 1, AvailableIPv4 = 255 }, pool.Status);
        Assert.True(pool.Spec.AutoAssign);
    }

    private Task<string> ApplyAsync(string ns, string yaml) => Kubectl.RunAsync(["-n", ns, "apply", "--validate=false", "-f", "-"], yaml, Token);
}
