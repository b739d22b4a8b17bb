using System.Collections.Concurrent;
using System.Collections.Immutable;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Speaker.Services;

/// <summary>The EndpointSlices of each Service. One informer writes; reads are thread-safe.</summary>
internal sealed class EndpointSliceIndex
{
    private readonly ConcurrentDictionary<NamespacedName, ImmutableDictionary<string, EndpointSlice>> _byService = new();

    /// <summary>The slices of a Service now.</summary>
    public IReadOnlyCollection<EndpointSlice> Of(NamespacedName service) => _byService.TryGetValue(service, out var slices) ? [.. slices.Values] : [];

    /// <summary>Takes up a change. The Services it concerns: two when a slice changed hands.</summary>
    public IEnumerable<NamespacedName> Change(EndpointSlice? old, EndpointSlice? slice)
    {
        NamespacedName? before = old is null ? null : ServiceOf(old), after = slice is null ? null : ServiceOf(slice);
        if (before is { } from && before != after)
        {
            _byService.AddOrUpdate(from, ImmutableDictionary<string, EndpointSlice>.Empty, (_, slices) => slices.Remove(old!.Metadata.Name ?? ""));
            yield return from;
        }
        if (after is { } to)
        {
            string name = slice!.Metadata.Name ?? "";
            _byService.AddOrUpdate(
                to, _ => ImmutableDictionary<string, EndpointSlice>.Empty.Add(name, slice), (_, slices) => slices.SetItem(name, slice));
            yield return to;
        }
    }

    private static NamespacedName? ServiceOf(EndpointSlice slice) =>
        slice.Metadata.Labels?.TryGetValue(EndpointSlice.ServiceNameLabel, out var name) == true
            ? new NamespacedName(slice.Metadata.Namespace ?? "", name)
            : null;
}
