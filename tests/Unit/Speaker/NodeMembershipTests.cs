using DynamicLb.Kubernetes;
using DynamicLb.Speaker.Heartbeats;
using DynamicLb.Speaker.Membership;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Kubernetes;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>A speaker without a key for heartbeats: its Lease alone tells the others that it lives.</summary>
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
            Assert.False(rig.Membership.MustYield);
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
            mustYield |= rig.Membership.MustYield;
            Interlocked.Increment(ref rejoined);
        };

        rig.Parts.Time.Freeze(TimeSpan.FromSeconds(seconds));
        Assert.True(rig.Membership.MustYield);
        // It is noticed, and then renewed.
        rig.Parts.Time.Advance(TimeSpan.FromMilliseconds(100));
        rig.Parts.Time.Advance(Renewal);
        await Eventually.TrueAsync(() => Volatile.Read(ref rejoined) > 0);

        Assert.False(mustYield, "told to have rejoined while it still yields");
        Assert.False(rig.Membership.MustYield);
    }

    private sealed class Rig : IAsyncDisposable
    {
        private const string Namespace = "default";
        private readonly KubeApiServer _api;
        private readonly NodeMembership _leases;
        private readonly HeartbeatExchange _heartbeats;
        private readonly CancellationTokenSource _stop = new();
        private Task _running = Task.CompletedTask;

        private Rig(KubeApiServer api)
        {
            _api = api;
            _leases = new NodeMembership(api.Client, Parts.Options, Namespace, Parts.Time, new Random(1), NullLogger<NodeMembership>.Instance);
            _heartbeats = new HeartbeatExchange(
                Parts.Options, new HeartbeatKeys("", Parts.Time, NullLogger<HeartbeatKeys>.Instance), Parts.Links, static link => new FakeChannel(link), Parts.Metrics, Parts.Time,
                NullLogger<HeartbeatExchange>.Instance);
            Membership = new SegmentMembership(Parts.Options, _leases, _heartbeats, _leases.Guard, Parts.Links);
        }

        public SpeakerParts Parts { get; } = new();

        public SegmentMembership Membership { get; }

        private string? Renewed => _leases.Leases.Get(new NamespacedName(Namespace, $"speaker-{SpeakerParts.Me}"))?.Spec.RenewTime;

        public static async Task<Rig> StartAsync()
        {
            var rig = new Rig(await KubeApiServer.StartAsync());
            var informing = rig._leases.Leases.RunAsync(rig._stop.Token);
            await rig._leases.Leases.WaitForSyncAsync(TestContext.Current.CancellationToken);
            rig._running = Task.WhenAll(informing, rig._leases.RunAsync(rig._stop.Token), rig._heartbeats.RunAsync(rig._stop.Token, rig._stop.Token));
            await Eventually.TrueAsync(() => !rig.Membership.MustYield);
            return rig;
        }

        /// <summary>A third of the Lease's term passes, and it is renewed.</summary>
        public async Task RenewAsync()
        {
            string? before = Renewed;
            Parts.Time.Advance(Renewal);
            await Eventually.TrueAsync(() => Renewed != before);
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _running;
            await _heartbeats.DisposeAsync();
            _stop.Dispose();
            await _api.DisposeAsync();
        }
    }
}
