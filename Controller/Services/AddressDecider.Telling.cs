using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DynamicLb.Contracts;
using DynamicLb.Contracts.Configuration;
using DynamicLb.Controller.AddressServices;
using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Resources;

namespace DynamicLb.Controller.Services;

/// <content>Events, under MetalLB's names where it has them.</content>
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

    private void TellPending(Service service, NamespacedName name, AddressServiceSource source, string? cause, bool quiet)
    {
        if (!quiet)
            Tell(service, name, "AddressPending", $"waiting for an address from \"{source.Name}\"{(cause is null ? "" : $": {cause}")}", warning: cause is not null);
    }

    /// <summary>Tells what became of a lease; of one family, so that the other's story does not repeat this one's.</summary>
    private void TellStep(Service service, NamespacedName name, AddressServiceSource source, AddressFamily family, TenureBefore before, Tenure tenure, bool quiet)
    {
        string slot = family == AddressFamily.InterNetwork ? "v4" : "v6";
        string lease = $"the lease of {before.Held} from \"{source.Name}\"";
        switch (tenure.Step)
        {
            case LeaseStep.None:
                if (tenure.Address is not null)
                    Forgive(name, slot);
                break;
            case LeaseStep.Unconfirmed when !quiet:
                Tell(service, name, "AddressUnconfirmed", $"{lease} cannot be confirmed: {tenure.Cause}", slot: slot);
                break;
            case LeaseStep.Changed:
                Tell(service, name, "LeaseChanged", $"{lease} {tenure.Cause}, which takes its place", slot: slot);
                break;
            case LeaseStep.Held:
                Tell(service, name, "LeaseHeld", string.Create(CultureInfo.InvariantCulture, $"{lease}: {tenure.Cause}; {before.Held} is held until {tenure.ValidUntil:u}"), slot: slot);
                break;
            case LeaseStep.Lost:
                Tell(service, name, "LeaseLost", $"{lease} is no more: {tenure.Cause}", slot: slot);
                break;
            case LeaseStep.Expired:
                Tell(service, name, "LeaseExpired", string.Create(CultureInfo.InvariantCulture, $"{lease} ended at {before.HeldUntil:u}: {tenure.Cause}"), slot: slot);
                break;
            case LeaseStep.Failed:
                Tell(service, name, "LeaseFailed", $"{lease}: {tenure.Cause}; no other address is taken until the annotation {Annotations.FailedLease} is removed", slot: slot);
                break;
            case LeaseStep.Recovered:
                Tell(service, name, "LeaseRecovered", $"{tenure.Address} is leased from \"{source.Name}\", in place of {before.Failed}, which was lost", warning: false, slot: slot);
                break;
        }
    }

    /// <summary>Tells once; again when something else is to be told.</summary>
    private void Tell(Service service, NamespacedName name, string reason, string message, bool warning = true, string slot = "")
    {
        int told = HashCode.Combine(reason, message);
        if (_told.TryGetValue((name, slot), out int before) && before == told)
            return;
        _told[(name, slot)] = told;
        if (logger is not null && reason != "IPAllocated")
            LogTold(logger, name.ToString(), reason, message);
        if (warning)
            events.Warning(service, reason, message);
        else
            events.Normal(service, reason, message);
    }

    /// <summary>What was told is over: when it comes again it is news.</summary>
    private void Forgive(NamespacedName name, string slot) => _told.TryRemove((name, slot), out _);

    private void Forgive(NamespacedName name)
    {
        Forgive(name, "");
        Forgive(name, "v4");
        Forgive(name, "v6");
        Forgive(name, "second");
    }

    [LoggerMessage(1, LogLevel.Information, "{Service}: {Reason}: {Message}")]
    private static partial void LogTold(ILogger logger, string service, string reason, string message);
}
