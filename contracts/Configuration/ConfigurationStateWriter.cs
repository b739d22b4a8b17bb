using System.Buffers;
using System.Net;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;
using Microsoft.Extensions.Logging;

namespace DynamicLb.Contracts.Configuration;

/// <summary>Which ConfigurationState a program writes (MetalLB's names).</summary>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name.</param>
/// <param name="Component">Value of the label <see cref="ConfigurationState.ComponentTypeLabel"/>.</param>
/// <param name="Node">The node of a speaker; null otherwise.</param>
/// <param name="ConditionType">The condition.</param>
/// <param name="FieldManager">Who owns the condition.</param>
public sealed record ConfigurationStateTarget(string Namespace, string Name, string Component, string? Node, string ConditionType, string FieldManager)
{
    /// <summary>Our own Pod, with which it goes; null for none.</summary>
    public OwnerReference? Owner { get; init; }

    /// <summary>That of the controller.</summary>
    public static ConfigurationStateTarget OfController(string @namespace) =>
        new(@namespace, "controller", "controller", null, "poolReconcilerValid", "poolReconciler");

    /// <summary>That of the speaker of a node.</summary>
    public static ConfigurationStateTarget OfSpeaker(string @namespace, string node) =>
        new(@namespace, $"speaker-{node}", "speaker", node, "configReconcilerValid", "configReconciler");
}

/// <summary>
/// Says in a ConfigurationState whether the configuration is good, and lists its faults. It is written when it changes, and again when somebody removes or edits it, which is looked for
/// every <see cref="Interval"/>. Where there is no such kind in the cluster, nothing is written.
/// </summary>
public sealed partial class ConfigurationStateWriter(
    IKubernetesClient client, IConfigSource source, ConfigurationStateTarget target, TimeProvider time, ILogger<ConfigurationStateWriter> logger)
{
    /// <summary>How often it is looked at although nothing happened.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(30);

    // The API allows 32768 characters for a condition's message.
    private const int Longest = 30_000;

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        void Wake() => wake.Writer.TryWrite(true);
        source.Judged += Wake;
        string told = "";
        try
        {
            while (true)
            {
                try
                {
                    if (source.Current is not null || source.Faults.Count > 0)
                        await WriteAsync(cancellationToken);
                    told = "";
                }
                catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
                {
                    if (e.Message != told && e is KubernetesApiException { StatusCode: HttpStatusCode.NotFound })
                        LogAbsent(logger, target.Namespace, target.Name, e.Message);
                    else if (e.Message != told)
                        LogFailed(logger, target.Namespace, target.Name, e.Message);
                    told = e.Message;
                }
                using var timeout = new CancellationTokenSource(Interval, time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
                try
                {
                    await wake.Reader.ReadAsync(either.Token);
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    // Time to look.
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }
        finally
        {
            source.Judged -= Wake;
        }
    }

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        var faults = source.Faults;
        string message = faults.Count == 0 ? "" : $"configuration error: {string.Join('\n', faults)}";
        if (message.Length > Longest)
            message = message[..Longest] + "...";
        var current = await FindAsync(cancellationToken);
        // A Pod of before left it: it would go with that Pod.
        if (current is not null && target.Owner is { } owner && current.Metadata.OwnerReferences?.Any(reference => reference.Uid == owner.Uid) != true)
            await OwnAsync(owner, cancellationToken);
        string result = faults.Count == 0 ? "Valid" : "Invalid", status = faults.Count == 0 ? "True" : "False";
        var condition = current?.Status?.Conditions?.FirstOrDefault(condition => condition.Type == target.ConditionType);
        if (current?.Status?.Result == result && (current.Status.ErrorSummary ?? "") == message && condition?.Status == status && condition.Message == MessageOf(message))
            return;
        if (current is null)
            await CreateAsync(cancellationToken);
        string since = condition?.Status == status && condition.LastTransitionTime is { } before ? before : KubernetesTime.Format(time.GetUtcNow());
        await client.ApplyAsync(
            ConfigResourceTypes.ConfigurationStates, target.Namespace, target.Name, Body(result, status, message, since), "status", target.FieldManager, cancellationToken);
    }

    private Task<ConfigurationState> OwnAsync(OwnerReference owner, CancellationToken cancellationToken)
    {
        var patch = new ConfigurationState { Metadata = new ObjectMeta { OwnerReferences = [owner] } };
        return client.PatchAsync(
            ConfigResourceTypes.ConfigurationStates, target.Namespace, target.Name, PatchType.Merge,
            JsonSerializer.SerializeToUtf8Bytes(patch, ConfigResourceTypes.ConfigurationStates.TypeInfo), null, cancellationToken);
    }

    private byte[] Body(string result, string status, string message, string since)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", ConfigResourceTypes.ConfigurationStates.ApiVersion);
            json.WriteString("kind", ConfigResourceTypes.ConfigurationStates.Kind);
            json.WriteStartObject("metadata");
            json.WriteString("name", target.Name);
            json.WriteString("namespace", target.Namespace);
            json.WriteEndObject();
            json.WriteStartObject("status");
            json.WriteString("result", result);
            // What we owned and leave out is removed. Kubernetes 1.20 takes an empty text in what is applied for null, and refuses it.
            if (message.Length > 0)
                json.WriteString("errorSummary", message);
            json.WriteStartArray("conditions");
            json.WriteStartObject();
            json.WriteString("type", target.ConditionType);
            json.WriteString("status", status);
            json.WriteString("reason", message.Length == 0 ? "Reconciled" : "ConfigurationError");
            json.WriteString("message", MessageOf(message));
            json.WriteString("lastTransitionTime", since);
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    private static string MessageOf(string message) => message.Length > 0 ? message : "the configuration is good";

    private async Task<ConfigurationState?> FindAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await client.GetAsync(ConfigResourceTypes.ConfigurationStates, target.Namespace, target.Name, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }
    }

    private async Task CreateAsync(CancellationToken cancellationToken)
    {
        var labels = new Dictionary<string, string> { [ConfigurationState.ComponentTypeLabel] = target.Component };
        if (target.Node is not null)
            labels["metallb.io/node-name"] = target.Node;
        try
        {
            await client.CreateAsync(
                ConfigResourceTypes.ConfigurationStates,
                new ConfigurationState
                {
                    Metadata = new ObjectMeta { Name = target.Name, Namespace = target.Namespace, Labels = labels, OwnerReferences = target.Owner is { } owner ? [owner] : null },
                },
                cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
        {
            // Another was faster.
        }
    }

    [LoggerMessage(2, LogLevel.Information, "ConfigurationState {Namespace}/{Name} is not written, the cluster has no such kind: {Cause}")]
    private static partial void LogAbsent(ILogger logger, string @namespace, string name, string cause);

    [LoggerMessage(1, LogLevel.Warning, "ConfigurationState {Namespace}/{Name} could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string @namespace, string name, string cause);
}
