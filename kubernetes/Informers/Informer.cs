using System.Collections.Concurrent;
using System.Net;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Kubernetes.Informers;

/// <summary>
/// Lists, then watches, and starts over when it must: after a 410 or a broken list the differences to the copy are worked out, so that an object which
/// vanished meanwhile is reported as removed. No failure ends it; pauses between tries grow to <see cref="MaxPause"/>.
/// </summary>
/// <remarks><see cref="RunAsync"/> is to be called once. <see cref="IInformer{T}.Subscribe"/> before it.</remarks>
public sealed partial class Informer<T> : IInformer<T>
    where T : KubernetesObject
{
    /// <summary>The longest pause between two tries.</summary>
    public static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(10);

    private readonly IKubernetesClient _client;
    private readonly Func<CancellationToken, Task<ResourceType<T>>> _findType;
    private readonly string? _namespace;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<NamespacedName, T> _items = new();
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly List<TaskCompletionSource> _awaited = [];
    private CancellationTokenSource? _interrupt;
    private long _listedAt = long.MinValue;
    private Action<T?, T?>[] _subscribers = [];

    /// <summary>Creates an informer for a type that every server serves.</summary>
    /// <param name="client">The API.</param>
    /// <param name="type">What to follow.</param>
    /// <param name="namespace">Where; null for everywhere.</param>
    /// <param name="time">The clock.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="logger">Where failures are told.</param>
    public Informer(IKubernetesClient client, ResourceType<T> type, string? @namespace, TimeProvider time, Random random, ILogger logger)
        : this(client, _ => Task.FromResult(type), @namespace, time, random, logger)
    {
    }

    /// <summary>Creates an informer for a type whose version has to be found first; finding is retried like everything else.</summary>
    public Informer(
        IKubernetesClient client, Func<CancellationToken, Task<ResourceType<T>>> findType, string? @namespace, TimeProvider time, Random random,
        ILogger logger)
    {
        _client = client;
        _findType = findType;
        _namespace = @namespace;
        _time = time;
        _random = random;
        _logger = logger;
    }

    /// <summary>What is kept of an object: all, unless something else is said. The name, the namespace and the version must be.</summary>
    public Func<T, T> Trim { get; init; } = static item => item;

    /// <inheritdoc/>
    public bool HasSynced => _synced.Task.IsCompletedSuccessfully;

    /// <inheritdoc/>
    public IReadOnlyCollection<T> Items => (IReadOnlyCollection<T>)_items.Values;

    /// <inheritdoc/>
    public T? Get(NamespacedName name) => _items.GetValueOrDefault(name);

    /// <inheritdoc/>
    public void Subscribe(Action<T?, T?> changed) => _subscribers = [.. _subscribers, changed];

    /// <inheritdoc/>
    public Task WaitForSyncAsync(CancellationToken cancellationToken) => _synced.Task.WaitAsync(cancellationToken);

    /// <summary>Completes when the copy is no older than a moment: lists anew, unless the last list began after it. For who has to know all that was written up to then.</summary>
    /// <param name="since">A timestamp of the time provider.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task RefreshAsync(long since, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (HasSynced && _listedAt >= since)
                return Task.CompletedTask;
            var fresh = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaited.Add(fresh);
            _interrupt?.Cancel();
            return fresh.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Follows the server until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var backoff = new Backoff(TimeSpan.FromMilliseconds(200), MaxPause, _random);
        string? version = null;
        ResourceType<T>? type = null;
        while (!cancellationToken.IsCancellationRequested)
        {
            bool watched = false;
            using var interrupt = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            if (Begin(interrupt))
                version = null;
            try
            {
                type ??= await _findType(interrupt.Token);
                version ??= await ListAsync(type, interrupt.Token);
                long started = _time.GetTimestamp();
                await foreach (var change in _client.WatchAsync(type, _namespace, version, WatchTimeout(), interrupt.Token))
                {
                    Apply(change);
                    version = change.Object.Metadata.ResourceVersion ?? version;
                    backoff.Reset();
                    watched = true;
                }
                if (watched || _time.GetElapsedTime(started) > MaxPause)
                    continue;
                // A server or proxy that ends watches as soon as they begin must not be asked in a tight loop.
                await PauseAsync(backoff.Next(), cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (OperationCanceledException) when (interrupt.IsCancellationRequested)
            {
                // Somebody waits for a new list.
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Gone)
            {
                LogExpired(_logger, typeof(T).Name);
                version = null;
                if (!watched)
                    await PauseAsync(backoff.Next(), cancellationToken);
            }
            catch (Exception e)
            {
                // The server does not take our version, for another cause than its age (restored from a backup, say): start over.
                if (e is KubernetesApiException { StatusCode: HttpStatusCode.GatewayTimeout or HttpStatusCode.BadRequest })
                    version = null;
                var pause = backoff.Next();
                LogFailed(_logger, e.Message, typeof(T).Name, pause.TotalSeconds);
                await PauseAsync(pause, cancellationToken);
            }
            finally
            {
                lock (_lock)
                    _interrupt = null;
            }
        }
    }

    /// <summary>Whether somebody waits for a new list.</summary>
    private bool Begin(CancellationTokenSource interrupt)
    {
        lock (_lock)
        {
            _interrupt = interrupt;
            return _awaited.Count > 0;
        }
    }

    private async Task PauseAsync(TimeSpan pause, CancellationToken cancellationToken) =>
        await Task.Delay(pause, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    private async Task<string> ListAsync(ResourceType<T> type, CancellationToken cancellationToken)
    {
        long started = _time.GetTimestamp();
        int awaited;
        lock (_lock)
            awaited = _awaited.Count;
        var present = new HashSet<NamespacedName>(_items.Count);
        string? version = null;
        await foreach (var page in _client.ListPagesAsync(type, _namespace, cancellationToken))
        {
            if (page.IsFirst)
                present.Clear();
            foreach (var item in page.Items)
                present.Add(Set(item));
            version = page.ResourceVersion;
        }
        foreach (var name in _items.Keys)
        {
            if (!present.Contains(name))
                Remove(name);
        }
        lock (_lock)
        {
            // Who waited for the copy may ask at once how old it is.
            _listedAt = started;
            _synced.TrySetResult();
            _awaited.GetRange(0, awaited).ForEach(static waiter => waiter.TrySetResult());
            _awaited.RemoveRange(0, awaited);
        }
        return version ?? "0";
    }

    private void Apply(in WatchEvent<T> change)
    {
        if (change.Type == WatchEventType.Deleted)
            Remove(NamespacedName.Of(change.Object));
        else if (change.Type != WatchEventType.Bookmark)
            Set(change.Object);
    }

    /// <summary>The name, of the copy that is kept: the whole object is not.</summary>
    private NamespacedName Set(T item)
    {
        var name = NamespacedName.Of(item);
        var old = _items.GetValueOrDefault(name);
        if (old is not null && old.Metadata.ResourceVersion == item.Metadata.ResourceVersion)
            return NamespacedName.Of(old);
        item = Trim(item);
        name = NamespacedName.Of(item);
        _items[name] = item;
        Tell(old, item);
        return name;
    }

    private void Remove(NamespacedName name)
    {
        if (_items.TryRemove(name, out var old))
            Tell(old, null);
    }

    private void Tell(T? old, T? item)
    {
        foreach (var subscriber in _subscribers)
            subscriber(old, item);
    }

    // Spread, so that all watches of all nodes do not end together.
    private TimeSpan WatchTimeout() => TimeSpan.FromSeconds(300 + (_random.NextDouble() * 300));

    [LoggerMessage(1, LogLevel.Information, "The history of {Resource} is gone; listing anew")]
    private static partial void LogExpired(ILogger logger, string resource);

    [LoggerMessage(2, LogLevel.Warning, "Following {Kind} failed, next try in {Seconds:F1} s: {Cause}")]
    private static partial void LogFailed(ILogger logger, string cause, string kind, double seconds);
}
