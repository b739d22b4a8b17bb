using System.Collections;
using System.Diagnostics.CodeAnalysis;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <summary>
/// Leaves of a Service what decides its addresses: the copy of all Services is most of what the controller has in memory. Of Services of another type that is next to nothing; annotations of
/// others, such as the whole manifest that kubectl writes, go in any case. Thread-safe.
/// </summary>
internal static class ServiceTrimmer
{
    private const int Cached = 1024;

    private static readonly string[] s_prefixes = ["metallb.io/", "metallb.universe.tf/", "dynamiclb.io/"];

    // Texts that many Services have in common. Who overwrites another's entry loses nothing but the saving.
    private static readonly string?[] s_common = new string?[Cached];
    private static readonly ServicePort[]?[] s_ports = new ServicePort[]?[256];
    private static readonly string[] s_v4 = ["IPv4"];
    private static readonly string[] s_v6 = ["IPv6"];

    public static Service Trim(Service service)
    {
        var metadata = new ObjectMeta
        {
            Name = service.Metadata.Name,
            Namespace = Common(service.Metadata.Namespace),
            Uid = service.Metadata.Uid,
            ResourceVersion = service.Metadata.ResourceVersion,
            DeletionTimestamp = service.Metadata.DeletionTimestamp,
            Annotations = FewStrings.Of(service.Metadata.Annotations, static key => s_prefixes.Any(prefix => key.StartsWith(prefix, StringComparison.Ordinal))),
        };
        if (service.Spec.Type != "LoadBalancer")
        {
            return new Service
            {
                Metadata = metadata,
                Spec = new ServiceSpec { Type = Common(service.Spec.Type) },
                Status = StatusOf(service.Status),
            };
        }
        return new Service
        {
            Metadata = metadata with { Labels = FewStrings.Of(service.Metadata.Labels, static _ => true) },
            Spec = service.Spec with
            {
                Type = Common(service.Spec.Type),
                IpFamilies = FamiliesOf(service.Spec.IpFamilies),
                IpFamilyPolicy = Common(service.Spec.IpFamilyPolicy),
                ClusterIPs = service.Spec.ClusterIPs is [var only] && only == service.Spec.ClusterIP ? null : service.Spec.ClusterIPs,
                LoadBalancerClass = Common(service.Spec.LoadBalancerClass),
                ExternalTrafficPolicy = Common(service.Spec.ExternalTrafficPolicy),
                Ports = PortsOf(service.Spec.Ports),
                // Only traffic that stays on the node is bound to Pods.
                Selector = service.Spec.ExternalTrafficPolicy == "Local" ? FewStrings.Of(service.Spec.Selector, static _ => true) : null,
            },
            Status = StatusOf(service.Status),
        };
    }

    private static ServiceStatus StatusOf(ServiceStatus status) => status.LoadBalancer.Ingress is null && status.Conditions is null ? s_noStatus : new ServiceStatus
    {
        Conditions = status.Conditions,
        LoadBalancer = new LoadBalancerStatus
        {
            Ingress = status.LoadBalancer.Ingress?.Select(static entry => new LoadBalancerIngress { Ip = entry.Ip, Hostname = entry.Hostname, IpMode = Common(entry.IpMode) }).ToArray(),
        },
    };

    private static string[]? FamiliesOf(IReadOnlyList<string>? families) => families switch
    {
        ["IPv4"] => s_v4,
        ["IPv6"] => s_v6,
        _ => families?.Select(static family => Common(family)).ToArray(),
    };

    private static ServicePort[]? PortsOf(IReadOnlyList<ServicePort>? ports)
    {
        if (ports is not [var only])
            return ports?.Select(static port => new ServicePort { Protocol = Common(port.Protocol), Port = port.Port }).ToArray();
        ref var entry = ref s_ports[only.Port % s_ports.Length];
        // Read once: another thread may overwrite the entry meanwhile.
        var known = entry;
        if (known is [var common] && common.Port == only.Port && common.Protocol == only.Protocol)
            return known;
        return entry = [new ServicePort { Protocol = Common(only.Protocol), Port = only.Port }];
    }

    [return: NotNullIfNotNull(nameof(text))]
    internal static string? Common(string? text)
    {
        if (text is null)
            return null;
        ref string? entry = ref s_common[(uint)string.GetHashCode(text, StringComparison.Ordinal) % Cached];
        if (entry is { } common && common == text)
            return common;
        return entry = text;
    }

    private static readonly ServiceStatus s_noStatus = new() { LoadBalancer = new LoadBalancerStatus() };

    /// <summary>A few texts by their keys, one after the other: a tenth of what a hash table takes.</summary>
    private sealed class FewStrings(string[] entries) : IReadOnlyDictionary<string, string>
    {
        public int Count => entries.Length / 2;

        public IEnumerable<string> Keys => this.Select(static entry => entry.Key);

        public IEnumerable<string> Values => this.Select(static entry => entry.Value);

        public string this[string key] => TryGetValue(key, out string? value) ? value : throw new KeyNotFoundException(key);

        public static FewStrings? Of(IReadOnlyDictionary<string, string>? map, Func<string, bool> isKept)
        {
            if (map is null)
                return null;
            var kept = map.Where(entry => isKept(entry.Key)).ToList();
            return kept.Count == 0 ? null : new FewStrings([.. kept.SelectMany(static entry => new[] { Common(entry.Key), Common(entry.Value) })]);
        }

        public bool ContainsKey(string key) => TryGetValue(key, out _);

        public bool TryGetValue(string key, [MaybeNullWhen(false)] out string value)
        {
            for (int i = 0; i < entries.Length; i += 2)
            {
                if (entries[i] == key)
                {
                    value = entries[i + 1];
                    return true;
                }
            }
            value = null;
            return false;
        }

        public IEnumerator<KeyValuePair<string, string>> GetEnumerator()
        {
            for (int i = 0; i < entries.Length; i += 2)
                yield return new KeyValuePair<string, string>(entries[i], entries[i + 1]);
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
