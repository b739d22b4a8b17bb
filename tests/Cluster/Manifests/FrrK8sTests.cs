using System.Net;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Lab;
using DynamicLb.Speaker.FrrK8s;
using DynamicLb.Tests.Cluster.Client;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Cluster.Manifests;

/// <summary>FRRConfigurations against a definition of FRR-K8s' shape on a real API server.</summary>
public sealed class FrrK8sTests(ClientCluster cluster) : IClassFixture<ClientCluster>
{
    private const string Definition = """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: frrconfigurations.frrk8s.metallb.io}
        spec:
          group: frrk8s.metallb.io
          names: {kind: FRRConfiguration, listKind: FRRConfigurationList, plural: frrconfigurations, singular: frrconfiguration}
          scope: Namespaced
          versions:
          - name: v1beta1
            served: true
            storage: true
            schema:
              openAPIV3Schema:
                type: object
                properties:
                  apiVersion: {type: string}
                  kind: {type: string}
                  metadata: {type: object}
                  spec:
                    type: object
                    properties:
                      nodeSelector: {type: object, properties: {matchLabels: {type: object, additionalProperties: {type: string}}}}
                      bgp:
                        type: object
                        properties:
                          bfdProfiles:
                            type: array
                            items:
                              type: object
                              required: [name]
                              properties:
                                name: {type: string}
                                receiveInterval: {type: integer, format: int32, minimum: 10, maximum: 60000}
                                transmitInterval: {type: integer, format: int32, minimum: 10, maximum: 60000}
                                detectMultiplier: {type: integer, format: int32, minimum: 2, maximum: 255}
                                echoInterval: {type: integer, format: int32, minimum: 10, maximum: 60000}
                                echoMode: {type: boolean}
                                passiveMode: {type: boolean}
                                minimumTtl: {type: integer, format: int32, minimum: 1, maximum: 254}
                          routers:
                            type: array
                            items:
                              type: object
                              required: [asn]
                              properties:
                                asn: {type: integer, format: int64, minimum: 0, maximum: 4294967295}
                                id: {type: string}
                                vrf: {type: string}
                                prefixes: {type: array, items: {type: string}}
                                neighbors:
                                  type: array
                                  items:
                                    type: object
                                    properties:
                                      asn: {type: integer, format: int64, minimum: 0, maximum: 4294967295}
                                      dynamicASN: {type: string, enum: [internal, external]}
                                      sourceaddress: {type: string}
                                      address: {type: string}
                                      interface: {type: string}
                                      port: {type: integer, minimum: 0, maximum: 16384}
                                      password: {type: string}
                                      passwordSecret: {type: object, properties: {name: {type: string}, namespace: {type: string}}}
                                      holdTime: {type: string}
                                      keepaliveTime: {type: string}
                                      connectTime: {type: string}
                                      ebgpMultiHop: {type: boolean}
                                      bfdProfile: {type: string}
                                      enableGracefulRestart: {type: boolean}
                                      disableMP: {type: boolean, default: false}
                                      dualStackAddressFamily: {type: boolean, default: false}
                                      toAdvertise:
                                        type: object
                                        properties:
                                          allowed:
                                            type: object
                                            properties:
                                              prefixes: {type: array, items: {type: string}}
                                              mode: {type: string, enum: [all, filtered], default: filtered}
                                          withLocalPref:
                                            type: array
                                            items:
                                              type: object
                                              properties:
                                                localPref: {type: integer, format: int32}
                                                prefixes: {type: array, minItems: 1, items: {type: string, format: cidr}}
                                          withCommunity:
                                            type: array
                                            items:
                                              type: object
                                              properties:
                                                community: {type: string}
                                                prefixes: {type: array, minItems: 1, items: {type: string, format: cidr}}
        """;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_configuration_is_written_follows_what_is_wanted_and_what_is_removed_or_meddled_with_comes_back()
    {
        var kubectl = new Kubectl(cluster.Plane.AdminKubeconfig);
        await kubectl.RunAsync(["apply", "-f", "-"], Definition, Token);
        await TakenUp.DefinitionsAsync(cluster.Plane, Token);
        string space = await cluster.NamespaceAsync("frr-k8s");
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Token);
        var writer = new FrrConfigurationWriter(cluster.Client, space, "node1", TimeProvider.System, NullLogger<FrrConfigurationWriter>.Instance);
        var running = writer.RunAsync(stop.Token);

        var wanted = Spec("10.1.0.1/32");
        writer.Want(wanted);
        await WaitForAsync(space, "10.1.0.1/32");
        var stored = await cluster.Client.GetAsync(FrrResourceTypes.FrrConfigurations, space, "metallb-node1", Token);
        var neighbor = Assert.Single(Assert.Single(stored.Spec.Bgp.Routers).Neighbors);
        Assert.Equal((4_200_000_001, "10.0.0.1", 179, "90s", "fast"), (neighbor.Asn, neighbor.Address, neighbor.Port, neighbor.HoldTime, neighbor.BfdProfile));
        Assert.Equal("secret", neighbor.PasswordSecret?.Name);
        Assert.Equal("64500:1", Assert.Single(neighbor.ToAdvertise.WithCommunity).Community);
        Assert.Equal(200, Assert.Single(neighbor.ToAdvertise.WithLocalPref).LocalPref);
        Assert.Equal("fast", Assert.Single(stored.Spec.Bgp.BfdProfiles).Name);
        Assert.Equal("host1", stored.Spec.NodeSelector.MatchLabels?["kubernetes.io/hostname"]);

        await kubectl.RunAsync(["-n", space, "delete", "frrconfiguration", "metallb-node1"], cancellationToken: Token);
        writer.Want(Spec("10.1.0.1/32", "10.1.0.2/32"));
        await WaitForAsync(space, "10.1.0.1/32", "10.1.0.2/32");

        await kubectl.RunAsync(
            ["-n", space, "patch", "frrconfiguration", "metallb-node1", "--type=merge", "-p", """{"spec":{"bgp":{"routers":[]}}}"""], cancellationToken: Token);
        writer.Want(Spec("10.1.0.2/32"));
        await WaitForAsync(space, "10.1.0.2/32");
        await stop.CancelAsync();
        await running;
    }

    private static FrrConfigurationSpec Spec(params string[] prefixes) => FrrConfigurations.Of(
        "host1",
        [
            new FrrPeer(
                new BgpPeer("a", new BGPPeerSpec { MyASN = 64500, PeerASN = 4_200_000_001, BfdProfile = "fast" }, IPAddress.Parse("10.0.0.1"), TimeSpan.FromSeconds(90), TimeSpan.FromSeconds(30), null),
                null, new FrrSecret("secret", "frr-k8s"), [.. prefixes.Select(static prefix => new FrrRoute(prefix, 200, ["64500:1"]))]),
        ],
        [new BfdProfile("fast", new BFDProfileSpec { ReceiveInterval = 50, EchoMode = true })]);

    private Task WaitForAsync(string space, params string[] prefixes) => Wait.UntilAsync(
        async () =>
        {
            var found = (await cluster.Client.ListAsync(FrrResourceTypes.FrrConfigurations, space, Token)).Items;
            return found is [{ Spec.Bgp.Routers: [var router] }] && router.Prefixes.SequenceEqual(prefixes);
        },
        TimeSpan.FromSeconds(60), $"a configuration with {string.Join(", ", prefixes)}", Token);
}
