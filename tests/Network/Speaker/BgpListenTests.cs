using DynamicLb.Lab;
using DynamicLb.Lab.Bgp;
using DynamicLb.Tests.Network.Support;
using static DynamicLb.Tests.Network.Support.BgpLab;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>Speakers that routers connect to.</summary>
public sealed class BgpListenTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Passive_speaker_takes_signed_connections_of_neighbours_with_ttl_255_and_no_others()
    {
        await using var lab = await SpeakerLab.StartAsync(1, false, "--bgp-listen", "179", "--bgp-passive", "--bgp-ttl-security");
        await V6Async(lab.Network["node1"], 11);
        await ConfigureAsync(lab, """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, password: secret}
            - {my-asn: 64513, peer-asn: 64514, peer-address: "fd00:20::22", dual-stack-address-family: true}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """);
        await lab.AddServiceAsync("web", "10.20.1.100");
        var frr = await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64513
             neighbor 10.20.0.11 password other
             neighbor 10.20.0.11 ttl-security hops 1
             neighbor 10.20.0.11 timers connect 1
            """, Cancelled);
        var bird = await BirdRouter.StartAsync(lab.Network, await HostAsync(lab, "bird", 22), """
            router id 10.20.0.22;
            protocol device {}
            protocol direct { ipv4; ipv6; }
            protocol bgp node1 {
              local fd00:20::22 as 64514;
              neighbor fd00:20::11 as 64513;
              ttl security on;
              connect delay time 1;
              connect retry time 1;
              error wait time 1, 2;
              ipv4 { import all; export none; extended next hop; };
              ipv6 { import all; export none; };
            }
            """, Cancelled);
        await SeenAsync(async () => await bird.ShowAsync("show route all 10.20.1.100/32", Cancelled), lab, "BGP.next_hop: ");
        // The wrong password: no segment of FRR has come through. A host that is no peer is hung up on.
        Assert.Equal(1, await lab.MetricAsync("node1", "metallb_bgp_session_up"));
        var stranger = await HostAsync(lab, "stranger", 24);
        await stranger.Namespace.RunAsync("bash", ["-c", "exec 3<>/dev/tcp/10.20.0.11/179; timeout 20 cat <&3"], Cancelled);

        await frr.ShowAsync("conf t\nrouter bgp 64512\nneighbor 10.20.0.11 password secret", Cancelled);
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "valid");
        Assert.Equal(179, (await frr.NeighborAsync("10.20.0.11", Cancelled)).GetProperty("portForeign").GetInt32());

        // With the TTL that routers send to neighbours by themselves, as a host far away could arrange, nothing more is heard of it.
        double opens = await lab.MetricAsync("node1", "metallb_bgp_opens_sent");
        await frr.ShowAsync("conf t\nrouter bgp 64512\nno neighbor 10.20.0.11 ttl-security hops 1", Cancelled);
        await Wait.UntilAsync(
            async () => await lab.MetricAsync("node1", "metallb_bgp_opens_sent") > opens, Patience, () => $"a connection of FRR with a low TTL\n{lab.Logs()}", Cancelled);
        Assert.DoesNotContain("valid", await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), StringComparison.Ordinal);
        await frr.ShowAsync("conf t\nrouter bgp 64512\nneighbor 10.20.0.11 ttl-security hops 1", Cancelled);
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "valid");
    }

    [Fact]
    public async Task Sides_that_connect_to_each_other_at_once_come_to_one_session_each_time()
    {
        await using var lab = await SpeakerLab.StartAsync(1, false, "--bgp-listen", "179");
        await ConfigureAsync(lab, """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.5, connect-time: 1s}
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, connect-time: 1s}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """);
        // One router whose identifier is below ours, and one with a higher one: the other connection is the one to stay.
        var routers = new List<FrrRouter>();
        foreach (int number in (int[])[5, 21])
        {
            routers.Add(await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, $"frr{number}", number), """
                router bgp 64512
                 no bgp ebgp-requires-policy
                 neighbor 10.20.0.11 remote-as 64513
                 neighbor 10.20.0.11 timers connect 1
                """, Cancelled));
        }
        await lab.AddServiceAsync("web", "10.20.1.100");
        for (int round = 0; round < 4; round++)
        {
            foreach (var router in routers)
                await SeenAsync(async () => await router.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32", Cancelled), lab, "valid");
            await Wait.UntilAsync(async () => await lab.MetricAsync("node1", "metallb_bgp_session_up") == 2, Patience, () => $"both sessions\n{lab.Logs()}", Cancelled);
            foreach (var router in routers)
            {
                // The next session may be up before anybody could see that there was none.
                int sessions = await router.SessionsAsync("10.20.0.11", Cancelled);
                await router.ShowAsync("clear bgp *", Cancelled);
                await Wait.UntilAsync(async () => await router.SessionsAsync("10.20.0.11", Cancelled) > sessions, Patience, () => $"another session\n{lab.Logs()}", Cancelled);
            }
        }
    }
}
