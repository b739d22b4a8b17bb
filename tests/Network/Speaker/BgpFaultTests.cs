using DynamicLb.Lab.Bgp;
using DynamicLb.Networking.Bgp;
using DynamicLb.Tests.Network.Support;
using static DynamicLb.Tests.Network.Support.BgpLab;

namespace DynamicLb.Tests.Network.Speaker;

/// <summary>The speaker and routers that do what they should not, beside one that does all right.</summary>
public sealed class BgpFaultTests
{
    private const int Peers = 6;

    private static readonly BgpOpen Open = new(64512, 90, 0x0a140016) { Families = [BgpFamily.IPv4], FourOctetAs = true, RouteRefresh = true };

    // What the router says, and the NOTIFICATION it gets. "established" stands for all that a session takes.
    private static readonly (string What, bool IsEstablished, byte[] Bytes, byte Code, byte Subcode)[] Faults =
    [
        ("a broken marker", false, new byte[19], 1, 1),
        ("a header with a length below that of a header", false, Raw(4, [], 18), 1, 2),
        ("an unknown type", false, Raw(9, []), 1, 3),
        ("a KEEPALIVE with a body", false, Raw(4, [1]), 1, 2),
        ("BGP 3", false, With(Open.ToMessage(), 19, 3), 2, 1),
        ("another AS", false, (Open with { Asn = 64999 }).ToMessage(), 2, 2),
        ("identifier 0.0.0.0", false, (Open with { RouterId = 0 }).ToMessage(), 2, 3),
        ("an unknown parameter", false, Raw(1, [4, 0xfc, 0, 0, 90, 10, 20, 0, 22, 3, 9, 1, 0]), 2, 4),
        ("a hold time of 2 s", false, (Open with { HoldSeconds = 2 }).ToMessage(), 2, 6),
        ("a hold time of 1 s", false, (Open with { HoldSeconds = 1 }).ToMessage(), 2, 6),
        ("a KEEPALIVE before the OPEN", false, BgpWire.Keepalive(), 5, 1),
        ("an UPDATE before the KEEPALIVE", false, [.. Open.ToMessage(), .. Raw(2, [0, 0, 0, 0])], 5, 2),
        ("withdrawn routes beyond the message", true, Raw(2, [0, 9, 0, 0]), 3, 1),
        ("a prefix of 33 bits", true, Raw(2, [0, 2, 33, 1, 0, 0]), 3, 10),
        ("an OPEN once more", true, Open.ToMessage(), 5, 3),
        ("a ROUTE-REFRESH that is too short", true, Raw(5, [0, 1, 0]), 7, 1),
        ("a long message that was not agreed on", true, Raw(2, [], 5000), 1, 2),
        ("noise", true, Noise(), 1, 1),
    ];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Each_fault_of_a_router_gets_its_notification_and_the_session_with_another_router_stays()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        var frr = await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             no bgp ebgp-requires-policy
             neighbor 10.20.0.11 remote-as 64513
            """, Cancelled);
        var host = await HostAsync(lab, "peer", 22);
        for (int i = 1; i < Peers; i++)
            await host.Namespace.IpAsync($"address add 10.20.0.{22 + i}/24 dev eth0", Cancelled);
        using var peer = new ScriptedPeer(host);
        await ConfigureAsync(lab, $$"""
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21}
            {{string.Join('\n', Enumerable.Range(22, Peers).Select(static number => $"- {{my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.{number}, connect-time: 1s}}"))}}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """);
        await lab.AddServiceAsync("web", "10.20.1.100");
        await SeenAsync(async () => await frr.ShowAsync("show bgp ipv4 unicast 10.20.1.100/32 json", Cancelled), lab, "\"valid\":true");
        int sessions = await frr.SessionsAsync("10.20.0.11", Cancelled);

        foreach (var (what, isEstablished, bytes, code, subcode) in Faults)
        {
            using var session = await peer.AcceptAsync();
            if (isEstablished)
                await EstablishAsync(session, Open);
            await session.SendAsync(bytes);
            var notification = await session.ReadNotificationAsync();
            Assert.True((code, subcode) == ((byte)notification.Code, notification.Subcode), $"{what} got {notification}");
        }

        // A router that falls silent.
        using (var silent = await peer.AcceptAsync())
        {
            await EstablishAsync(silent, Open with { HoldSeconds = 3 });
            Assert.Equal("hold timer expired", (await silent.ReadNotificationAsync()).ToString());
        }

        // An attribute that makes no sense costs the route alone (RFC 7606): the session answers a refresh afterwards.
        using (var session = await peer.AcceptAsync())
        {
            await EstablishAsync(session, Open);
            await session.SendAsync([.. Raw(2, [0, 0, 0, 4, 0x40, 1, 1, 7, 8, 10]), .. BgpWire.RouteRefresh(BgpFamily.IPv4, BgpRefreshKind.Request)]);
            _ = await session.ReadAsync(BgpMessageType.Update);
            await SeenAsync(async () => (await lab.MetricAsync("node1", "dynamiclb_bgp_malformed_updates_total")).ToString(), lab, "1");
        }

        Assert.False(lab.Speaker("node1").HasExited);
        Assert.Equal(sessions, await frr.SessionsAsync("10.20.0.11", Cancelled));
        Assert.Equal("Established", (await frr.NeighborAsync("10.20.0.11", Cancelled)).GetProperty("bgpState").GetString());
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "NOTIFICATION sent: OPEN message error: unacceptable hold time");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "NOTIFICATION sent: UPDATE message error: invalid network field");
    }

    [Fact]
    public async Task Hold_time_that_one_side_does_not_take_is_told_by_that_side()
    {
        await using var lab = await SpeakerLab.StartAsync(1);
        await ConfigureAsync(lab, """
            peers:
            - {my-asn: 64513, peer-asn: 64512, peer-address: 10.20.0.21, connect-time: 1s}
            - {my-asn: 64513, peer-asn: 64514, peer-address: 10.20.0.23, connect-time: 1s}
            address-pools:
            - {name: lab, protocol: bgp, addresses: [10.20.0.0/16]}
            """);
        await FrrRouter.StartAsync(lab.Network, await HostAsync(lab, "frr", 21), """
            router bgp 64512
             bgp minimum-holdtime 100
             neighbor 10.20.0.11 remote-as 64513
            """, Cancelled);
        await GoBgpRouter.StartAsync(lab.Network, await HostAsync(lab, "gobgp", 23), """
            [global.config]
              as = 64514
              router-id = "10.20.0.23"
            [[neighbors]]
              [neighbors.config]
                neighbor-address = "10.20.0.11"
                peer-as = 64513
              [neighbors.timers.config]
                hold-time = 2
              [neighbors.transport.config]
                passive-mode = true
            """, Cancelled);
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "(10.20.0.21:179): NOTIFICATION received: OPEN message error: unacceptable hold time");
        await SeenAsync(() => Task.FromResult(lab.WholeLogs()), lab, "(10.20.0.23:179): NOTIFICATION sent: OPEN message error: unacceptable hold time");
        Assert.Equal(0, await lab.MetricAsync("node1", "metallb_bgp_session_up"));
    }

    private static async Task EstablishAsync(ScriptedSession session, BgpOpen open)
    {
        await session.SendAsync([.. open.ToMessage(), .. BgpWire.Keepalive()]);
        // The first UPDATE, or the End-of-RIB: all of it stands.
        _ = await session.ReadAsync(BgpMessageType.Update);
    }

    private static byte[] Raw(byte type, byte[] body, int length = 0)
    {
        byte[] message = [.. Enumerable.Repeat((byte)0xff, 16), 0, 0, type, .. body];
        int told = length == 0 ? message.Length : length;
        (message[16], message[17]) = ((byte)(told >> 8), (byte)told);
        return message;
    }

    private static byte[] With(byte[] message, int at, byte value)
    {
        message[at] = value;
        return message;
    }

    private static byte[] Noise()
    {
        byte[] noise = new byte[65_536];
        new Random(1).NextBytes(noise);
        return noise;
    }
}
