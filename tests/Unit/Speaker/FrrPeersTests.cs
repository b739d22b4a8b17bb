using System.Net;
using System.Text.RegularExpressions;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Networking.Bfd;
using DynamicLb.Networking.Bgp;
using DynamicLb.Speaker;
using DynamicLb.Speaker.Bfd;
using DynamicLb.Speaker.Bgp;
using DynamicLb.Speaker.FrrK8s;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

public sealed class FrrPeersTests
{
    private static readonly Dictionary<string, string> Labels = new(StringComparer.Ordinal) { ["kubernetes.io/hostname"] = "host1", ["rack"] = "a" };

    private readonly FrrConfigurationWriter _writer = new(null!, "frr", "node1", TimeProvider.System, NullLogger<FrrConfigurationWriter>.Instance);

    [Theory]
    [InlineData("frr", "secret", null)]
    [InlineData("own", null, "word")]
    public void Peers_of_the_node_with_their_routes_are_wanted_of_FRR_and_a_secret_is_named_where_FRR_can_read_it(string ownSpace, string? secret, string? password)
    {
        var peers = Peers(ownSpace);
        var config = new LoadBalancerConfig([], [])
        {
            BgpPeers =
            [
                Peer("here", "10.0.0.1", new BGPPeerSpec { MyASN = 1, PeerASN = 2, PasswordSecret = new SecretName { Name = "secret" } }),
                Peer("there", "10.0.0.2", new BGPPeerSpec { MyASN = 1, PeerASN = 2, NodeSelectors = [new LabelSelector { MatchLabels = new Dictionary<string, string> { ["rack"] = "b" } }] }),
                Peer("bad", "10.0.0.3", new BGPPeerSpec { MyASN = 1, PeerASN = 2 }),
                Peer("ao", "10.0.0.4", new BGPPeerSpec { MyASN = 1, PeerASN = 2 }),
            ],
        };
        Assert.True(peers.Configure(
            config, Labels,
            peer => peer.Name switch
            {
                "bad" => (BgpPassword.None, "no such Secret"),
                "ao" => (new BgpPassword(BgpAuthentication.AoHmacSha1, "key"), null),
                _ => (new BgpPassword(BgpAuthentication.Md5, "word"), null),
            },
            static names => Tables(names, 300)));

        Assert.Equal(["here"], peers.Names);
        var spec = _writer.Wanted!;
        Assert.Equal("host1", spec.NodeSelector.MatchLabels!["kubernetes.io/hostname"]);
        var neighbor = Assert.Single(Assert.Single(spec.Bgp.Routers).Neighbors);
        Assert.Equal((secret, password), (neighbor.PasswordSecret?.Name, neighbor.Password));
        Assert.Equal(["10.1.0.0/24"], neighbor.ToAdvertise.Allowed.Prefixes);
        Assert.Equal(["1:2", "large:3:4:5"], neighbor.ToAdvertise.WithCommunity.Select(static entry => entry.Community));
        Assert.Equal(300, Assert.Single(neighbor.ToAdvertise.WithLocalPref).LocalPref);

        peers.Publish(new Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>());
        Assert.Empty(_writer.Wanted!.Bgp.Routers[0].Prefixes);
    }

    [Fact]
    public void A_secret_that_is_passed_on_is_named_and_never_looked_at()
    {
        var peers = Peers("own", new BgpOptions { PassesFrrSecrets = true });
        peers.Configure(
            new LoadBalancerConfig([], [])
            {
                BgpPeers =
                [
                    Peer("named", "10.0.0.1", new BGPPeerSpec { MyASN = 1, PeerASN = 2, PasswordSecret = new SecretName { Name = "theirs" } }),
                    Peer("plain", "10.0.0.2", new BGPPeerSpec { MyASN = 1, PeerASN = 2, Password = "word" }),
                ],
            },
            null, static peer => peer.Name == "named" ? throw new InvalidOperationException("the Secret was asked for") : (new BgpPassword(BgpAuthentication.Md5, "word"), null),
            static names => Tables(names, 300));

        var neighbors = Assert.Single(_writer.Wanted!.Bgp.Routers).Neighbors.ToDictionary(static neighbor => neighbor.Address!);
        Assert.Equal(("theirs", "frr", null), (neighbors["10.0.0.1"].PasswordSecret?.Name, neighbors["10.0.0.1"].PasswordSecret?.Namespace, neighbors["10.0.0.1"].Password));
        Assert.Equal((null, "word"), (neighbors["10.0.0.2"].PasswordSecret?.Name, neighbors["10.0.0.2"].Password));
    }

    [Fact]
    public void The_default_preference_is_left_to_routers()
    {
        var peers = Peers("own");
        peers.Configure(
            new LoadBalancerConfig([], []) { BgpPeers = [Peer("here", "10.0.0.1", new BGPPeerSpec { MyASN = 1, PeerASN = 2 })] }, null, static _ => (BgpPassword.None, null),
            static names => Tables(names, BgpRoutes.DefaultLocalPref));

        Assert.Empty(_writer.Wanted!.Bgp.Routers[0].Neighbors[0].ToAdvertise.WithLocalPref);
        Assert.Equal("node1", _writer.Wanted.NodeSelector.MatchLabels!["kubernetes.io/hostname"]);
    }

    [Theory]
    [InlineData(BfdState.Init, BfdState.Up, false, BfdPathState.Up)]
    [InlineData(BfdState.Up, BfdState.Down, true, BfdPathState.Down)]
    [InlineData(BfdState.Up, BfdState.Down, false, BfdPathState.Unknown)]
    [InlineData(BfdState.Down, BfdState.Init, false, BfdPathState.Unknown)]
    public void Only_a_failure_of_the_path_ends_BGPs_session(BfdState before, BfdState after, bool isFailure, object expected) =>
        Assert.Equal((BfdPathState)expected, BfdForBgp.Of(new BfdChange(before, after, BfdDiagnostic.None, isFailure)));

    private static Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>> Tables(IEnumerable<string> names, uint preference)
    {
        var tables = new Dictionary<string, IReadOnlyDictionary<BgpPrefix, BgpRouteAttributes>>();
        foreach (string name in names)
        {
            tables.Add(name, new Dictionary<BgpPrefix, BgpRouteAttributes>
            {
                [BgpPrefix.Parse("10.1.0.0/24")] = new(preference, [0x0001_0002], [new BgpLargeCommunity(3, 4, 5)]),
            });
        }
        return tables;
    }

    private static BgpPeer Peer(string name, string address, BGPPeerSpec spec) => new(name, spec, IPAddress.Parse(address), null, null, null);

    private FrrPeers Peers(string ownSpace, BgpOptions? options = null) => new(
        new SpeakerOptions(null!, "node1", new Regex("^$", RegexOptions.None, Regex.InfiniteMatchTimeout), false, TimeSpan.FromSeconds(3), null, TimeSpan.FromMilliseconds(100)) { Bgp = options ?? new() },
        ownSpace, "frr",
        _writer, NullLogger<FrrPeers>.Instance);
}
