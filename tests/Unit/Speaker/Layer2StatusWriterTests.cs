using System.Collections.Concurrent;
using System.Net;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Networking.Addresses;
using DynamicLb.Speaker.Layer2;
using DynamicLb.Speaker.Status;
using DynamicLb.Tests.KubeApi;
using DynamicLb.Tests.Unit.Kubernetes;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Unit.Speaker;

/// <summary>ServiceL2Status objects at an API server, as one speaker or two write them.</summary>
public sealed class Layer2StatusWriterTests : IAsyncLifetime
{
    private const string Space = "default";
    private static readonly NamespacedName Web = new("demo", "web");
    private static readonly NamespacedName Dns = new("demo", "dns");
    private static readonly NamespacedName Look = new("demo", "look");
    private static readonly Decision Announced = new(SilenceReason.None, [HostAddress.Parse("10.0.0.1")], null, SpeakerParts.Me);
    private static readonly Decision Elsewhere = Decision.Silent(SilenceReason.NotOwner, "node-a");
    private readonly ConcurrentQueue<string> _deleted = [];
    private readonly ConcurrentDictionary<(NamespacedName Service, string Node), bool> _gone = [];
    private readonly List<(CancellationTokenSource Life, Task Running)> _lives = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly SpeakerParts _parts = new();
    private readonly CounterSums _counted;
    private Task _informing = Task.CompletedTask;
    private KubeApiServer _api = null!;
    private Informer<ServiceL2Status> _written = null!;

    public Layer2StatusWriterTests() => _counted = new CounterSums(_parts.Meters);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private List<string> Written => [.. _written.Items.Select(static item => $"{item.Metadata.Labels![ServiceL2Status.ServiceNameLabel]} of {item.Status?.Node}").Order(StringComparer.Ordinal)];

    public async ValueTask InitializeAsync()
    {
        _api = await KubeApiServer.StartAsync();
        _api.Faults.Judge = (method, path) =>
        {
            if (method == "DELETE")
                _deleted.Enqueue(path);
            return null;
        };
        _written = new Informer<ServiceL2Status>(_api.Client, ServiceL2Status.Type, Space, TimeProvider.System, new Random(1), NullLogger.Instance);
        _informing = _written.RunAsync(_stop.Token);
        await _written.WaitForSyncAsync(Token);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await _stop.CancelAsync();
        await _informing;
        await _api.DisposeAsync();
        _stop.Dispose();
        _counted.Dispose();
    }

    [Fact]
    public async Task Who_announces_says_so_until_it_does_no_more()
    {
        var writer = Start(SpeakerParts.Me);
        writer.Decided(Web, Announced with { Interfaces = new HashSet<string> { "eth1", "eth0" } });
        await Eventually.TrueAsync(() => Written is ["web of node-b"]);

        var item = Assert.Single(_written.Items);
        Assert.Equal(["eth0", "eth1"], item.Status!.Interfaces!.Select(static link => link.Name));
        Assert.Equal(("Node", "uid-of-node-b"), (Assert.Single(item.Metadata.OwnerReferences!).Kind, item.Metadata.OwnerReferences![0].Uid));
        await Eventually.TrueAsync(() => writer.AnnouncersOf(Web).SequenceEqual(["node-b"]));

        writer.Decided(Web, Elsewhere);
        await Eventually.TrueAsync(() => Written.Count == 0 && writer.AnnouncersOf(Web).Count == 0);
    }

    [Fact]
    public async Task Two_nodes_that_announce_the_same_do_not_drive_each_other_on()
    {
        var (here, there) = (Start(SpeakerParts.Me), Start("node-a"));
        here.Decided(Web, Announced);
        there.Decided(Web, Announced);
        // Each takes away the other's, a few times.
        await EventuallyLaterAsync(
            Layer2StatusWriter.PauseAfterFault, () => Written is ["web of node-a", "web of node-b"] && here.AnnouncersOf(Web).Count == 2 && there.AnnouncersOf(Web).Count == 2 && !_deleted.IsEmpty);
        int before = Deleted();
        for (int i = 0; i < 10; i++)
        {
            await LookAsync(here);
            await LookAsync(there);
        }
        Assert.InRange(Deleted(), before, before + (2 * Layer2StatusWriter.Burst));

        // The LAN is whole again: only who announces is left.
        there.Decided(Web, Decision.Silent(SilenceReason.NotOwner, SpeakerParts.Me));
        await EventuallyLaterAsync(Layer2StatusWriter.PauseAfterFault, () => Written is ["web of node-b"]);

        int Deleted() => _deleted.Count(path => !path.EndsWith(Layer2StatusWriter.NameOf(SpeakerParts.Me, Look), StringComparison.Ordinal)
            && !path.EndsWith(Layer2StatusWriter.NameOf("node-a", Look), StringComparison.Ordinal));
    }

    [Fact]
    public async Task Who_leaves_does_not_take_away_what_the_next_one_says()
    {
        var leaving = Start(SpeakerParts.Me);
        leaving.IsLeaving = static () => true;
        leaving.Decided(Web, Announced);
        await Eventually.TrueAsync(() => Written is ["web of node-b"]);
        var next = Start("node-a");
        // The next one takes away what is left; and the other way round it is not.
        next.Decided(Web, Announced);
        await EventuallyLaterAsync(Layer2StatusWriter.PauseAfterFault, () => Written.Contains("web of node-a") && !_deleted.IsEmpty);
        await LookAsync(leaving);

        Assert.DoesNotContain(_deleted, static path => path.EndsWith(Layer2StatusWriter.NameOf("node-a", Web), StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(HttpStatusCode.NotFound)]
    [InlineData(HttpStatusCode.UnprocessableEntity)]
    public async Task What_fails_for_one_object_holds_up_no_other(HttpStatusCode fault)
    {
        string refused = Layer2StatusWriter.NameOf(SpeakerParts.Me, Web);
        int asked = 0;
        _api.Faults.Judge = (method, path) => method == "PATCH" && path.Contains(refused, StringComparison.Ordinal) && Interlocked.Increment(ref asked) > 0 ? fault : null;
        var writer = Start(SpeakerParts.Me);
        writer.Decided(Web, Announced);
        await Eventually.TrueAsync(() => Volatile.Read(ref asked) > 0);
        foreach (string name in (string[])["a", "b", "c", "d"])
        {
            writer.Decided(new NamespacedName("demo", name), Announced);
            await Eventually.TrueAsync(() => Written.Contains($"{name} of node-b"));
        }
        Assert.Equal(1, asked);
        Assert.Equal(1, _counted["metallb_k8s_client_update_errors_total"]);

        _api.Faults.Judge = static (_, _) => null;
        await EventuallyLaterAsync(Layer2StatusWriter.PauseAfterFault, () => Written.Contains("web of node-b"));
    }

    [Fact]
    public async Task What_is_about_a_service_or_a_node_that_is_gone_is_taken_away_by_any_speaker_after_a_while()
    {
        Start("node-a").Decided(Web, Announced);
        Start("node-c").Decided(Dns, Announced);
        await Eventually.TrueAsync(() => Written is ["dns of node-c", "web of node-a"]);
        await StopAsync();
        var writer = Start(SpeakerParts.Me);
        await LookAsync(writer);

        _gone[(Web, "node-a")] = true;
        await LookAsync(writer);
        _parts.Time.Advance(Layer2StatusWriter.Pace - TimeSpan.FromSeconds(1));
        await LookAsync(writer);
        Assert.Equal(["dns of node-c", "web of node-a"], Written);
        await EventuallyLaterAsync(Layer2StatusWriter.Pace, () => Written is ["dns of node-c"]);
    }

    [Fact]
    public async Task What_a_speaker_left_in_its_former_life_is_taken_up_or_taken_away_once_it_has_decided()
    {
        var before = Start(SpeakerParts.Me);
        before.Decided(Web, Announced);
        before.Decided(Dns, Announced);
        await Eventually.TrueAsync(() => Written is ["dns of node-b", "web of node-b"]);
        await StopAsync();
        var (web, hasDecided) = (_written.Items.Single(static item => item.Metadata.Labels![ServiceL2Status.ServiceNameLabel] == "web"), false);

        var after = Start(SpeakerParts.Me, () => Volatile.Read(ref hasDecided));
        await after.WaitAsync(Token);
        // Those whose owners are sticky are told by it who they are.
        Assert.Equal(["node-b"], after.AnnouncersOf(Web));
        after.Decided(Web, Announced);
        Assert.Equal(["dns of node-b", "web of node-b"], Written);

        Volatile.Write(ref hasDecided, true);
        await EventuallyLaterAsync(TimeSpan.FromSeconds(1), () => Written is ["web of node-b"]);
        Assert.Equal(web.Metadata.Uid, Assert.Single(_written.Items).Metadata.Uid);
    }

    [Fact]
    public async Task The_first_decision_waits_for_what_is_written_for_as_long_as_a_failure_lasts_but_not_for_ever()
    {
        Start("node-a").Decided(Web, Announced);
        await Eventually.TrueAsync(() => Written is ["web of node-a"]);
        await StopAsync();
        _api.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        var writer = Start(SpeakerParts.Me);
        var waiting = writer.WaitAsync(Token);
        // Its own, and that until the next try.
        await Eventually.TrueAsync(() => _parts.Time.PendingTimers >= 2);
        _parts.Time.Advance(Layer2StatusWriter.PauseAfterFault);
        Assert.False(waiting.IsCompleted);

        _api.Faults.Heal();
        await EventuallyLaterAsync(Layer2StatusWriter.PauseAfterFault, () => waiting.IsCompleted);
        Assert.Equal(["node-a"], writer.AnnouncersOf(Web));

        _api.Faults.AnswerWith(HttpStatusCode.InternalServerError);
        waiting = Start("node-c").WaitAsync(Token);
        await EventuallyLaterAsync(Layer2StatusWriter.LongestWait, () => waiting.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Without_the_kind_in_the_cluster_nothing_is_waited_for()
    {
        _api.Faults.Judge = static (_, path) => path.EndsWith("/metallb.io/v1beta1", StringComparison.Ordinal) ? HttpStatusCode.NotFound : null;

        await Start(SpeakerParts.Me).WaitAsync(Token);
    }

    private Layer2StatusWriter Start(string node, Func<bool>? hasDecided = null)
    {
        var life = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var writer = new Layer2StatusWriter(
            _api.Client, new Informer<ServiceL2Status>(_api.Client, ServiceL2Status.Type, Space, _parts.Time, new Random(1), NullLogger.Instance),
            (service, of) => _gone.ContainsKey((service, of)), new Layer2StatusTarget(Space, node, () => new OwnerReference("v1", "Node", node, $"uid-of-{node}")),
            _parts.Metrics, _parts.Time, new Random(1), NullLogger<Layer2StatusWriter>.Instance)
        {
            HasDecided = hasDecided ?? (static () => true),
        };
        _lives.Add((life, writer.RunAsync(life.Token)));
        return writer;
    }

    /// <summary>Ends all speakers, as SIGKILL does: what they wrote stays.</summary>
    private async Task StopAsync()
    {
        foreach (var (life, running) in _lives)
        {
            await life.CancelAsync();
            await running;
            life.Dispose();
        }
        _lives.Clear();
    }

    /// <summary>Has a speaker look at all objects.</summary>
    private async Task LookAsync(Layer2StatusWriter writer)
    {
        writer.Decided(Look, Announced);
        await Eventually.TrueAsync(() => Written.Any(static item => item.StartsWith("look ", StringComparison.Ordinal)));
        writer.Decided(Look, Elsewhere);
        await Eventually.TrueAsync(() => !Written.Any(static item => item.StartsWith("look ", StringComparison.Ordinal)));
    }

    /// <summary>Lets time pass until something is so.</summary>
    private Task EventuallyLaterAsync(TimeSpan step, Func<bool> condition) => Eventually.TrueAsync(() =>
    {
        if (condition())
            return true;
        _parts.Time.Advance(step);
        return false;
    });
}
