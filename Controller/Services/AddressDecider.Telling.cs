using System.Net;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <content>Events, under MetalLB's names.</content>
internal sealed partial class AddressDecider
{
    private const string LegacyPrefix = "metallb.universe.tf";

    private void TellAssigned(Service service, NamespacedName name, IReadOnlyList<IPAddress> addresses)
    {
        TellLegacy(service);
        Tell(service, name, "IPAllocated", $"Assigned IP [{string.Join(" ", addresses.Select(static address => $"\"{address}\""))}]", warning: false);
    }

    private void TellFailed(Service service, NamespacedName name, string reason) =>
        Tell(service, name, "AllocationFailed", $"Failed to allocate IP for \"{name}\": {reason}");

    private void TellLegacy(Service service)
    {
        if (service.Metadata.Annotations?.Keys.FirstOrDefault(static key => key.StartsWith(LegacyPrefix, StringComparison.Ordinal)) is { } key)
            events.Warning(service, "deprecatedAnnotation", $"\"{key}\" is deprecated: use the annotations of metallb.io");
    }

    /// <summary>Tells once; again when something else is to be told.</summary>
    private void Tell(Service service, NamespacedName name, string reason, string message, bool warning = true)
    {
        string key = $"{reason} {message}";
        if (_told.TryGetValue(name, out var before) && before == key)
            return;
        _told[name] = key;
        if (warning)
            events.Warning(service, reason, message);
        else
            events.Normal(service, reason, message);
    }
}
