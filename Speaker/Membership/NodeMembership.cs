using System.Net;
using System.Threading.Channels;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Membership;

/// <summary>Who of the speakers is alive.</summary>
internal interface IMembership
{
    /// <summary>The members changed.</summary>
    event Action? Changed;

    /// <summary>The others know of us again after they had to take us for dead.</summary>
    event Action? Rejoined;

    /// <summary>Nodes whose speakers are alive; ours among them from the moment on that others can know of it. Thread-safe.</summary>
    IReadOnlySet<string> Members { get; }

    /// <summary>
    /// Whether a machine that claims an address of ours may rightly have taken over from us: we are about to go, or it cannot know of us. Whenever that ends,
    /// <see cref="Changed"/> or <see cref="Rejoined"/> follows. Thread-safe.
    /// </summary>
    /// <param name="mac">Where the claim came from.</param>
    bool MustYieldTo(Networking.Addresses.MacAddress mac);

    /// <summary>Whether one of these interfaces of ours (null: any) takes part. Whenever that changes, <see cref="Changed"/> follows. Thread-safe.</summary>
    bool HasLink(IReadOnlySet<string>? interfaces);

    /// <summary>Tells which of the members can serve the users of an address: those that reach the segment on which they are. Thread-safe.</summary>
    /// <param name="address">The address.</param>
    /// <param name="interfaces">Our interfaces on which it may be announced; null for all.</param>
    Func<string, bool> WhoServes(System.Net.IPAddress address, IReadOnlySet<string>? interfaces);

    /// <summary>Another machine claimed an address of ours by ARP: it is on the same segment, whatever else is heard of it. Thread-safe.</summary>
    void SeenOtherwise(Networking.Addresses.MacAddress mac);

    /// <summary>Whether a hardware address is known to be another speaker's: an address of ours that is there is no conflict. Thread-safe.</summary>
    bool IsSpeaker(Networking.Addresses.MacAddress mac);
}

/// <summary>
/// Tells the other speakers that we are alive, and knows who of them is: one Lease for each node, renewed three times in its term. What the API server has to carry grows with
/// the nodes, never with the Services.
/// </summary>
internal sealed partial class NodeMembership
{
    private const string Prefix = "speaker-";
    private const string BeatsAnnotation = "dynamiclb.io/heartbeats";

    // How often we look whether somebody has become silent.
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);

    private readonly IKubernetesClient _client;
    private readonly string _namespace;
    private readonly string _me;
    private readonly TimeSpan _duration;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Func<bool> _beats;
    private readonly Func<OwnerReference?> _owner;
    private readonly long _start;
    private readonly Lock _lock = new();
    private readonly MemberTable _table;
    private readonly Channel<bool> _renew = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private volatile IReadOnlySet<string> _members;
    private volatile bool _isCutOff = true;
    private volatile bool _isLeaving;
    private bool _mustRejoin;

    /// <param name="client">The API.</param>
    /// <param name="options">The settings.</param>
    /// <param name="namespace">Where the Leases are.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="logger">The log.</param>
    /// <param name="beats">Whether we send heartbeats.</param>
    /// <param name="owner">Our Node, with which our Lease ends; null when it is not known.</param>
    public NodeMembership(
        IKubernetesClient client, SpeakerOptions options, string @namespace, TimeProvider time, Random random, ILogger<NodeMembership> logger,
        Func<bool>? beats = null, Func<OwnerReference?>? owner = null)
    {
        _beats = beats ?? (static () => false);
        _owner = owner ?? (static () => null);
        _client = client;
        _namespace = @namespace;
        _me = options.NodeName;
        _duration = options.LeaseDuration;
        _time = time;
        _logger = logger;
        _start = time.GetTimestamp();
        _table = new MemberTable(_me, _duration);
        _members = _table.Members;
        // The others count from our last renewal, which was up to a third of the term before the pause.
        Guard = new PauseGuard(time, _duration / 2);
        Leases = new Informer<Lease>(client, ResourceTypes.Leases, @namespace, time, random, logger);
        Leases.Subscribe(Observe);
    }

    /// <summary><see cref="Members"/> changed, or what <see cref="IsBeating"/> tells.</summary>
    public event Action? Changed;

    /// <summary>The others know of us again: our renewals come back after a time in which they did not, or <see cref="KnownOtherwise"/> was told after a pause.</summary>
    public event Action? Rejoined;

    /// <summary>The speakers' Leases.</summary>
    public Informer<Lease> Leases { get; }

    /// <summary>Notices that our process stood still.</summary>
    public PauseGuard Guard { get; }

    /// <summary>Nodes whose Leases are alive; ours among them from the moment on that others can know of it. Thread-safe.</summary>
    public IReadOnlySet<string> Members => _members;

    /// <summary>Whether the others can know of us. Thread-safe.</summary>
    public bool HasJoined => _members.Contains(_me);

    /// <summary>Whether we are about to stop. Thread-safe.</summary>
    public bool IsLeaving => _isLeaving;

    /// <summary>Whether our renewals do not come back. Thread-safe.</summary>
    public bool IsCutOff => _isCutOff;

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Renews until cancelled, then gives the Lease up, so that others take over at once.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        // How long the API server took to answer until now is no pause of ours.
        Guard.Tick();
        Guard.Resume();
        using var look = _time.CreateTimer(_ => Look(), null, LookEvery, LookEvery);
        using var renew = _time.CreateTimer(_ => Renew(), null, _duration / 3, _duration / 3);
        do
        {
            await TryWriteAsync(Holder(), cancellationToken);
        }
        while (await NextAsync(cancellationToken));

        _isLeaving = true;
        using var brief = new CancellationTokenSource(TimeSpan.FromSeconds(1), _time);
        await TryWriteAsync("", brief.Token);
        LogReleased(_logger);
    }

    /// <summary>
    /// The others know of us by something else than our Lease, and heard of it after whatever pause there was: it is over. May be told at any time. Thread-safe.
    /// </summary>
    public void KnownOtherwise()
    {
        bool ended;
        lock (_lock)
        {
            NoticePause_NeedsLock();
            ended = Guard.Resume();
        }
        if (!ended)
            return;
        LogRejoined(_logger);
        Rejoined?.Invoke();
    }

    private void Renew() => _renew.Writer.TryWrite(true);

    private string Holder()
    {
        lock (_lock)
            return _table.MayJoin ? _me : "";
    }

    private async ValueTask<bool> NextAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _renew.Reader.ReadAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    /// <summary>The Lease is ours alone, so it is written over without looking: one request, and no conflict to solve.</summary>
    private async Task TryWriteAsync(string holder, CancellationToken cancellationToken)
    {
        var lease = new Lease
        {
            Metadata = new ObjectMeta { Name = Prefix + _me, Namespace = _namespace, Annotations = Says(), OwnerReferences = _owner() is { } node ? [node] : null },
            Spec = new LeaseSpec
            {
                HolderIdentity = holder,
                LeaseDurationSeconds = (int)_duration.TotalSeconds,
                RenewTime = KubernetesTime.FormatMicro(_time.GetUtcNow()),
            },
        };
        lock (_lock)
            _table.Writing(lease.Spec.RenewTime);
        try
        {
            using var timeout = new CancellationTokenSource(_duration / 2, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
            byte[] patch = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
                lease with { Metadata = new ObjectMeta { Annotations = Says() } }, KubernetesJsonContext.Default.Lease);
            try
            {
                await _client.PatchAsync(ResourceTypes.Leases, _namespace, Prefix + _me, PatchType.Merge, patch, null, either.Token);
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound && !_isLeaving)
            {
                await _client.CreateAsync(ResourceTypes.Leases, lease, either.Token);
            }
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException or OperationCanceledException)
        {
            if (!cancellationToken.IsCancellationRequested)
                LogNotRenewed(_logger, e.Message);
        }
    }

    /// <summary>Whether a node's Lease says that it sends heartbeats. Thread-safe.</summary>
    public bool IsBeating(string node) => SaysThatItBeats(Leases.Get(new NamespacedName(_namespace, Prefix + node)));

    private static bool SaysThatItBeats(Lease? lease) => lease?.Metadata.Annotation(BeatsAnnotation) == "true";

    private Dictionary<string, string> Says() => new(StringComparer.Ordinal) { [BeatsAnnotation] = _beats() ? "true" : "false" };

    private void Observe(Lease? old, Lease? lease)
    {
        string name = (lease ?? old)!.Metadata.Name ?? "";
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
            return;
        string about = name[Prefix.Length..];
        bool rejoined = false;
        lock (_lock)
        {
            if (_table.Observe(about, lease, Now) && _mustRejoin)
            {
                rejoined = true;
                _mustRejoin = false;
                Guard.Resume();
            }
        }
        // Whoever deleted it made the others take us for dead.
        if (lease is null && about == _me)
            Renew();
        Evaluate(SaysThatItBeats(old) != SaysThatItBeats(lease));
        if (rejoined)
        {
            LogRejoined(_logger);
            Rejoined?.Invoke();
        }
    }

    private void Look()
    {
        bool paused;
        lock (_lock)
            paused = NoticePause_NeedsLock();
        if (paused)
            LogPaused(_logger);
        Evaluate(false);
    }

    // Under the lock: a renewal of before the pause that comes back now does not end it.
    private bool NoticePause_NeedsLock()
    {
        if (!Guard.Tick())
            return false;
        _table.ForgetWrites();
        return _mustRejoin = true;
    }

    /// <param name="saysElse">Whether a Lease says something else than before about heartbeats.</param>
    private void Evaluate(bool saysElse)
    {
        bool changed;
        bool mayJoin;
        lock (_lock)
        {
            bool cutOff = _table.IsCutOff(Now);
            if (cutOff && !_isCutOff)
            {
                _mustRejoin = true;
                LogCutOff(_logger);
            }
            _isCutOff = cutOff;
            mayJoin = _table.MayJoin;
            changed = _table.Evaluate(Now);
            mayJoin = !mayJoin && _table.MayJoin;
            _members = _table.Members;
        }
        if (mayJoin)
            Renew();
        if (changed)
            LogMembers(_logger, string.Join(", ", _members.Order()));
        if (changed || saysElse)
            Changed?.Invoke();
    }

    [LoggerMessage(1, LogLevel.Information, "Speakers alive: {Members}")]
    private static partial void LogMembers(ILogger logger, string members);

    [LoggerMessage(2, LogLevel.Warning, "Our Lease could not be renewed: {Cause}")]
    private static partial void LogNotRenewed(ILogger logger, string cause);

    [LoggerMessage(3, LogLevel.Warning, "Our renewals do not come back: what we announce stays, unless another node claims it")]
    private static partial void LogCutOff(ILogger logger);

    [LoggerMessage(4, LogLevel.Information, "The other speakers know of us again")]
    private static partial void LogRejoined(ILogger logger);

    [LoggerMessage(5, LogLevel.Warning, "This process stood still: nothing is announced before the other speakers have been heard")]
    private static partial void LogPaused(ILogger logger);

    [LoggerMessage(6, LogLevel.Information, "Lease given up")]
    private static partial void LogReleased(ILogger logger);
}
