using System.Buffers;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>Writes a Service's addresses: one merge patch of the status subresource, refused by the server if the Service changed meanwhile; nothing when nothing differs.</summary>
internal sealed class ServiceStatusWriter(IKubernetesClient client, TimeProvider time)
{
    /// <summary>The condition that says whether a Service's lease is good; written once one was not.</summary>
    public const string LeaseCondition = "dynamiclb.io/LeaseValid";

    // A renewal moves the end by much more; anything less is rounding.
    private static readonly TimeSpan Noticeable = TimeSpan.FromSeconds(1);

    /// <summary>Writes. The version that came of it; null when there was nothing to write.</summary>
    public async Task<string?> WriteAsync(Service service, Outcome outcome, CancellationToken cancellationToken)
    {
        var annotations = Differences(service, outcome);
        bool differs = !HasAddresses(service, outcome.Addresses);
        if (annotations.Count == 0 && !differs)
            return null;
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteString("resourceVersion", service.Metadata.ResourceVersion);
            if (annotations.Count > 0)
            {
                json.WriteStartObject("annotations");
                foreach (var (key, value) in annotations)
                    json.WriteString(key, value);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteStartObject("status");
            if (differs)
            {
                json.WriteStartObject("loadBalancer");
                if (outcome.Addresses.Count == 0)
                    json.WriteNull("ingress");
                else
                    WriteIngress(json, service, outcome.Addresses);
                json.WriteEndObject();
            }
            if (annotations.ContainsKey(Annotations.FailedLease))
                WriteConditions(json, service, outcome);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        var written = await client.PatchAsync(
            ResourceTypes.ServiceHeads, service.Metadata.Namespace, service.Metadata.Name!, PatchType.Merge, buffer.WrittenMemory, "status", cancellationToken);
        return written.Metadata.ResourceVersion ?? "";
    }

    /// <summary>
    /// Changes a Service in nothing but its version, so that a write of a leader of before, which was paused on its way, is refused whenever it comes.
    /// </summary>
    public Task FenceAsync(Service service, string term, CancellationToken cancellationToken)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteStartObject("annotations");
            json.WriteString(Annotations.Fence, term);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return client.PatchAsync(
            ResourceTypes.ServiceHeads, service.Metadata.Namespace, service.Metadata.Name!, PatchType.Merge, buffer.WrittenMemory, "status", cancellationToken);
    }

    /// <summary>The addresses in a Service's status; those by name are left out.</summary>
    public static IReadOnlyList<IPAddress> AddressesOf(Service service)
    {
        if (service.Status.LoadBalancer.Ingress is not { Count: > 0 } ingress)
            return [];
        // What comes of it is kept for each Service: no larger than need be.
        var addresses = new List<IPAddress>(ingress.Count);
        foreach (var entry in ingress)
        {
            if (IPAddress.TryParse(entry.Ip, out var address))
                addresses.Add(address);
        }
        return addresses;
    }

    private static void WriteIngress(Utf8JsonWriter json, Service service, IReadOnlyList<IPAddress> addresses)
    {
        json.WriteStartArray("ingress");
        foreach (var address in addresses)
        {
            string text = address.ToString();
            json.WriteStartObject();
            json.WriteString("ip", text);
            if (service.Status.LoadBalancer.Ingress?.FirstOrDefault(entry => entry.Ip == text)?.IpMode is { } mode)
                json.WriteString("ipMode", mode);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>Whether the lease is good, for people and their tools; a patch replaces the list, so all others are in it too. Servers before 1.24 drop it.</summary>
    private void WriteConditions(Utf8JsonWriter json, Service service, Outcome outcome)
    {
        bool isGood = outcome.FailedLease is null;
        json.WriteStartArray("conditions");
        foreach (var other in service.Status.Conditions?.Where(static condition => condition.Type != LeaseCondition) ?? [])
            JsonSerializer.Serialize(json, other, KubernetesJsonContext.Default.Condition);
        JsonSerializer.Serialize(
            json,
            new Condition
            {
                Type = LeaseCondition,
                Status = isGood ? "True" : "False",
                Reason = isGood ? "LeaseRecovered" : "LeaseFailed",
                Message = isGood ? "" : $"{outcome.FailedLease}: {outcome.Cause ?? "the lease was lost"}",
                LastTransitionTime = KubernetesTime.Format(time.GetUtcNow()),
            },
            KubernetesJsonContext.Default.Condition);
        json.WriteEndArray();
    }

    private static bool HasAddresses(Service service, IReadOnlyList<IPAddress> addresses) =>
        (service.Status.LoadBalancer.Ingress?.Count ?? 0) == addresses.Count && AddressesOf(service).SequenceEqual(addresses);

    /// <summary>The annotations to write; null removes one.</summary>
    private static Dictionary<string, string?> Differences(Service service, Outcome outcome)
    {
        var differences = new Dictionary<string, string?>();
        Compare(Annotations.AllocatedFromPool, outcome.Pool);
        Compare(Annotations.Lease, outcome.Lease);
        Compare(Annotations.FailedLease, outcome.FailedLease);
        Compare(Annotations.LeaseMacs, outcome.LeaseMacs);
        string? written = service.Metadata.Annotation(Annotations.ValidUntil);
        if (written is null || outcome.ValidUntil is not { } wanted
            || !DateTimeOffset.TryParse(written, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end) || (end - wanted).Duration() > Noticeable)
            Compare(Annotations.ValidUntil, outcome.ValidUntil is { } time ? KubernetesTime.Format(time) : null);
        if (outcome.Addresses.Count > 0)
            Compare(Annotations.Fence, null);
        return differences;

        void Compare(string key, string? value)
        {
            if (service.Metadata.Annotation(key) != value)
                differences[key] = value;
        }
    }
}
