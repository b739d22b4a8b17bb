using System.Buffers;
using System.Globalization;
using System.Net;
using System.Text.Json;
using DynamicLb.Contracts;
using DynamicLb.Kubernetes.Client;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>Writes a Service's addresses: one merge patch of the status subresource, refused by the server if the Service changed meanwhile; nothing when nothing differs.</summary>
internal sealed class ServiceStatusWriter(IKubernetesClient client)
{
    // A renewal moves the end by much more; anything less is rounding.
    private static readonly TimeSpan Noticeable = TimeSpan.FromSeconds(1);

    /// <summary>Writes. Whether there was something to write.</summary>
    public async Task<bool> WriteAsync(
        Service service, IReadOnlyList<IPAddress> addresses, string? pool, DateTimeOffset? validUntil, CancellationToken cancellationToken)
    {
        if (IsCurrent(service, addresses, pool, validUntil))
            return false;
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteString("resourceVersion", service.Metadata.ResourceVersion);
            json.WriteStartObject("annotations");
            json.WriteString(Annotations.AllocatedFromPool, pool);
            json.WriteString(Annotations.ValidUntil, Format(validUntil));
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteStartObject("status");
            json.WriteStartObject("loadBalancer");
            if (addresses.Count == 0)
                json.WriteNull("ingress");
            else
                WriteIngress(json, service, addresses);
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndObject();
        }
        await client.PatchAsync(
            ResourceTypes.Services, service.Metadata.Namespace, service.Metadata.Name!, PatchType.Merge, buffer.WrittenMemory, "status", cancellationToken);
        return true;
    }

    /// <summary>The addresses in a Service's status; those by name are left out.</summary>
    public static IReadOnlyList<IPAddress> AddressesOf(Service service)
    {
        var addresses = new List<IPAddress>();
        foreach (var entry in service.Status.LoadBalancer.Ingress ?? [])
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

    private static bool IsCurrent(Service service, IReadOnlyList<IPAddress> addresses, string? pool, DateTimeOffset? validUntil)
    {
        var ingress = service.Status.LoadBalancer.Ingress ?? [];
        if (ingress.Count != addresses.Count || !AddressesOf(service).SequenceEqual(addresses) || service.Metadata.Annotation(Annotations.AllocatedFromPool) != pool)
            return false;
        string? written = service.Metadata.Annotation(Annotations.ValidUntil);
        if (written is null || validUntil is null)
            return written is null && validUntil is null;
        return DateTimeOffset.TryParse(written, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var end)
            && (end - validUntil.Value).Duration() <= Noticeable;
    }

    private static string? Format(DateTimeOffset? time) => time is { } value ? KubernetesTime.Format(value) : null;
}
