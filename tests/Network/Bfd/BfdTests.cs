using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;
using DynamicLb.Networking.Bfd;

namespace DynamicLb.Tests.Network.Bfd;

/// <summary>What is measured in milliseconds runs while nothing else does.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class MeasuredAlone
{
    public const string Name = "measured alone";
}

/// <summary>BFD against real routers, each asked for its own view.</summary>
[Collection(MeasuredAlone.Name)]
public sealed class BfdTests
{
    private const string Node = "10.20.0.11";
    private const string Router = "10.20.0.1";
    private static readonly TimeSpan Tolerance = TimeSpan.FromMilliseconds(50);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task With_FRR_sessions_of_both_families_and_over_hops_agree_on_their_intervals_notice_a_cut_link_and_tell_it_from_a_shutdown()
    {
        await using var network = await CreateAsync();
        var router = await BfdRouter.StartFrrAsync(
            network, network["router"],
            $"""
            bfd
             peer {Node}
              transmit-interval 200
              receive-interval 250
              detect-multiplier 4
             !
             peer fd20::b local-address fd20::1
              transmit-interval 100
              receive-interval 100
             !
             peer {Node} multihop local-address 10.99.0.1
              transmit-interval 100
              receive-interval 100
            """);
        using var host = StartHost(network);
        var settings = new BfdSettings { TransmitInterval = TimeSpan.FromMilliseconds(150), ReceiveInterval = TimeSpan.FromMilliseconds(100) };
        using var four = new Session(host, settings, new BfdPath(IPAddress.Parse(Router)));
        using var six = new Session(host, settings, new BfdPath(IPAddress.Parse("fd20::1"), IPAddress.Parse("fd20::b")));
        using var far = new Session(host, settings, new BfdPath(IPAddress.Parse("10.99.0.1"), IPAddress.Parse(Node), IsMultiHop: true));
        Session[] all = [four, six, far];
        foreach (var session in all)
            await session.WaitForUpAsync();
        await Wait.UntilAsync(
            () => Task.FromResult(four.Watch.Status is { TransmitInterval.TotalMilliseconds: 250, DetectionTime.TotalMilliseconds: 800 }
                && six.Watch.Status is { TransmitInterval.TotalMilliseconds: 150, DetectionTime.TotalMilliseconds: 300 }),
            TimeSpan.FromSeconds(60), "the intervals that both sides can keep", Cancelled);
        await router.WaitForPeerAsync("fd20::b", "up");
        var seen = (await router.PeerAsync("fd20::b"))!.Value;
        Assert.Equal(
            (3, 100, 150, "ok"),
            (seen.GetProperty("remote-detect-multiplier").GetInt32(), seen.GetProperty("remote-receive-interval").GetInt32(),
            seen.GetProperty("remote-transmit-interval").GetInt32(), seen.GetProperty("remote-diagnostic").GetString()));

        // Faster on the fly, and still up.
        long downs = six.Watch.Counts.Downs;
        settings = settings with { TransmitInterval = TimeSpan.FromMilliseconds(100) };
        six.Watch.Configure(settings);
        await Wait.UntilAsync(
            async () => (await router.PeerAsync("fd20::b"))!.Value.GetProperty("remote-transmit-interval").GetInt32() == 100, TimeSpan.FromSeconds(60), "FRR to see the change", Cancelled);
        Assert.Equal(downs, six.Watch.Counts.Downs);

        await CutAsync(network, all, "FRR");

        // Held down over there: no failure of the path.
        four.Forget();
        await router.VtyshAsync("conf t", "bfd", $"peer {Node}", "shutdown");
        var change = await four.WaitForDownAsync();
        Assert.False(change.IsFailure);
        await Wait.UntilAsync(() => Task.FromResult(four.Watch.Status.RemoteState == BfdState.AdminDown), TimeSpan.FromSeconds(60), "FRR to say that it is held down", Cancelled);
        await router.VtyshAsync("conf t", "bfd", $"peer {Node}", "no shutdown");
        await four.WaitForUpAsync();

        // Held down here: FRR is told so, too.
        six.Watch.SetAdminDown(true);
        await router.WaitForPeerAsync("fd20::b", "down");
        var down = (await router.PeerAsync("fd20::b"))!.Value;
        Assert.Equal("neighbor signaled session down", down.GetProperty("diagnostic").GetString());
        Assert.Equal("administratively down", down.GetProperty("remote-diagnostic").GetString());
    }

    [Fact]
    public async Task With_FRR_echo_packets_go_through_both_hosts_and_their_absence_takes_the_session_down()
    {
        await using var network = await CreateAsync();
        var router = await BfdRouter.StartFrrAsync(
            network, network["router"],
            $"""
            bfd
             peer {Node}
              echo-mode
              echo transmit-interval 60
              echo receive-interval 40
            """);
        using var host = StartHost(network);
        using var session = new Session(host, new BfdSettings { UsesEcho = true, EchoInterval = TimeSpan.FromMilliseconds(50) }, new BfdPath(IPAddress.Parse(Router)));
        await session.WaitForUpAsync();
        // For as long as twenty of them take the session stays up. Where the machine held us up for three, it went down, and they are counted anew.
        var begin = session.Watch.Counts;
        await Wait.UntilAsync(
            () =>
            {
                if (session.Watch.Counts.Downs != begin.Downs)
                    begin = session.Watch.Counts;
                return Task.FromResult(session.Watch.Counts is var now && now.Downs == begin.Downs && now.EchoIn > begin.EchoIn + 20);
            },
            TimeSpan.FromSeconds(60), "echo packets", Cancelled);
        await session.WaitForUpAsync();
        Assert.Equal(50, session.Watch.Status.EchoInterval.TotalMilliseconds);
        await Wait.UntilAsync(
            async () => (await router.VtyshAsync($"show bfd peer {Node} counters json")) is var counters
                && JsonDocument.Parse(counters).RootElement.GetProperty("echo-packet-input").GetInt32() > 10,
            TimeSpan.FromSeconds(60), "FRR to have its echo packets back", Cancelled);

        // Control packets still come; only the forwarding is broken.
        session.Forget();
        await network["router"].Namespace.RunAsync("sysctl", ["-qw", "net.ipv4.conf.all.forwarding=0"], Cancelled);
        var change = await session.WaitForDownAsync();
        Assert.True(change.IsFailure);
        Assert.Equal(BfdDiagnostic.EchoFunctionFailed, change.Diagnostic);
        await network["router"].Namespace.RunAsync("sysctl", ["-qw", "net.ipv4.conf.all.forwarding=1"], Cancelled);
        await session.WaitForUpAsync();
    }

    [Fact]
    public async Task With_BIRD_an_authenticated_session_comes_up_and_notices_a_cut_link_and_a_wrong_key_is_not_heard()
    {
        await using var network = await CreateAsync();
        var router = await BfdRouter.StartBirdAsync(
            network, network["router"],
            $$"""
            router id {{Router}};
            protocol device { }
            protocol bfd {
              interface "eth0" { interval 100 ms; multiplier 3; authentication meticulous keyed sha1; password "secret" { id 3; }; };
              neighbor {{Node}} dev "eth0";
              neighbor fd20::b dev "eth0";
            }
            """);
        using var host = StartHost(network);
        var settings = new BfdSettings
        {
            TransmitInterval = TimeSpan.FromMilliseconds(100),
            ReceiveInterval = TimeSpan.FromMilliseconds(100),
            Authentication = new BfdAuthentication(BfdAuthenticationType.MeticulousKeyedSha1, 3, "secret"),
        };
        using var wrong = new Session(
            host, settings with { Authentication = new BfdAuthentication(BfdAuthenticationType.MeticulousKeyedSha1, 3, "other") }, new BfdPath(IPAddress.Parse("fd20::1"), IPAddress.Parse("fd20::b")));
        using var session = new Session(host, settings, new BfdPath(IPAddress.Parse(Router)));
        await session.WaitForUpAsync();
        await Wait.UntilAsync(
            () => Task.FromResult(session.Watch.Status is { TransmitInterval.TotalMilliseconds: 100, DetectionTime.TotalMilliseconds: 300 }), TimeSpan.FromSeconds(60),
            "the intervals that both sides can keep", Cancelled);
        // BIRD's own interval and timeout, in seconds.
        await Wait.UntilAsync(
            async () => (await router.BirdcAsync("show", "bfd", "sessions")).Split('\n').Single(static line => line.StartsWith(Node, StringComparison.Ordinal)) is var line
                && line.Contains(" Up ", StringComparison.Ordinal) && line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [.., "0.100", "0.300"],
            TimeSpan.FromSeconds(60), "BIRD to say the same", Cancelled);

        await CutAsync(network, [session], "BIRD");
        Assert.Equal(BfdState.Down, wrong.Watch.Status.State);
        await Wait.UntilAsync(() => Task.FromResult(host.Dropped(BfdDropReason.Authentication) > 0), TimeSpan.FromSeconds(60), "a packet with another key", Cancelled);
    }

    /// <summary>Takes the router's cable off, again and again; each time all sessions must notice by the end of their detection time.</summary>
    private static async Task CutAsync(LabNetwork network, IReadOnlyList<Session> sessions, string router)
    {
        const int Rounds = 3;
        var late = new List<TimeSpan>();
        for (int round = 0; round < Rounds; round++)
        {
            var limits = sessions.Select(static session => session.Watch.Status.DetectionTime).ToList();
            foreach (var session in sessions)
                session.Forget();
            await network.Switch.IpAsync("link set p-router down", Cancelled);
            long cut = Stopwatch.GetTimestamp();
            for (int i = 0; i < sessions.Count; i++)
            {
                var change = await sessions[i].WaitForDownAsync();
                Assert.True(change.IsFailure);
                var took = Stopwatch.GetElapsedTime(cut, sessions[i].DownAt);
                late.Add(took - limits[i]);
                TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{router}, {sessions[i].Watch.Path.Peer}: noticed after {took.TotalMilliseconds:0} ms of {limits[i].TotalMilliseconds:0} ms"));
            }
            await network.Switch.IpAsync("link set p-router up", Cancelled);
            foreach (var session in sessions)
                await session.WaitForUpAsync();
            await Wait.UntilAsync(
                () => Task.FromResult(sessions.Zip(limits, static (session, limit) => session.Watch.Status.DetectionTime == limit).All(static same => same)), TimeSpan.FromSeconds(60),
                "the intervals from before", Cancelled);
        }
        // The machine may be busy in one round.
        Assert.InRange(late.Order().ElementAt(late.Count / 2), TimeSpan.FromSeconds(-1), Tolerance);
        Assert.All(late, static each => Assert.InRange(each, TimeSpan.FromSeconds(-5), TimeSpan.FromSeconds(5)));
    }

    private static async Task<LabNetwork> CreateAsync()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        var network = await LabNetwork.CreateAsync(Cancelled);
        try
        {
            var router = await network.AddHostAsync("router", 1, Cancelled);
            var node = await network.AddHostAsync("node1", 11, Cancelled);
            await router.Namespace.IpAsync("-6 address add fd20::1/64 dev eth0 nodad", Cancelled);
            await node.Namespace.IpAsync("-6 address add fd20::b/64 dev eth0 nodad", Cancelled);
            await router.Namespace.IpAsync("address add 10.99.0.1/32 dev lo", Cancelled);
            return network;
        }
        catch
        {
            await network.DisposeAsync();
            throw;
        }
    }

    private static BfdHost StartHost(LabNetwork network) => network["node1"].Namespace.Inside(static () => new BfdHost(TimeProvider.System, Random.Shared));

    private sealed class Session : IDisposable
    {
        private readonly ConcurrentQueue<(BfdChange Change, long At)> _changes = new();

        public Session(BfdHost host, BfdSettings settings, BfdPath path) =>
            Watch = host.Watch(settings, path, change => _changes.Enqueue((change, Stopwatch.GetTimestamp())));

        public IBfdWatch Watch { get; }

        public long DownAt { get; private set; }

        public void Forget() => _changes.Clear();

        public Task WaitForUpAsync() => Wait.UntilAsync(
            () => Task.FromResult(Watch.Status is { State: BfdState.Up, RemoteState: BfdState.Up }), TimeSpan.FromSeconds(60), $"the session with {Watch.Path.Peer}", Cancelled);

        /// <summary>Waits for the session to go down; changes before that are forgotten.</summary>
        public async Task<BfdChange> WaitForDownAsync()
        {
            BfdChange? down = null;
            await Wait.UntilAsync(
                () =>
                {
                    while (down is null && _changes.TryDequeue(out var next))
                    {
                        if (next.Change.After != BfdState.Down || next.Change.Before != BfdState.Up)
                            continue;
                        down = next.Change;
                        DownAt = next.At;
                    }
                    return Task.FromResult(down is not null);
                },
                TimeSpan.FromSeconds(60), $"the session with {Watch.Path.Peer} to go down", Cancelled);
            return down!.Value;
        }

        public void Dispose() => Watch.Dispose();
    }
}
