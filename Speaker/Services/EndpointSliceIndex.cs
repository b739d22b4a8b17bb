using System.Collections.Concurrent;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Services;

/// <summary>The EndpointSlices of each Service. One informer writes; reads are thread-safe.</summary>
internal sealed class EndpointSliceIndex
{
    private readonly ConcurrentDictionary<NamespacedName, EndpointSlice[]> _byService = new();

    /// <summary>The slices of a Service now.</summary>
    public IReadOnlyCollection<EndpointSlice> Of(NamespacedName service) => _byService.GetValueOrDefault(service, []);

    /// <summary>Takes up a change. The Services it concerns: two when a slice changed hands.</summary>
    public IEnumerable<NamespacedName> Change(EndpointSlice? old, EndpointSlice? slice)
    {
        NamespacedName? before = old is null ? null : ServiceOf(old), after = slice is null ? null : ServiceOf(slice);
        if (before is { } from && before != after)
        {
            var others = Without(from, old!.Metadata.Name);
            if (others.Length == 0)
                _byService.TryRemove(from, out _);
            else
                _byService[from] = others;
            yield return from;
        }
        if (after is { } to)
        {
            _byService[to] = [.. Without(to, slice!.Metadata.Name), slice];
            yield return to;
        }
    }

    private EndpointSlice[] Without(NamespacedName service, string? slice) => Array.FindAll(_byService.GetValueOrDefault(service, []), known => known.Metadata.Name != slice);

    private static NamespacedName? ServiceOf(EndpointSlice slice) =>
        slice.Metadata.Labels?.TryGetValue(EndpointSlice.ServiceNameLabel, out var name) == true
            ? new NamespacedName(slice.Metadata.Namespace ?? "", name)
            : null;
}
