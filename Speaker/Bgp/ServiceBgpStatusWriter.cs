using System.Buffers;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Speaker.Status;

namespace DynamicLb.Speaker.Bgp;

/// <summary>
/// Says in ServiceBGPStatus objects which Services this node announces to which peers: one object for each, whose name follows from Service and node, so that it is found again without
/// being looked for. What is there is listed now and then, and put right. Where there is no such kind in the cluster, nothing is written.
/// </summary>
internal sealed partial class ServiceBgpStatusWriter(
    IKubernetesClient client, string space, SpeakerOptions options, BgpReports reports, SpeakerMetrics metrics, TimeProvider time, ILogger<ServiceBgpStatusWriter> logger)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);
    private const string NodeLabel = "metallb.io/node";
    private const string FieldManager = "dynamiclb-speaker";

    private readonly Dictionary<string, string> _written = [];
    private readonly string? _podName = Environment.GetEnvironmentVariable("POD_NAME");
    private readonly string? _podUid = Environment.GetEnvironmentVariable("POD_UID");
    private volatile IReadOnlyDictionary<NamespacedName, IReadOnlyList<string>>? _wanted;

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        void Take(IReadOnlyDictionary<NamespacedName, IReadOnlyList<string>> wanted)
        {
            _wanted = wanted;
            wake.Writer.TryWrite(true);
        }
        reports.Published += Take;
        bool isListed = false;
        long listed = 0;
        string told = "";
        try
        {
            await wake.Reader.ReadAsync(cancellationToken);
            while (true)
            {
                var pause = Interval;
                try
                {
                    if (!isListed || time.GetElapsedTime(listed) >= Interval)
                        await ListAsync(cancellationToken);
                    (isListed, listed) = (true, isListed ? listed : time.GetTimestamp());
                    await WriteAsync(_wanted!, cancellationToken);
                    told = "";
                }
                catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
                {
                    metrics.UpdateFailed();
                    bool isAbsent = e is KubernetesApiException { StatusCode: HttpStatusCode.NotFound };
                    (isListed, pause) = (false, isAbsent ? Interval : RetryAfter);
                    if (e.Message != told && isAbsent)
                        LogAbsent(logger, e.Message);
                    else if (e.Message != told)
                        LogFailed(logger, e.Message);
                    told = e.Message;
                }
                using var timeout = new CancellationTokenSource(pause, time);
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
            reports.Published -= Take;
        }
    }

    private string NameOf(NamespacedName service) =>
        $"bgp-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{options.NodeName}/{service}")).AsSpan(0, 10))}";

    private async Task ListAsync(CancellationToken cancellationToken)
    {
        var list = await client.ListAsync(ConfigResourceTypes.ServiceBGPStatuses, space, cancellationToken);
        _written.Clear();
        foreach (var item in list.Items.Where(item => item.Metadata.Labels?.GetValueOrDefault(NodeLabel) == options.NodeName))
            _written[item.Metadata.Name!] = string.Join(',', item.Status?.Peers ?? []);
    }

    private async Task WriteAsync(IReadOnlyDictionary<NamespacedName, IReadOnlyList<string>> wanted, CancellationToken cancellationToken)
    {
        var names = wanted.Keys.ToDictionary(NameOf);
        foreach (string name in _written.Keys.Where(name => !names.ContainsKey(name)).ToList())
        {
            try
            {
                await client.DeleteAsync(ConfigResourceTypes.ServiceBGPStatuses, space, name, cancellationToken);
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
            {
                // Gone already.
            }
            _written.Remove(name);
        }
        foreach (var (name, service) in names)
        {
            string peers = string.Join(',', wanted[service]);
            if (_written.TryGetValue(name, out var before) && before == peers)
                continue;
            if (before is null)
                await client.ApplyAsync(ConfigResourceTypes.ServiceBGPStatuses, space, name, Body(name, service, null), null, FieldManager, cancellationToken);
            await client.ApplyAsync(ConfigResourceTypes.ServiceBGPStatuses, space, name, Body(name, service, wanted[service]), "status", FieldManager, cancellationToken);
            _written[name] = peers;
        }
    }

    private byte[] Body(string name, NamespacedName service, IReadOnlyList<string>? peers)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", ConfigResourceTypes.ServiceBGPStatuses.ApiVersion);
            json.WriteString("kind", ConfigResourceTypes.ServiceBGPStatuses.Kind);
            json.WriteStartObject("metadata");
            json.WriteString("name", name);
            json.WriteString("namespace", space);
            if (peers is null)
            {
                json.WriteStartObject("labels");
                json.WriteString(NodeLabel, options.NodeName);
                json.WriteString("metallb.io/service-name", service.Name);
                json.WriteString("metallb.io/service-namespace", service.Namespace);
                json.WriteEndObject();
                if (!string.IsNullOrEmpty(_podName) && !string.IsNullOrEmpty(_podUid))
                {
                    // What a speaker leaves behind goes with its Pod.
                    json.WriteStartArray("ownerReferences");
                    json.WriteStartObject();
                    json.WriteString("apiVersion", "v1");
                    json.WriteString("kind", "Pod");
                    json.WriteString("name", _podName);
                    json.WriteString("uid", _podUid);
                    json.WriteEndObject();
                    json.WriteEndArray();
                }
            }
            json.WriteEndObject();
            if (peers is not null)
            {
                json.WriteStartObject("status");
                json.WriteString("node", options.NodeName);
                json.WriteString("serviceName", service.Name);
                json.WriteString("serviceNamespace", service.Namespace);
                json.WriteStartArray("peers");
                foreach (string peer in peers)
                    json.WriteStringValue(peer);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    [LoggerMessage(1, LogLevel.Information, "ServiceBGPStatus objects are not written, the cluster has no such kind: {Cause}")]
    private static partial void LogAbsent(ILogger logger, string cause);

    [LoggerMessage(2, LogLevel.Warning, "ServiceBGPStatus objects could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string cause);
}
