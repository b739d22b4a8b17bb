using System.Buffers;
using System.Text.Json;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Contracts.Resources;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Controller.Services;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Status;

/// <summary>
/// Writes how pools are used and how address services fare to the status of their resources. It is worked out every <see cref="Interval"/> and written where it differs, so that a burst of
/// Services makes one write, and what somebody edits is put right.
/// </summary>
internal sealed partial class SourceStatusWriter(
    IKubernetesClient client, ResourceConfigSource source, AddressDecider decider, LeaseBrokers brokers, TimeProvider time, ILogger<SourceStatusWriter> logger)
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Writes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                try
                {
                    await WritePoolsAsync(cancellationToken);
                    await WriteAddressServicesAsync(cancellationToken);
                }
                catch (Exception e) when (e is KubernetesApiException or HttpRequestException or IOException)
                {
                    LogFailed(logger, e.Message);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Told to stop.
        }
    }

    private async Task WritePoolsAsync(CancellationToken cancellationToken)
    {
        var uses = decider.PoolUse.ToDictionary(static use => use.Pool);
        foreach (var pool in source.Pools.Items)
        {
            if (!uses.TryGetValue(pool.Metadata.Name!, out var use))
                continue;
            var status = new IPAddressPoolStatus
            {
                AssignedIPv4 = use.InUseIPv4,
                AssignedIPv6 = use.InUseIPv6,
                AvailableIPv4 = use.TotalIPv4 - use.InUseIPv4,
                AvailableIPv6 = use.TotalIPv6 - use.InUseIPv6,
            };
            if (status != pool.Status)
                await WriteAsync(ConfigResourceTypes.IPAddressPools, pool, JsonSerializer.SerializeToElement(status, ConfigJsonContext.Default.IPAddressPoolStatus), cancellationToken);
        }
    }

    private async Task WriteAddressServicesAsync(CancellationToken cancellationToken)
    {
        foreach (var service in source.AddressServices.Items)
        {
            if (brokers.Find(service.Metadata.Name) is not { LastSeen: { } seen } broker)
                continue;
            string ready = broker.IsReachable ? "True" : "False";
            var before = service.Status?.Conditions?.FirstOrDefault(static condition => condition.Type == "Ready");
            var condition = new Condition
            {
                Type = "Ready",
                Status = ready,
                Reason = broker.IsReachable ? "Reachable" : "Unreachable",
                Message = seen.Error ?? "",
                LastTransitionTime = before?.Status == ready && before.LastTransitionTime is { } since ? since : KubernetesTime.Format(time.GetUtcNow()),
            };
            var status = new AddressServiceStatus
            {
                Reachable = broker.IsReachable,
                Cidrs = seen.Cidrs,
                Leased = seen.Leased,
                FreeMacs = seen.FreeMacs,
                LastError = seen.Error ?? "",
                Conditions = [condition],
            };
            if (!IsSame(status, service.Status))
            {
                await WriteAsync(
                    ConfigResourceTypes.AddressServices, service, JsonSerializer.SerializeToElement(status, ConfigJsonContext.Default.AddressServiceStatus), cancellationToken);
            }
        }
    }

    private static bool IsSame(AddressServiceStatus wanted, AddressServiceStatus? written) =>
        written is not null && wanted with { Cidrs = null, Conditions = null } == written with { Cidrs = null, Conditions = null }
        && (wanted.Cidrs ?? []).SequenceEqual(written.Cidrs ?? []) && wanted.Conditions!.SequenceEqual(written.Conditions ?? []);

    private async Task WriteAsync<T>(ResourceType<T> type, T item, JsonElement status, CancellationToken cancellationToken)
        where T : KubernetesObject
    {
        var patch = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(patch))
        {
            json.WriteStartObject();
            json.WritePropertyName("status");
            status.WriteTo(json);
            json.WriteEndObject();
        }
        await client.PatchAsync(type, item.Metadata.Namespace, item.Metadata.Name!, PatchType.Merge, patch.WrittenMemory, "status", cancellationToken);
    }

    [LoggerMessage(1, LogLevel.Warning, "The status of a pool or address service could not be written, next try follows: {Cause}")]
    private static partial void LogFailed(ILogger logger, string cause);
}
