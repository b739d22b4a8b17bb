using System.Buffers;
using System.Net;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Status;

/// <summary>
/// Says in a condition of the Service that another machine has its address, and when that is over. Of each Service the last word counts; what could not be written is tried again.
/// Nothing here blocks or fails the caller.
/// </summary>
internal sealed partial class ConflictConditions(IKubernetesClient client, Random random, TimeProvider time, ILogger<ConflictConditions> logger)
{
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Backoff _backoff = new(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1), random);
    private readonly Lock _lock = new();
    private Dictionary<NamespacedName, string?> _wanted = [];

    /// <summary>Another machine has an address of a Service, or no more. Thread-safe; does not wait.</summary>
    /// <param name="service">The Service.</param>
    /// <param name="message">Which address and which machine; null when it is over.</param>
    public void Set(NamespacedName service, string? message)
    {
        lock (_lock)
            _wanted[service] = message;
        _wake.Writer.TryWrite(true);
    }

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var failed = new Dictionary<NamespacedName, string?>();
        var pause = Timeout.InfiniteTimeSpan;
        try
        {
            while (true)
            {
                bool isNew = await WaitAsync(pause, cancellationToken);
                var batch = Take();
                foreach (var (service, message) in isNew ? [] : failed)
                    batch.TryAdd(service, message);
                foreach (var (service, message) in batch)
                {
                    if (await WriteAsync(service, message, cancellationToken))
                        failed.Remove(service);
                    else
                        failed[service] = message;
                }
                if (failed.Count == 0)
                {
                    _backoff.Reset();
                    pause = Timeout.InfiniteTimeSpan;
                }
                else if (!isNew || pause == Timeout.InfiniteTimeSpan)
                {
                    pause = _backoff.Next();
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    private Dictionary<NamespacedName, string?> Take()
    {
        lock (_lock)
        {
            (var wanted, _wanted) = (_wanted, []);
            return wanted;
        }
    }

    /// <summary>Waits for something new (true), or until what failed is to be tried again.</summary>
    private async Task<bool> WaitAsync(TimeSpan pause, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(pause, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            return await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>Whether nothing is left to do.</summary>
    private async Task<bool> WriteAsync(NamespacedName service, string? message, CancellationToken cancellationToken)
    {
        try
        {
            await client.PatchAsync(ResourceTypes.Services, service.Namespace, service.Name, PatchType.Strategic, Body(message), "status", cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // It is gone, and the condition with it.
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Forbidden)
        {
            // Not by default: see manifests/speaker-conditions.yaml. The Event says the same.
            LogForbidden(logger, service.ToString());
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            LogFailed(logger, service.ToString(), e.Message);
            return false;
        }
        return true;
    }

    private byte[] Body(string? message)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("status");
            json.WriteStartArray("conditions");
            json.WriteStartObject();
            json.WriteString("type", Conditions.AddressConflict);
            json.WriteString("status", message is null ? "False" : "True");
            json.WriteString("reason", message is null ? "Free" : "InUse");
            json.WriteString("message", message ?? "no other machine has the address");
            json.WriteString("lastTransitionTime", time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture));
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    [LoggerMessage(2, LogLevel.Debug, "The condition of {Service} is left out: it may not be written")]
    private static partial void LogForbidden(ILogger logger, string service);

    [LoggerMessage(1, LogLevel.Warning, "The condition of {Service} could not be written, and is tried again: {Cause}")]
    private static partial void LogFailed(ILogger logger, string service, string cause);
}
