using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.Hosting;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Status;

/// <summary>
/// Says in ServiceL2Status objects which Services this node announces: who announces writes its own and takes away those that others left; who stops takes its own away. Its names
/// follow from node and Service, so that a speaker that starts anew finds what it wrote before; they go with the Node, and what is about a Service or a node that is gone is
/// taken away by any speaker. Where the cluster has no such kind, nothing is written.
/// </summary>
/// <param name="client">The API.</param>
/// <param name="written">The objects of all nodes.</param>
/// <param name="isGone">Whether there is no such Service, or no such node, any more; that which is not known for sure is not gone.</param>
/// <param name="target">Where the objects are, and whose.</param>
/// <param name="metrics">Where failures are counted.</param>
/// <param name="time">The clock.</param>
/// <param name="random">Spreads what all speakers may do.</param>
/// <param name="logger">Where failures are told.</param>
internal sealed partial class Layer2StatusWriter(
    IKubernetesClient client, Informer<ServiceL2Status> written, Func<NamespacedName, string, bool> isGone, Layer2StatusTarget target, SpeakerMetrics metrics, TimeProvider time,
    Random random, ILogger<Layer2StatusWriter> logger)
{
    /// <summary>
    /// In what time another node's object is taken away <see cref="Burst"/> times at most, and how long one about something that is gone stays at least. Two nodes that each take the other for dead, as in a LAN that
    /// fell in two, do not drive each other on.
    /// </summary>
    public static readonly TimeSpan Pace = TimeSpan.FromSeconds(30);

    /// <summary>How often within <see cref="Pace"/> all the same: an address may change hands more than once.</summary>
    public const int Burst = 3;

    /// <summary>How long the first decision waits for what is written, when all else is known.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(15);

    /// <summary>How long what failed is left alone.</summary>
    public static readonly TimeSpan PauseAfterFault = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LookAnyway = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LookForDecisions = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<NamespacedName, IReadOnlyList<string>> _wanted = new();
    private readonly ConcurrentDictionary<NamespacedName, ConcurrentDictionary<string, string>> _announcers = new();
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly TaskCompletionSource _known = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _start = time.GetTimestamp();

    // Of the loop: by the names of objects, when they may be touched next, and since when they have been about nothing.
    private readonly Dictionary<string, TimeSpan> _notBefore = [];
    private readonly Dictionary<string, TimeSpan> _orphans = [];
    private readonly HashSet<string> _lost = [];
    private readonly Dictionary<string, (TimeSpan Since, int Count)> _takenAway = [];
    private string _told = "";

    /// <summary>Another node than before announces a Service.</summary>
    public event Action<NamespacedName>? AnnouncersChanged;

    /// <summary>Whether all Services have been looked at once, by a node that others know of: before, what this node wrote in its former life stays.</summary>
    public Func<bool> HasDecided { get; set; } = static () => true;

    /// <summary>Whether we are about to stop: who takes over says so already, and that is not to be taken away.</summary>
    public Func<bool> IsLeaving { get; set; } = static () => false;

    private TimeSpan Now => time.GetElapsedTime(_start);

    /// <summary>What was decided about a Service. Thread-safe; does not wait.</summary>
    public void Decided(NamespacedName service, Decision decision)
    {
        if (decision.Reason == SilenceReason.None)
            _wanted[service] = [.. (decision.Interfaces ?? new HashSet<string>()).Order(StringComparer.Ordinal)];
        else if (!_wanted.TryRemove(service, out _))
            return;
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Whether the objects of all nodes are known; never where the cluster has no such kind. Thread-safe.</summary>
    public bool IsInSync => written.HasSynced;

    /// <summary>The nodes that announce a Service, as their objects say. Thread-safe.</summary>
    public IReadOnlyCollection<string> AnnouncersOf(NamespacedName service) =>
        _announcers.TryGetValue(service, out var nodes) ? [.. nodes.Values.Distinct(StringComparer.Ordinal)] : [];

    /// <summary>
    /// Waits until it is known what all nodes have written, or that the cluster has no such kind; <see cref="LongestWait"/> at most, for this node does not stay silent because a
    /// definition of long ago or a missing right lets nobody know.
    /// </summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        using var longest = new CancellationTokenSource(LongestWait, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, longest.Token);
        await _known.Task.WaitAsync(either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        written.Subscribe(Index);
        try
        {
            while (await IsServedAsync(cancellationToken) is var isServed && isServed != true)
            {
                if (isServed == false)
                    _known.TrySetResult();
                await Task.Delay(isServed is null ? PauseAfterFault : LookAnyway, time, cancellationToken);
            }
            await Together.RunAsync(cancellationToken, written.RunAsync, WriteAsync);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop. Who takes over takes our objects away.
        }
    }

    /// <summary>The name of the object of a node and a Service.</summary>
    internal static string NameOf(string node, NamespacedName service) =>
        $"l2-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{node}/{service}")).AsSpan(0, 8))}";

    /// <summary>What the informer tells; by one thread at a time.</summary>
    private void Index(ServiceL2Status? old, ServiceL2Status? now)
    {
        if ((now ?? old) is not { } status || ServiceOf(status) is not { } service)
            return;
        string name = status.Metadata.Name ?? "";
        if (now is null)
        {
            if (_announcers.TryGetValue(service, out var nodes) && nodes.TryRemove(name, out _) && nodes.IsEmpty)
                _announcers.TryRemove(service, out _);
        }
        else if (NodeOf(now) is { } node)
        {
            _announcers.GetOrAdd(service, static _ => new ConcurrentDictionary<string, string>(StringComparer.Ordinal))[name] = node;
        }
        AnnouncersChanged?.Invoke(service);
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Whether the cluster has the kind; null when nobody says.</summary>
    private async Task<bool?> IsServedAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await client.ServesAsync(ServiceL2Status.Type.ApiVersion, cancellationToken);
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            return null;
        }
    }

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        await written.WaitForSyncAsync(cancellationToken);
        _known.TrySetResult();
        while (true)
        {
            if (!await WriteAllAsync(cancellationToken))
            {
                await Task.Delay(PauseAfterFault, time, cancellationToken);
                continue;
            }
            using var timeout = new CancellationTokenSource(NextLook(), time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
            try
            {
                await _wake.Reader.ReadAsync(either.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                // Time to look.
            }
        }
    }

    private TimeSpan NextLook()
    {
        var now = Now;
        var next = HasDecided() ? LookAnyway : LookForDecisions;
        foreach (var due in _notBefore.Values.Concat(_orphans.Where(entry => !_notBefore.ContainsKey(entry.Key)).Select(static entry => entry.Value)))
            next = due - now < next ? due - now : next;
        // Many that are due one after the other are looked at together.
        return next > LookForDecisions ? next : LookForDecisions;
    }

    /// <summary>Writes and takes away what there is to. Whether the server let us: what fails for one object alone is tried again later, and holds up no other.</summary>
    private async Task<bool> WriteAllAsync(CancellationToken cancellationToken)
    {
        bool isFaulty = false;
        bool hasDecided = HasDecided();
        foreach (string due in _notBefore.Where(entry => entry.Value <= Now).Select(static entry => entry.Key).ToList())
            _notBefore.Remove(due);
        foreach (string former in _takenAway.Where(entry => Now - entry.Value.Since >= Pace).Select(static entry => entry.Key).ToList())
            _takenAway.Remove(former);
        foreach (string former in _orphans.Keys.Where(name => written.Get(new NamespacedName(target.Namespace, name)) is null).ToList())
            _orphans.Remove(former);
        // First: whoever comes back meanwhile learns by it what is in use.
        foreach (var (service, interfaces) in _wanted)
        {
            string name = NameOf(target.Node, service);
            // Somebody took it away while it was written: it is made again at once.
            if (_lost.Contains(name) && written.Get(new NamespacedName(target.Namespace, name)) is null)
                _notBefore.Remove(name);
            if (!await TryAsync(name, () => WriteAsync(service, interfaces, cancellationToken)))
                return false;
        }
        foreach (var status in written.Items)
        {
            if (MustGo(status, hasDecided) && !await TryAsync(status.Metadata.Name!, () => DeleteAsync(status, cancellationToken)))
                return false;
        }
        if (!isFaulty)
            _told = "";
        return true;

        async Task<bool> TryAsync(string name, Func<Task> write)
        {
            if (_notBefore.ContainsKey(name))
                return true;
            _lost.Remove(name);
            try
            {
                await write();
                return true;
            }
            catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
            {
                isFaulty = true;
                metrics.UpdateFailed();
                if (e.Message != _told)
                    LogFailed(logger, $"{target.Namespace}/{name}", e.Message);
                _told = e.Message;
                _notBefore[name] = Now + PauseAfterFault;
                if (e is KubernetesApiException { StatusCode: HttpStatusCode.NotFound })
                    _lost.Add(name);
                // About the object alone: it was taken away meanwhile, or somebody's policy is against it.
                return e is KubernetesApiException { StatusCode: HttpStatusCode.NotFound or HttpStatusCode.Conflict or HttpStatusCode.BadRequest or HttpStatusCode.UnprocessableEntity };
            }
        }
    }

    private bool MustGo(ServiceL2Status status, bool hasDecided)
    {
        var service = ServiceOf(status);
        bool isAnnounced = service is { } known && _wanted.ContainsKey(known);
        string name = status.Metadata.Name ?? "";
        if (NodeOf(status) == target.Node)
            return hasDecided && (!isAnnounced || name != NameOf(target.Node, service!.Value));
        if (isAnnounced || service is not { } about || NodeOf(status) is not { } node || !isGone(about, node))
        {
            _orphans.Remove(name);
            return isAnnounced && !IsLeaving();
        }
        // All speakers see it: one of them is the first.
        return Now >= (_orphans.TryGetValue(name, out var due) ? due : _orphans[name] = Now + (Pace * (1 + random.NextDouble())));
    }

    private async Task WriteAsync(NamespacedName service, IReadOnlyList<string> interfaces, CancellationToken cancellationToken)
    {
        string name = NameOf(target.Node, service);
        var current = written.Get(new NamespacedName(target.Namespace, name));
        if (current is null)
            await CreateAsync(name, service, cancellationToken);
        if (current?.Status is not { } status || status.Node != target.Node || !(status.Interfaces ?? []).Select(static item => item.Name).SequenceEqual(interfaces))
        {
            var patch = new ServiceL2Status
            {
                Metadata = new ObjectMeta(),
                Status = new ServiceL2StatusStatus
                {
                    Node = target.Node,
                    ServiceName = service.Name,
                    ServiceNamespace = service.Namespace,
                    Interfaces = [.. interfaces.Select(static item => new NamedInterface { Name = item })],
                },
            };
            await PatchAsync(name, patch, "status", cancellationToken);
        }
    }

    private async Task CreateAsync(string name, NamespacedName service, CancellationToken cancellationToken)
    {
        var labels = new Dictionary<string, string>
        {
            [ServiceL2Status.NodeLabel] = target.Node,
            [ServiceL2Status.ServiceNameLabel] = service.Name,
            [ServiceL2Status.ServiceNamespaceLabel] = service.Namespace,
        };
        try
        {
            await client.CreateAsync(
                ServiceL2Status.Type,
                new ServiceL2Status
                {
                    Metadata = new ObjectMeta { Name = name, Namespace = target.Namespace, Labels = labels, OwnerReferences = target.Owner() is { } owner ? [owner] : null },
                },
                cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
        {
            // The informer has not told us of it yet.
        }
    }

    private Task<ServiceL2Status> PatchAsync(string name, ServiceL2Status patch, string? subresource, CancellationToken cancellationToken) => client.PatchAsync(
        ServiceL2Status.Type, target.Namespace, name, PatchType.Merge, JsonSerializer.SerializeToUtf8Bytes(patch, ServiceL2Status.Type.TypeInfo), subresource, cancellationToken);

    private async Task DeleteAsync(ServiceL2Status status, CancellationToken cancellationToken)
    {
        string name = status.Metadata.Name!;
        try
        {
            await client.DeleteAsync(ServiceL2Status.Type, status.Metadata.Namespace, name, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // Somebody was faster.
        }
        if (NodeOf(status) == target.Node)
            return;
        var (since, count) = _takenAway.TryGetValue(name, out var before) && Now - before.Since < Pace ? before : (Now, 0);
        _takenAway[name] = (since, ++count);
        if (count >= Burst)
            _notBefore[name] = since + Pace;
    }

    private static string? NodeOf(ServiceL2Status status) => status.Metadata.Labels?.GetValueOrDefault(ServiceL2Status.NodeLabel);

    private static NamespacedName? ServiceOf(ServiceL2Status status) =>
        status.Metadata.Labels is { } labels && labels.TryGetValue(ServiceL2Status.ServiceNameLabel, out var name)
            && labels.TryGetValue(ServiceL2Status.ServiceNamespaceLabel, out var space)
            ? new NamespacedName(space, name)
            : null;

    [LoggerMessage(1, LogLevel.Warning, "ServiceL2Status {Name} could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string name, string cause);
}

/// <summary>Where a speaker writes its ServiceL2Status.</summary>
/// <param name="Namespace">The namespace of the objects.</param>
/// <param name="Node">The speaker's node.</param>
/// <param name="Owner">Its Node, with which they go; null while it is not known.</param>
internal sealed record Layer2StatusTarget(string Namespace, string Node, Func<OwnerReference?> Owner);
