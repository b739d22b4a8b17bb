using System.Buffers;
using System.Net;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Status;

/// <summary>Says in a condition of the Service that another machine has its address, and when that is over. Nothing here blocks or fails the caller.</summary>
internal sealed partial class ConflictConditions(IKubernetesClient client, TimeProvider time, ILogger<ConflictConditions> logger)
{
    /// <summary>Changes that may wait to be written.</summary>
    private const int Capacity = 1000;

    private readonly Channel<(NamespacedName Service, string? Message)> _queue =
        Channel.CreateBounded<(NamespacedName Service, string? Message)>(new BoundedChannelOptions(Capacity) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    /// <summary>Another machine has an address of a Service, or no more. Thread-safe; does not wait.</summary>
    /// <param name="service">The Service.</param>
    /// <param name="message">Which address and which machine; null when it is over.</param>
    public void Set(NamespacedName service, string? message) => _queue.Writer.TryWrite((service, message));

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var (service, message) in _queue.Reader.ReadAllAsync(cancellationToken))
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
                catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
                {
                    LogFailed(logger, service.ToString(), e.Message);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
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

    [LoggerMessage(1, LogLevel.Warning, "The condition of {Service} could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string service, string cause);
}
