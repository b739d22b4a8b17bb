using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using DynamicLb.Contracts.Resources;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Informers;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Status;

/// <summary>
/// Says in ServiceL2Status objects which Services this node announces: who announces writes its own and takes away those that others left; who stops takes its own away. Its names
/// follow from node and Service, so that a speaker that starts anew finds what it wrote before. Where the cluster has no such kind, nothing is written.
/// </summary>
internal sealed partial class Layer2StatusWriter(
    IKubernetesClient client, Informer<ServiceL2Status> written, SpeakerOptions options, string @namespace, TimeProvider time, ILogger<Layer2StatusWriter> logger)
{
    private static readonly TimeSpan LookAnyway = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PauseAfterFault = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<NamespacedName, IReadOnlyList<string>> _wanted = new();
    private readonly ConcurrentDictionary<NamespacedName, ConcurrentDictionary<string, string>> _announcers = new();
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>Another node than before announces a Service.</summary>
    public event Action<NamespacedName>? AnnouncersChanged;

    /// <summary>What was decided about a Service. Thread-safe; does not wait.</summary>
    public void Decided(NamespacedName service, Decision decision)
    {
        if (decision.Reason == SilenceReason.None)
            _wanted[service] = [.. (decision.Interfaces ?? new HashSet<string>()).Order(StringComparer.Ordinal)];
        else if (!_wanted.TryRemove(service, out _))
            return;
        _wake.Writer.TryWrite(true);
    }

    /// <summary>The nodes that announce a Service, as their objects say. Thread-safe.</summary>
    public IReadOnlyCollection<string> AnnouncersOf(NamespacedName service) =>
        _announcers.TryGetValue(service, out var nodes) ? [.. nodes.Values.Distinct(StringComparer.Ordinal)] : [];

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        written.Subscribe(Index);
        try
        {
            while (!await IsServedAsync(cancellationToken))
                await Task.Delay(LookAnyway, time, cancellationToken);
            var following = written.RunAsync(cancellationToken);
            await written.WaitForSyncAsync(cancellationToken);
            while (true)
            {
                bool faulty = !await WriteAllAsync(cancellationToken);
                using var timeout = new CancellationTokenSource(faulty ? PauseAfterFault : LookAnyway, time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
                try
                {
                    if (faulty)
                        await Task.Delay(Timeout.InfiniteTimeSpan, time, either.Token);
                    await _wake.Reader.ReadAsync(either.Token);
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    // Time to look.
                }
                _ = following;
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop. Who takes over takes our objects away.
        }
    }

    /// <summary>The name of the object of a node and a Service.</summary>
    internal static string NameOf(string node, NamespacedName service) =>
        $"l2-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{node}/{service}")).AsSpan(0, 8))}";

    private void Index(ServiceL2Status? old, ServiceL2Status? now)
    {
        if ((now ?? old) is not { } status || ServiceOf(status) is not { } service)
            return;
        string name = status.Metadata.Name ?? "";
        if (now is null)
        {
            if (_announcers.TryGetValue(service, out var nodes))
                nodes.TryRemove(name, out _);
        }
        else if (NodeOf(now) is { } node)
        {
            _announcers.GetOrAdd(service, static _ => new ConcurrentDictionary<string, string>(StringComparer.Ordinal))[name] = node;
        }
        AnnouncersChanged?.Invoke(service);
        _wake.Writer.TryWrite(true);
    }

    private async Task<bool> IsServedAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await client.ServesAsync(ServiceL2Status.Type.ApiVersion, cancellationToken);
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            return false;
        }
    }

    private async Task<bool> WriteAllAsync(CancellationToken cancellationToken)
    {
        var wanted = _wanted.ToArray();
        try
        {
            foreach (var status in written.Items)
            {
                bool isMine = NodeOf(status) == options.NodeName;
                bool isAnnounced = ServiceOf(status) is { } service && _wanted.ContainsKey(service);
                bool isDuplicate = isMine && isAnnounced && status.Metadata.Name != NameOf(options.NodeName, ServiceOf(status)!.Value);
                if ((isMine && !isAnnounced) || (!isMine && isAnnounced) || isDuplicate)
                    await DeleteAsync(status, cancellationToken);
            }
            foreach (var (service, interfaces) in wanted)
                await WriteAsync(service, interfaces, cancellationToken);
            return true;
        }
        catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
        {
            LogFailed(logger, e.Message);
            return false;
        }
    }

    private async Task WriteAsync(NamespacedName service, IReadOnlyList<string> interfaces, CancellationToken cancellationToken)
    {
        string name = NameOf(options.NodeName, service);
        var current = written.Get(new NamespacedName(@namespace, name));
        if (current?.Status is { } status && status.Node == options.NodeName && (status.Interfaces ?? []).Select(static item => item.Name).SequenceEqual(interfaces))
            return;
        if (current is null)
        {
            try
            {
                await client.CreateAsync(
                    ServiceL2Status.Type,
                    new ServiceL2Status
                    {
                        Metadata = new ObjectMeta
                        {
                            Name = name,
                            Namespace = @namespace,
                            Labels = new Dictionary<string, string>
                            {
                                [ServiceL2Status.NodeLabel] = options.NodeName,
                                [ServiceL2Status.ServiceNameLabel] = service.Name,
                                [ServiceL2Status.ServiceNamespaceLabel] = service.Namespace,
                            },
                        },
                    },
                    cancellationToken);
            }
            catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.Conflict)
            {
                // The informer has not told us of it yet.
            }
        }
        var patch = new ServiceL2Status
        {
            Metadata = new ObjectMeta(),
            Status = new ServiceL2StatusStatus
            {
                Node = options.NodeName,
                ServiceName = service.Name,
                ServiceNamespace = service.Namespace,
                Interfaces = [.. interfaces.Select(static item => new NamedInterface { Name = item })],
            },
        };
        await client.PatchAsync(
            ServiceL2Status.Type, @namespace, name, PatchType.Merge, JsonSerializer.SerializeToUtf8Bytes(patch, ServiceL2Status.Type.TypeInfo), "status", cancellationToken);
    }

    private async Task DeleteAsync(ServiceL2Status status, CancellationToken cancellationToken)
    {
        try
        {
            await client.DeleteAsync(ServiceL2Status.Type, status.Metadata.Namespace, status.Metadata.Name!, cancellationToken);
        }
        catch (KubernetesApiException e) when (e.StatusCode == HttpStatusCode.NotFound)
        {
            // Somebody was faster.
        }
    }

    private static string? NodeOf(ServiceL2Status status) => status.Metadata.Labels?.GetValueOrDefault(ServiceL2Status.NodeLabel);

    private static NamespacedName? ServiceOf(ServiceL2Status status) =>
        status.Metadata.Labels is { } labels && labels.TryGetValue(ServiceL2Status.ServiceNameLabel, out var name)
            && labels.TryGetValue(ServiceL2Status.ServiceNamespaceLabel, out var space)
            ? new NamespacedName(space, name)
            : null;

    [LoggerMessage(1, LogLevel.Warning, "ServiceL2Status could not be written: {Cause}")]
    private static partial void LogFailed(ILogger logger, string cause);
}
