using System.Net;
using System.Text;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Membership;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>What the Lease tells the others, alone or beside heartbeats.</summary>
public sealed class NodeMembershipTests
{
    private static readonly TimeSpan Renewal = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task A_speaker_without_heartbeats_that_is_heard_yields_to_nobody()
    {
        await using var rig = await Rig.StartAsync();
        for (int i = 0; i < 5; i++)
        {
            await rig.RenewAsync();
            Assert.False(rig.MustYield);
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(10)]
    public async Task A_speaker_that_stood_still_yields_until_a_renewal_of_after_it_comes_back(int seconds)
    {
        await using var rig = await Rig.StartAsync();
        await rig.RenewAsync();
        int rejoined = 0;
        bool mustYield = false;
        rig.Membership.Rejoined += () =>
        {
            mustYield |= rig.MustYield;
            Interlocked.Increment(ref rejoined);
        };

        rig.Parts.Time.Freeze(TimeSpan.FromSeconds(seconds));
        Assert.True(rig.MustYield);
        // It is noticed, and then renewed.
        rig.Parts.Time.Advance(TimeSpan.FromMilliseconds(100));
        rig.Parts.Time.Advance(Renewal);
        await Eventually.TrueAsync(() => Volatile.Read(ref rejoined) > 0);

        Assert.False(mustYield, "told to have rejoined while it still yields");
        Assert.False(rig.MustYield);
    }

    [Fact]
    public async Task A_lease_of_a_dead_node_holds_up_our_own_until_its_term_has_passed()
    {
        await using var rig = await Rig.StartAsync(waits: false, others: ["dead"]);
        await Eventually.TrueAsync(() => rig.Own is not null);
        await rig.RenewAsync();
        await rig.RenewAsync();
        Assert.False(rig.Leases.HasJoined);
        Assert.Equal("", rig.Own?.Spec.HolderIdentity);
        await rig.RenewAsync();
        await Eventually.TrueAsync(() => rig.Leases.HasJoined);
        Assert.Equal([SpeakerParts.Me], rig.Leases.Members);
        Assert.False(rig.MustYield);
    }

    [Fact]
    public async Task A_lease_that_is_renewed_holds_up_nobody()
    {
        await using var rig = await Rig.StartAsync(waits: false, others: ["node-a"]);
        await Eventually.TrueAsync(() => rig.Own is not null);
        Assert.False(rig.Leases.HasJoined);
        await rig.SayAsync("node-a", "later");
        await Eventually.TrueAsync(() => rig.Leases.HasJoined);
        Assert.Equal(["node-a", SpeakerParts.Me], rig.Leases.Members.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Our_lease_belongs_to_our_node_and_is_written_again_at_once_when_it_is_deleted()
    {
        await using var rig = await Rig.StartAsync();
        Assert.Equal([Rig.Node], rig.Own?.Metadata.OwnerReferences);
        string? uid = rig.Own?.Metadata.Uid;
        await rig.Client.DeleteAsync(ResourceTypes.Leases, Rig.Namespace, rig.Own!.Metadata.Name!, TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => rig.Own is { } lease && lease.Metadata.Uid != uid && lease.Spec.HolderIdentity == SpeakerParts.Me);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task After_a_pause_without_the_API_server_whoever_is_heard_by_heartbeats_goes_on_and_nobody_else(bool isHeard)
    {
        await using var rig = await Rig.StartAsync(beats: true);
        if (!isHeard)
            rig.Heartbeats.OtherIsOn.Clear();
        rig.CutOff();
        int rejoined = 0;
        rig.Membership.Rejoined += () => Interlocked.Increment(ref rejoined);
        rig.Parts.Time.Freeze(TimeSpan.FromSeconds(2));
        rig.Heartbeats.Time.Freeze(TimeSpan.FromSeconds(2));
        Assert.True(rig.Leases.Guard.IsPaused);
        rig.Parts.Time.Advance(TimeSpan.FromMilliseconds(100));
        await rig.Heartbeats.RunAsync(0.2);
        Assert.True(rig.Leases.Guard.IsPaused);
        Assert.Equal(0, rejoined);

        await rig.Heartbeats.RunAsync(0.6);
        Assert.Equal(!isHeard, rig.Leases.Guard.IsPaused);
        Assert.Equal(!isHeard, rig.MustYield);
        Assert.NotEqual(0, rejoined);
        // Heard later, it goes on later.
        rig.Heartbeats.OtherIsOn.Add(2);
        await rig.Heartbeats.RunAsync(0.6);
        Assert.False(rig.Leases.Guard.IsPaused);
    }

    [Fact]
    public async Task A_pause_that_the_heartbeats_notice_and_end_before_the_leases_look_is_over()
    {
        await using var rig = await Rig.StartAsync(beats: true);
        rig.CutOff();
        rig.Parts.Time.Freeze(TimeSpan.FromSeconds(2));
        rig.Heartbeats.Time.Freeze(TimeSpan.FromSeconds(2));
        await rig.Heartbeats.RunAsync(0.8);
        rig.Parts.Time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.False(rig.Leases.Guard.IsPaused);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Cut_off_from_the_API_server_only_those_yield_who_may_be_replaced_by_somebody_that_does_not_hear_them(bool isMixed)
    {
        await using var rig = await Rig.StartAsync(beats: true);
        await rig.SayAsync("other", "1", beats: true);
        if (isMixed)
            await rig.SayAsync("without-key", "1");
        await Eventually.TrueAsync(() => rig.Membership.Members.Count == (isMixed ? 3 : 2));
        Assert.False(rig.MustYield);
        rig.CutOff();
        rig.Parts.Time.Advance(TimeSpan.FromSeconds(4));
        await rig.Heartbeats.RunAsync(0.2);
        Assert.True(rig.Leases.IsCutOff);
        Assert.Equal(isMixed, rig.MustYield);
        // Who beats hears us.
        Assert.False(rig.Membership.MustYieldTo(HeartbeatRig.MacOfOther(2)));
    }

    [Fact]
    public async Task A_silent_node_whose_lease_says_that_it_beats_no_more_counts_by_it()
    {
        await using var rig = await Rig.StartAsync(beats: true);
        await rig.SayAsync("other", "1", beats: true);
        await Eventually.TrueAsync(() => rig.Leases.Members.Contains("other"));
        rig.Heartbeats.OtherIsOn.Clear();
        await rig.Heartbeats.RunAsync(1);
        Assert.Equal([SpeakerParts.Me], rig.Membership.Members);
        // Started again without the key, within the term of its Lease.
        await rig.SayAsync("other", "2", beats: false);
        await Eventually.TrueAsync(() => rig.Membership.Members.Contains("other"));
    }

    private sealed class Rig : IAsyncDisposable
    {
        public const string Namespace = "default";
        public static readonly OwnerReference Node = new("v1", "Node", SpeakerParts.Me, "0815");
        private readonly KubeApiServer _api;
        private readonly HeartbeatExchange _heartbeats;
        private readonly CancellationTokenSource _stop = new();
        private Task _running = Task.CompletedTask;

        private Rig(KubeApiServer api, bool beats)
        {
            _api = api;
            Heartbeats = new HeartbeatRig(Parts, beats);
            _heartbeats = Heartbeats.Exchange;
            Leases = new NodeMembership(
                api.Client, Parts.Options, Namespace, Parts.Time, new Random(1), NullLogger<NodeMembership>.Instance, () => _heartbeats.IsOn, static () => Node);
            Leases.Guard.Beside = () => _heartbeats.IsOn ? _heartbeats.Guard : null;
            Membership = new SegmentMembership(Parts.Options, Leases, _heartbeats, Leases.Guard, Parts.Links);
        }

        public SpeakerParts Parts { get; } = new();

        public NodeMembership Leases { get; }

        public HeartbeatRig Heartbeats { get; }

        public SegmentMembership Membership { get; }

        /// <summary>Whether it yields to a machine of which nothing is known.</summary>
        public bool MustYield => Membership.MustYieldTo(MacAddress.Parse("02:00:00:00:00:66"));

        public KubernetesClient Client => _api.Client;

        public Lease? Own => Leases.Leases.Get(new NamespacedName(Namespace, $"speaker-{SpeakerParts.Me}"));

        public static async Task<Rig> StartAsync(bool beats = false, bool waits = true, params string[] others)
        {
            var rig = new Rig(await KubeApiServer.StartAsync(), beats);
            foreach (string other in others)
                await rig.SayAsync(other, "before");
            var informing = rig.Leases.Leases.RunAsync(rig._stop.Token);
            await rig.Leases.Leases.WaitForSyncAsync(TestContext.Current.CancellationToken);
            rig._running = Task.WhenAll(informing, rig.Leases.RunAsync(rig._stop.Token));
            if (!waits)
                return rig;
            if (beats)
            {
                rig.Heartbeats.OtherIsOn.Add(2);
                rig.Parts.Links.Set(HeartbeatRig.Link(2));
                await rig.Heartbeats.StartAsync();
                await rig.Heartbeats.RunAsync(1);
            }
            await Eventually.TrueAsync(() => !rig.MustYield && rig.Membership.Members.Contains(SpeakerParts.Me));
            return rig;
        }

        /// <summary>A third of the Lease's term passes, and it is renewed.</summary>
        public async Task RenewAsync()
        {
            string? before = Own?.Spec.RenewTime;
            Parts.Time.Advance(Renewal);
            await Eventually.TrueAsync(() => Own?.Spec.RenewTime != before);
        }

        /// <summary>Another node's Lease is renewed.</summary>
        public async Task SayAsync(string node, string stamp, bool beats = false)
        {
            var lease = new Lease
            {
                Metadata = new ObjectMeta
                {
                    Name = $"speaker-{node}",
                    Namespace = Namespace,
                    Annotations = new Dictionary<string, string> { ["dynamiclb.io/heartbeats"] = beats ? "true" : "false" },
                },
                Spec = new LeaseSpec { HolderIdentity = node, LeaseDurationSeconds = 3, RenewTime = stamp },
            };
            try
            {
                await Client.CreateAsync(ResourceTypes.Leases, lease, TestContext.Current.CancellationToken);
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
            {
                byte[] patch = Encoding.UTF8.GetBytes($$$"""
                    {"metadata":{"annotations":{"dynamiclb.io/heartbeats":"{{{(beats ? "true" : "false")}}}"}},"spec":{"renewTime":"{{{stamp}}}"}}
                    """);
                await Client.PatchAsync(ResourceTypes.Leases, Namespace, lease.Metadata.Name!, PatchType.Merge, patch, null, TestContext.Current.CancellationToken);
            }
        }

        /// <summary>The API server does not answer any more.</summary>
        public void CutOff()
        {
            _api.Faults.AnswerWith(HttpStatusCode.ServiceUnavailable);
            _api.Faults.DropWatches();
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running;
            await Heartbeats.DisposeAsync();
            _stop.Dispose();
            await _api.DisposeAsync();
        }
    }
}
