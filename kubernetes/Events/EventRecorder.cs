using System.Security.Cryptography;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Kubernetes.Events;

/// <summary>Tells Events about objects. Nothing here blocks or fails the caller.</summary>
public interface IEventRecorder
{
    /// <summary>Tells that something normal happened to an object.</summary>
    void Normal(KubernetesObject about, string reason, string message);

    /// <summary>Tells that something went wrong with an object.</summary>
    void Warning(KubernetesObject about, string reason, string message);
}

/// <summary>
/// Writes Events (core/v1) in the background. An Event that repeats is counted up in place, as <c>kubectl describe</c> shows it (<c>x5 over 2m</c>). At most
/// <see cref="Capacity"/> wait; what comes beyond that is dropped and logged. Thread-safe.
/// </summary>
/// <param name="client">The API.</param>
/// <param name="component">Who tells, such as <c>metallb-controller</c>.</param>
/// <param name="host">The node we run on, or null.</param>
/// <param name="time">The clock of the time stamps.</param>
/// <param name="logger">Where drops and failures are told.</param>
/// <param name="capacity">Events that may wait, at least one, where not all of a cluster's Services are to have theirs.</param>
public sealed partial class EventRecorder(IKubernetesClient client, string component, string? host, TimeProvider time, ILogger<EventRecorder> logger, int capacity = EventRecorder.Capacity)
    : IEventRecorder
{
    /// <summary>Events that may wait to be written: those of a cluster whose Services all get their address at once.</summary>
    public const int Capacity = 16_384;

    /// <summary>The longest that an Event waits for what <see cref="YieldsTo"/> tells.</summary>
    public static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(10);

    /// <summary>How long Events that wait at a stop are written still.</summary>
    public static readonly TimeSpan LastWrites = TimeSpan.FromSeconds(2);

    private const int Remembered = 4096;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan SameFor = TimeSpan.FromMinutes(10);

    private readonly Channel<Entry> _queue = Channel.CreateBounded<Entry>(
        new BoundedChannelOptions(capacity) { FullMode = BoundedChannelFullMode.Wait, SingleReader = true });
    private readonly Dictionary<Key, Written> _written = [];
    private int _dropped;
    private volatile bool _stopping;

    /// <summary>
    /// Whether something is being written that matters more: an Event costs the API server as much as an address. Asked from the loop that writes: must be thread-safe, and cheap.
    /// </summary>
    public Func<bool> YieldsTo { get; init; } = static () => false;

    /// <inheritdoc/>
    public void Normal(KubernetesObject about, string reason, string message) => Record(about, "Normal", reason, message);

    /// <inheritdoc/>
    public void Warning(KubernetesObject about, string reason, string message) => Record(about, "Warning", reason, message);

    /// <summary>Writes until cancelled, and then for <see cref="LastWrites"/> at most what waits still. To be called once.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var writing = new CancellationTokenSource();
        await using var limit = time.CreateTimer(static writing => ((CancellationTokenSource)writing!).Cancel(), writing, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        await using var stop = cancellationToken.Register(() =>
        {
            limit.Change(LastWrites, Timeout.InfiniteTimeSpan);
            _stopping = true;
            _queue.Writer.Complete();
        });
        int left = 0;
        try
        {
            await foreach (var entry in _queue.Reader.ReadAllAsync(writing.Token))
            {
                left = 1;
                while (!_stopping && YieldsTo() && time.GetElapsedTime(entry.Since) < MostDelay)
                    await Task.Delay(Pause, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                // Whoever does not answer now will not do so for the rest.
                if (!await TryWriteAsync(entry, writing.Token) && _stopping)
                    break;
                left = 0;
                if (_queue.Reader.Count < capacity / 2 && Interlocked.Exchange(ref _dropped, 0) is > 1 and var dropped)
                    LogAllDropped(logger, dropped);
            }
        }
        catch (OperationCanceledException) when (writing.IsCancellationRequested)
        {
            // The moment is over.
        }
        left += _queue.Reader.Count;
        if (left > 0)
            LogLeft(logger, left);
    }

    private void Record(KubernetesObject about, string type, string reason, string message)
    {
        var name = NamespacedName.Of(about);
        var reference = new ObjectReference
        {
            ApiVersion = about.ApiVersion ?? "v1",
            Kind = about.Kind ?? about.GetType().Name,
            Namespace = about.Metadata.Namespace,
            Name = about.Metadata.Name,
            Uid = about.Metadata.Uid,
            ResourceVersion = about.Metadata.ResourceVersion,
        };
        // The API refuses messages of more than 1024 characters.
        string text = message.Length <= 1024 ? message : message[..1021] + "...";
        // Thousands may come at once, with a first list: then the first is told, and how many it were in the end.
        if (!_queue.Writer.TryWrite(new Entry(new Key(about.Metadata.Uid, name, type, reason, text), name, reference, time.GetUtcNow(), time.GetTimestamp()))
            && !_stopping && Interlocked.Increment(ref _dropped) == 1)
            LogDropped(logger, reason, name.ToString());
    }

    /// <summary>Writes, or tells why not. Whether the API answered, be it that it refused.</summary>
    private async Task<bool> TryWriteAsync(Entry entry, CancellationToken cancellationToken)
    {
        try
        {
            await WriteAsync(entry, cancellationToken);
            return true;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            LogFailed(logger, entry.Key.Reason, entry.About.ToString(), e.Message);
            return e is KubernetesApiException;
        }
    }

    private async Task WriteAsync(Entry entry, CancellationToken cancellationToken)
    {
        string space = entry.About.Namespace.Length > 0 ? entry.About.Namespace : "default";
        string now = KubernetesTime.Format(entry.At);
        if (_written.TryGetValue(entry.Key, out var earlier) && entry.At - earlier.At < SameFor)
        {
            try
            {
                int count = earlier.Count + 1;
                await client.PatchAsync(
                    ResourceTypes.Events, space, earlier.Name, PatchType.Merge,
                    JsonSerializer.SerializeToUtf8Bytes(
                        new CoreEvent { Count = count, LastTimestamp = now, Metadata = new ObjectMeta() }, KubernetesJsonContext.Default.CoreEvent),
                    null, cancellationToken);
                _written[entry.Key] = new Written(earlier.Name, count, entry.At);
                return;
            }
            catch (KubernetesApiException e) when (e.StatusCode == System.Net.HttpStatusCode.NotFound)
            {
                // It has aged out at the server: write it anew.
            }
        }

        var created = await client.CreateAsync(
            ResourceTypes.Events,
            new CoreEvent
            {
                Metadata = new ObjectMeta { Name = $"{entry.About.Name}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}", Namespace = space },
                InvolvedObject = entry.Reference,
                Type = entry.Key.Type,
                Reason = entry.Key.Reason,
                Message = entry.Key.Message,
                Source = new EventSource { Component = component, Host = host },
                FirstTimestamp = now,
                LastTimestamp = now,
                Count = 1,
            },
            cancellationToken);
        if (_written.Count >= Remembered)
            _written.Clear();
        _written[entry.Key] = new Written(created.Metadata.Name!, 1, entry.At);
    }

    private readonly record struct Key(string? Uid, NamespacedName About, string Type, string Reason, string Message);

    private readonly record struct Entry(Key Key, NamespacedName About, ObjectReference Reference, DateTimeOffset At, long Since);

    private readonly record struct Written(string Name, int Count, DateTimeOffset At);

    [LoggerMessage(1, LogLevel.Warning, "Event {Reason} about {Object} dropped: too many wait to be written; those that follow are counted")]
    private static partial void LogDropped(ILogger logger, string reason, string @object);

    [LoggerMessage(3, LogLevel.Warning, "{Count} Events were dropped, since too many waited to be written")]
    private static partial void LogAllDropped(ILogger logger, int count);

    [LoggerMessage(4, LogLevel.Warning, "{Count} Events were not written before the stop")]
    private static partial void LogLeft(ILogger logger, int count);

    [LoggerMessage(2, LogLevel.Warning, "Event {Reason} about {Object} could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string reason, string @object, string cause);
}
