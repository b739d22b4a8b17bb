using System.Text.Json;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Lab;
using DynamicLb.Tests.Cluster.Manifests;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Configuration;

/// <summary>
/// What controller and the speakers of two nodes say of the configuration: each one's own parts that read, judge and tell, with the rights of manifests/dynamiclb.yaml, on the real API
/// server. No webhook keeps faults away here.
/// </summary>
public sealed class ConfigurationStateTests : IClassFixture<ManifestCluster>, IAsyncLifetime
{
    private const string Own = ManifestCluster.Namespace;
    private const string OnA = ", nodeSelectors: [{matchLabels: {zone: a}}]";
    private const string Profile = "apiVersion: metallb.io/v1beta1\nkind: BFDProfile\nmetadata: {name: quick}\nspec: {}\n";
    private static readonly string[] _speakers = ["speaker-node-a", "speaker-node-b"];
    private readonly ManifestCluster _cluster;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private readonly List<IDisposable> _clients = [];

    public ConfigurationStateTests(ManifestCluster cluster) => _cluster = cluster;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _cluster.Kubectl.RunAsync(["apply", "--validate=false", "-f", Path.Combine(Repository.Root, "manifests", "crds")], cancellationToken: Token);
        await TakenUp.DefinitionsAsync(_cluster.Plane, Token);
        await ApplyAsync("apiVersion: v1\nkind: Node\nmetadata: {name: node-a, labels: {zone: a}}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: node-b, labels: {zone: b}}\n");
        await ApplyAsync("apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: lab}\nspec: {addresses: [10.0.0.0/24]}\n");
        await StartAsync("controller", ConfigScope.Controller, ConfigurationStateTarget.OfController(Own));
        foreach (string node in new[] { "node-a", "node-b" })
            await StartAsync("speaker", ConfigScope.OfSpeaker(node), ConfigurationStateTarget.OfSpeaker(Own, node) with { Owner = new OwnerReference("v1", "Pod", $"pod-{node}", $"uid-{node}") });
        await AllValidAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _clients.ForEach(static client => client.Dispose());
        _stop.Dispose();
        foreach (string plural in new[] { "bgppeers.v1beta2.metallb.io", "bfdprofiles", "bgpadvertisements", "communities", "ipaddresspools", "secrets", "configurationstates" })
            await _cluster.Kubectl.RunAsync(["-n", Own, "delete", plural, "--all"]);
    }

    [Fact]
    public async Task A_good_configuration_is_valid_for_all_and_each_state_tells_whose_it_is()
    {
        await ApplyAsync(Profile);
        await ApplyAsync(Peer("router", "10.9.0.1", ", bfdProfile: quick"));
        await ApplyAsync("apiVersion: metallb.io/v1beta1\nkind: BGPAdvertisement\nmetadata: {name: ad}\nspec: {peers: [router]}\n");

        await AllValidAsync();
        // Peers are followed by themselves: one may be seen before its profile is, and be at fault for a moment.
        using var json = await Wait.ForAsync(
            async () =>
            {
                var read = JsonDocument.Parse(await _cluster.Kubectl.RunAsync(["get", "--raw", $"/apis/metallb.io/v1beta1/namespaces/{Own}/configurationstates/speaker-node-a"], cancellationToken: Token));
                if (read.RootElement.GetProperty("status").GetProperty("result").GetString() == "Valid")
                    return read;
                read.Dispose();
                return null;
            },
            TimeSpan.FromSeconds(60), "speaker-node-a to be Valid", Token);
        var metadata = json.RootElement.GetProperty("metadata");
        Assert.Equal(("speaker", "node-a"), (metadata.GetProperty("labels").GetProperty("metallb.io/component-type").GetString(), metadata.GetProperty("labels").GetProperty("metallb.io/node-name").GetString()));
        Assert.Equal("uid-node-a", metadata.GetProperty("ownerReferences")[0].GetProperty("uid").GetString());
        Assert.Contains(metadata.GetProperty("managedFields").EnumerateArray(), static entry => entry.GetProperty("manager").GetString() == "configReconciler");
        var condition = json.RootElement.GetProperty("status").GetProperty("conditions")[0];
        Assert.Equal(("configReconcilerValid", "True", "Reconciled"), (condition.GetProperty("type").GetString(), condition.GetProperty("status").GetString(), condition.GetProperty("reason").GetString()));
    }

    [Fact]
    public async Task A_peer_of_one_node_with_a_Secret_of_the_wrong_type_is_that_nodes_fault_alone()
    {
        await ApplyAsync("apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: x}\n");
        await ApplyAsync(Peer("router", "10.9.0.1", ", passwordSecret: {name: password}" + OnA));

        await InvalidAsync("BGPPeer 'router' spec.passwordSecret: Secret \"password\" is of type Opaque, not kubernetes.io/basic-auth: secret type mismatch", "speaker-node-a");
        await ValidAsync("speaker-node-b", "controller");

        await _cluster.Kubectl.RunAsync(["-n", Own, "delete", "secret", "password"], cancellationToken: Token);
        await InvalidAsync("Secret \"password\" not found", "speaker-node-a");
        await ApplyAsync("apiVersion: v1\nkind: Secret\nmetadata: {name: password}\ntype: kubernetes.io/basic-auth\nstringData: {password: x}\n");
        await AllValidAsync();
    }

    [Fact]
    public async Task A_BFD_profile_that_is_missing_is_a_fault_for_all_speakers_until_it_is_made_and_again_when_it_goes()
    {
        await ApplyAsync(Peer("router", "10.9.0.1", ", bfdProfile: quick"));
        await InvalidAsync("BGPPeer 'router' spec.bfdProfile: BFD profile \"quick\" does not exist", _speakers);
        await ValidAsync("controller");
        await ApplyAsync(Profile);
        await AllValidAsync();
        await _cluster.Kubectl.RunAsync(["-n", Own, "delete", "bfdprofile", "quick"], cancellationToken: Token);
        await InvalidAsync("BFD profile \"quick\" does not exist", _speakers);
        await ValidAsync("controller");
    }

    [Fact]
    public async Task A_community_that_is_missing_is_a_fault_until_it_is_made()
    {
        await ApplyAsync("apiVersion: metallb.io/v1beta1\nkind: BGPAdvertisement\nmetadata: {name: ad}\nspec: {communities: [vpn]}\n");
        await InvalidAsync("BGPAdvertisement 'ad' spec.communities[0]: invalid community format", _speakers);
        await ApplyAsync("apiVersion: metallb.io/v1beta1\nkind: Community\nmetadata: {name: names}\nspec: {communities: [{name: vpn, value: '1:2'}]}\n");
        await AllValidAsync();
    }

    [Fact]
    public async Task Faults_go_one_by_one_as_the_peers_that_have_them_go()
    {
        await ApplyAsync(Peer("first", "10.9.0.1", ", bfdProfile: absent"));
        await ApplyAsync(Peer("second", "10.9.0.2", ", holdTime: 1s"));
        await ApplyAsync(Peer("third", "10.9.0.3", ""));
        await ApplyAsync(Peer("xfourth", "10.9.0.3", ""));
        await InvalidAsync("BGPPeer 'first' spec.bfdProfile", _speakers);
        await InvalidAsync("BGPPeer 'second' spec.holdTime", _speakers);
        await InvalidAsync("BGPPeer 'xfourth' spec.peerAddress: peer \"10.9.0.3\" already exists on a common node, as \"third\"", _speakers);
        await DeleteAsync("first");
        await InvalidAsync("configuration error: BGPPeer 'second' spec.holdTime", _speakers);
        await DeleteAsync("second");
        await InvalidAsync("configuration error: BGPPeer 'xfourth' spec.peerAddress", _speakers);
        await DeleteAsync("third");
        await AllValidAsync();

        Task DeleteAsync(string name) => _cluster.Kubectl.RunAsync(["-n", Own, "delete", "bgppeers.v1beta2.metallb.io", name], cancellationToken: Token);
    }

    [Fact]
    public async Task A_node_whose_labels_bring_two_peers_of_one_address_together_is_at_fault_alone()
    {
        await ApplyAsync(Peer("first", "10.9.0.1", OnA));
        await ApplyAsync(Peer("second", "10.9.0.1", ", nodeSelectors: [{matchLabels: {rack: b}}]"));
        await AllValidAsync();
        try
        {
            await _cluster.Kubectl.RunAsync(["label", "node", "node-a", "rack=b"], cancellationToken: Token);
            await InvalidAsync("already exists on a common node", "speaker-node-a");
            await ValidAsync("speaker-node-b", "controller");
        }
        finally
        {
            await _cluster.Kubectl.RunAsync(["label", "node", "node-a", "rack-"], cancellationToken: Token);
        }
        await AllValidAsync();
    }

    private static string Peer(string name, string address, string more) =>
        $"apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {{name: {name}}}\nspec: {{myASN: 1, peerASN: 2, peerAddress: {address}{more}}}\n";

    private async Task StartAsync(string account, ConfigScope scope, ConfigurationStateTarget target)
    {
        string token = await _cluster.Plane.CreateServiceAccountTokenAsync(Own, account, cancellationToken: Token);
        var client = new KubernetesClient(KubernetesClientConfiguration.Load(_cluster.Plane.WriteKubeconfig(target.Name, token)), TimeProvider.System);
        var nodes = new Informer<Node>(client, ResourceTypes.Nodes, null, TimeProvider.System, new Random(1), NullLogger.Instance);
        var source = new ResourceConfigSource(client, Own, scope, nodes, TimeProvider.System, new Random(2), NullLogger<ResourceConfigSource>.Instance);
        var writer = new ConfigurationStateWriter(client, source, target, TimeProvider.System, NullLogger<ConfigurationStateWriter>.Instance);
        _clients.Add(client);
        _running.AddRange([nodes.RunAsync(_stop.Token), source.FollowAsync(_stop.Token), source.RunAsync(static _ => Task.CompletedTask, _stop.Token), writer.RunAsync(_stop.Token)]);
    }

    private Task AllValidAsync() => ValidAsync([.. _speakers, "controller"]);

    private Task ValidAsync(params string[] names) => StatesAsync("Valid", "", names);

    private Task InvalidAsync(string summary, params string[] names) => StatesAsync("Invalid", summary, names);

    private async Task StatesAsync(string result, string summary, string[] names)
    {
        foreach (string name in names)
        {
            string last = "";
            try
            {
                await Wait.UntilAsync(
                    async () =>
                    {
                        (_, last, _) = await _cluster.Kubectl.TryAsync(["-n", Own, "get", "configurationstate", name, "-o", "jsonpath={.status.result} {.status.errorSummary}"], cancellationToken: Token);
                        return last.StartsWith(result + " ", StringComparison.Ordinal) && last.Contains(summary, StringComparison.Ordinal) && (summary.Length > 0 || last.Trim() == result);
                    },
                    TimeSpan.FromSeconds(60), $"{name} to be {result} {summary}", Token);
            }
            catch (TimeoutException e)
            {
                throw new TimeoutException($"{e.Message}: it is '{last}'", e);
            }
        }
    }

    private Task<string> ApplyAsync(string yaml) => _cluster.Kubectl.RunAsync(["-n", Own, "apply", "--validate=false", "-f", "-"], yaml, Token);
}
