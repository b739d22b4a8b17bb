using System.Text;

namespace DynamicLb.Tests.Cluster.Admission;

/// <summary>What the webhooks refuse and let pass, asked by the real API server.</summary>
public sealed class WebhookTests(WebhookCluster cluster) : IClassFixture<WebhookCluster>, IAsyncLifetime
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await cluster.ClearAsync();

    [Fact]
    public async Task Pools_that_overlap_are_refused_when_made_and_when_changed()
    {
        await cluster.ApplyAsync(Pool("first", "10.1.0.0/24"));
        Assert.Contains("overlaps with already defined CIDR", await cluster.RefusedAsync(Pool("second", "10.1.0.128-10.1.0.200")), StringComparison.Ordinal);
        await cluster.ApplyAsync(Pool("second", "10.2.0.0/24"));
        string said = await cluster.RefusedAsync(Pool("second", "10.1.0.128-10.1.0.200"));
        Assert.Contains("ipaddresspoolvalidationwebhook.metallb.io", said, StringComparison.Ordinal);
        Assert.Contains("IPAddressPool 'second' spec.addresses: 10.1.0.128-10.1.0.200 overlaps with already defined CIDR", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_aggregation_that_is_wider_than_a_pool_is_refused_whichever_comes_last()
    {
        await cluster.ApplyAsync(Pool("narrow", "10.1.0.0/28"));
        Assert.Contains("invalid aggregation length 26: prefix 28 in pool", await cluster.RefusedAsync(Advertisement("BGP", "wide", "{aggregationLength: 26}")), StringComparison.Ordinal);
        await cluster.ApplyAsync(Advertisement("BGP", "wide", "{aggregationLength: 28}"));
        Assert.Contains("BGPAdvertisement 'wide' spec.aggregationLength", await cluster.RefusedAsync(Pool("narrower", "10.2.0.0/30")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Service_selectors_with_another_aggregation_than_the_default_are_refused()
    {
        Assert.Contains(
            "serviceSelectors and aggregationLength are mutually exclusive",
            await cluster.RefusedAsync(Advertisement("BGP", "mixed", "{aggregationLength: 24, serviceSelectors: [{matchLabels: {a: b}}]}")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_of_a_BGPPeer_that_is_none_is_refused_in_both_versions()
    {
        Assert.Contains("invalid BGPPeer address", await cluster.RefusedAsync(Peer("bad", "10.0.0.300")), StringComparison.Ordinal);
        Assert.Contains("invalid BGPPeer address", await cluster.RefusedAsync(Peer("bad", "10.0.0.300", version: "v1beta1")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_BGPPeers_with_one_address_are_refused_on_common_nodes_and_let_pass_on_different_ones()
    {
        await cluster.ApplyAsync("""
            apiVersion: v1
            kind: Node
            metadata: {name: a, labels: {zone: a}}
            ---
            apiVersion: v1
            kind: Node
            metadata: {name: b, labels: {zone: b}}
            """);
        try
        {
            await cluster.ApplyAsync(Peer("first", "10.0.0.1", ", nodeSelectors: [{matchLabels: {zone: a}}]"));
            Assert.Contains("already exists", await cluster.RefusedAsync(Peer("second", "10.0.0.1")), StringComparison.Ordinal);
            Assert.Contains(
                "already exists", await cluster.RefusedAsync(Peer("second", "10.0.0.1", ", nodeSelectors: [{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}]")), StringComparison.Ordinal);
            await cluster.ApplyAsync(Peer("second", "10.0.0.1", ", nodeSelectors: [{matchLabels: {zone: b}}]"));
        }
        finally
        {
            await cluster.Kubectl.RunAsync(["delete", "node", "a", "b"], cancellationToken: Token);
        }
    }

    [Theory]
    [InlineData("1:70000", "invalid community value: invalid section")]
    [InlineData("big:1:2:3", "expected community to be of format large")]
    [InlineData("large:1:2:4294967296", "invalid community value: invalid section")]
    public async Task Communities_that_are_none_are_refused_when_made_and_when_changed(string value, string reason)
    {
        Assert.Contains(reason, await cluster.RefusedAsync(Community("names", ("a", value))), StringComparison.Ordinal);
        await cluster.ApplyAsync(Community("names", ("a", "1:2")));
        Assert.Contains(reason, await cluster.RefusedAsync(Community("names", ("a", value))), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1:2", "1:3")]
    [InlineData("large:1:2:3", "large:1:2:4")]
    public async Task One_name_for_two_communities_is_refused_within_an_object_and_across_objects(string one, string other)
    {
        Assert.Contains("duplicate definition of community", await cluster.RefusedAsync(Community("names", ("a", one), ("a", other))), StringComparison.Ordinal);
        await cluster.ApplyAsync(Community("names", ("a", one)));
        Assert.Contains("duplicate definition of community", await cluster.RefusedAsync(Community("more", ("a", other))), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_BFDProfile_that_a_BGPPeer_uses_is_kept_until_it_does_not()
    {
        await cluster.ApplyAsync("apiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: quick}\nspec: {}\n");
        await cluster.ApplyAsync(Peer("user", "10.0.0.1", ", bfdProfile: quick"));
        var (code, _, error) = await cluster.Kubectl.TryAsync(["-n", WebhookCluster.Own, "delete", "bfdprofile", "quick"], cancellationToken: Token);
        Assert.NotEqual(0, code);
        Assert.Contains("failed to delete BFDProfile quick: used by BGPPeer 'user'", error, StringComparison.Ordinal);
        await cluster.Kubectl.RunAsync(["-n", WebhookCluster.Own, "delete", "bgppeers.v1beta2.metallb.io", "user"], cancellationToken: Token);
        await cluster.Kubectl.RunAsync(["-n", WebhookCluster.Own, "delete", "bfdprofile", "quick"], cancellationToken: Token);
    }

    [Theory]
    [InlineData("metallb.io/v1beta1", "BFDProfile", "{}")]
    [InlineData("metallb.io/v1beta1", "IPAddressPool", "{addresses: [10.9.0.0/24]}")]
    [InlineData("metallb.io/v1beta2", "BGPPeer", "{myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}")]
    [InlineData("metallb.io/v1beta1", "BGPAdvertisement", "{}")]
    [InlineData("metallb.io/v1beta1", "L2Advertisement", "{}")]
    [InlineData("metallb.io/v1beta1", "Community", "{}")]
    [InlineData("dynamiclb.io/v1beta1", "AddressService", "{url: 'http://a'}")]
    public async Task The_configuration_lives_in_our_own_namespace_only(string version, string kind, string spec)
    {
        string yaml = $"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: elsewhere}}\nspec: {spec}\n";
        Assert.Contains("resource must be created in dynamiclb-system namespace", await cluster.RefusedAsync(yaml, "default"), StringComparison.Ordinal);
        await cluster.ApplyAsync(yaml);
    }

    [Fact]
    public async Task What_the_definitions_say_in_rules_that_old_servers_drop_is_refused_too()
    {
        Assert.Contains("connect time should be between 1 seconds to 65535", await cluster.RefusedAsync(Peer("slow", "10.0.0.1", ", connectTime: 1500ms")), StringComparison.Ordinal);
        await cluster.ApplyAsync(Peer("graceful", "10.0.0.1", ", enableGracefulRestart: true"));
        Assert.Contains("EnableGracefulRestart cannot be changed", await cluster.RefusedAsync(Peer("graceful", "10.0.0.1", ", enableGracefulRestart: false")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_service_that_cannot_be_is_refused()
    {
        const string Service = "apiVersion: dynamiclb.io/v1beta1\nkind: AddressService\nmetadata: {{name: dhcp}}\nspec: {{url: '{0}', cidrs: ['{1}']}}\n";
        Assert.Contains("AddressService 'dhcp' spec.url", await cluster.RefusedAsync(string.Format(null, Service, "ftp://a", "10.0.0.0/8")), StringComparison.Ordinal);
        Assert.Contains("AddressService 'dhcp' spec.cidrs", await cluster.RefusedAsync(string.Format(null, Service, "http://a", "10")), StringComparison.Ordinal);
        await cluster.ApplyAsync(Pool("taken", "10.3.0.0/24"));
        Assert.Contains(
            "pools and address services share their names",
            await cluster.RefusedAsync("apiVersion: dynamiclb.io/v1beta1\nkind: AddressService\nmetadata: {name: taken}\nspec: {url: 'http://a'}\n"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task References_to_what_may_still_be_made_pass_and_kubectl_shows_warnings()
    {
        await cluster.ApplyAsync(Peer("early", "10.0.0.1", ", bfdProfile: later, passwordSecret: {name: later}"));
        await cluster.ApplyAsync(Advertisement("BGP", "early", "{communities: [later]}"));
        var (code, _, error) = await cluster.Kubectl.TryAsync(
            ["-n", WebhookCluster.Own, "apply", "--validate=false", "-f", "-"], Advertisement("L2", "early", "{ipAddressPools: [later]}"), Token);
        Assert.Equal(0, code);
        Assert.Contains("Warning: L2Advertisement 'early' spec.ipAddressPools: there is no pool or address service 'later'", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task BGPPeers_are_converted_by_the_webhook_where_the_definition_names_it()
    {
        async Task ConversionAsync(string reviewVersions)
        {
            string patch = $$$$$$"""{"spec":{"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":[{{{{{{reviewVersions}}}}}}],"clientConfig":{"url":"https://127.0.0.1:{{{{{{cluster.Port}}}}}}/convert","caBundle":"{{{{{{await cluster.CaBundleAsync()}}}}}}"}}}}}""";
            await cluster.Kubectl.RunAsync(["patch", "crd", "bgppeers.metallb.io", "--type=merge", "-p", patch], cancellationToken: Token);
        }

        try
        {
            // As MetalLB's own definition says, which makes the older form of the question.
            await ConversionAsync("\"v1beta1\"");
            await ReadAndWriteAsync("first");
            await ConversionAsync("\"v1\"");
            await ReadAndWriteAsync("second");
        }
        finally
        {
            await cluster.Kubectl.RunAsync(["patch", "crd", "bgppeers.metallb.io", "--type=merge", "-p", """{"spec":{"conversion":{"strategy":"None","webhook":null}}}"""], cancellationToken: Token);
        }

        async Task ReadAndWriteAsync(string name)
        {
            const string Both = "jsonpath={.apiVersion} {.spec.peerASN} {.spec.peerAddress} {.spec.vrf} {.spec.holdTime}";
            string[] get = ["-n", WebhookCluster.Own, "get", "-o", Both];
            await cluster.ApplyAsync(Peer(name, "10.0.0.9", ", ebgpMultiHop: true", "v1beta1"));
            Assert.Equal("metallb.io/v1beta2 2 10.0.0.9", (await cluster.Kubectl.RunAsync([.. get, "bgppeers.v1beta2.metallb.io", name], cancellationToken: Token)).Trim());
            await cluster.Kubectl.RunAsync(
                ["-n", WebhookCluster.Own, "patch", "bgppeers.v1beta2.metallb.io", name, "--type=merge", "-p", """{"spec":{"vrf":"red","holdTime":"90s"}}"""], cancellationToken: Token);
            Assert.Equal("metallb.io/v1beta1 2 10.0.0.9  90s", (await cluster.Kubectl.RunAsync([.. get, "bgppeers.v1beta1.metallb.io", name], cancellationToken: Token)).Trim());
            await cluster.ClearAsync();
        }
    }

    [Fact]
    public async Task The_Secret_holds_the_authority_that_the_API_server_was_told()
    {
        string authority = await cluster.Kubectl.RunAsync(["-n", WebhookCluster.Own, "get", "secret", "metallb-webhook-cert", "-o", "jsonpath={.data.ca\\.crt}"], cancellationToken: Token);
        Assert.Equal(authority.Trim(), await cluster.CaBundleAsync());
        Assert.StartsWith("-----BEGIN CERTIFICATE-----", Encoding.UTF8.GetString(Convert.FromBase64String(authority.Trim())), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("yes", "patch", "secrets/metallb-webhook-cert")]
    [InlineData("yes", "patch", "validatingwebhookconfigurations/metallb-webhook-configuration")]
    [InlineData("yes", "patch", "customresourcedefinitions/bgppeers.metallb.io")]
    [InlineData("no", "list", "secrets")]
    [InlineData("no", "patch", "secrets/dynamiclb-token")]
    [InlineData("no", "delete", "secrets/metallb-webhook-cert")]
    [InlineData("no", "create", "validatingwebhookconfigurations")]
    [InlineData("no", "patch", "validatingwebhookconfigurations/other")]
    [InlineData("no", "patch", "mutatingwebhookconfigurations/metallb-webhook-configuration")]
    [InlineData("no", "patch", "customresourcedefinitions/ipaddresspools.metallb.io")]
    [InlineData("no", "delete", "customresourcedefinitions/bgppeers.metallb.io")]
    public async Task The_controllers_rights_are_enough_and_no_more(string answer, string verb, string resource)
    {
        var (_, said, _) = await cluster.Kubectl.TryAsync(
            ["auth", "can-i", verb, resource, "-n", WebhookCluster.Own, $"--as=system:serviceaccount:{WebhookCluster.Own}:controller"], cancellationToken: Token);
        Assert.Equal(answer, said.Trim());
    }

    private static string Pool(string name, string addresses) => $"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}}}\nspec: {{addresses: [{addresses}]}}\n";

    private static string Advertisement(string how, string name, string spec) => $"apiVersion: metallb.io/v1beta1\nkind: {how}Advertisement\nmetadata: {{name: {name}}}\nspec: {spec}\n";

    private static string Peer(string name, string address, string more = "", string version = "v1beta2") =>
        $"apiVersion: metallb.io/{version}\nkind: BGPPeer\nmetadata: {{name: {name}}}\nspec: {{myASN: 1, peerASN: 2, peerAddress: {address}{more}}}\n";

    private static string Community(string name, params (string Alias, string Value)[] aliases) =>
        $"apiVersion: metallb.io/v1beta1\nkind: Community\nmetadata: {{name: {name}}}\nspec: {{communities: [{string.Join(", ", aliases.Select(static alias => $"{{name: {alias.Alias}, value: '{alias.Value}'}}"))}]}}\n";
}
