using DynamicLb.Kubernetes;
using DynamicLb.Kubernetes.Events;
using DynamicLb.Kubernetes.Resources;
using DynamicLb.Speaker.Layer2;

namespace DynamicLb.Speaker.Status;

/// <summary>Tells, in the log and as Events, what changed about a Service; once, and from one node.</summary>
internal sealed partial class ServiceEvents(SpeakerOptions options, IEventRecorder events, ILogger<ServiceEvents> logger)
{
    /// <summary>Tells of a decision. Called by one loop.</summary>
    /// <param name="name">The Service.</param>
    /// <param name="service">The Service as it is; null when it is gone.</param>
    /// <param name="before">The decision before; null for none.</param>
    /// <param name="decision">The decision now.</param>
    /// <param name="interfaces">Interfaces that take part.</param>
    public void Tell(NamespacedName name, Service? service, Decision? before, Decision decision, int interfaces)
    {
        if (decision.IsLike(before))
            return;
        if (decision.Reason == SilenceReason.None)
        {
            LogAnnouncing(logger, name.ToString(), string.Join(", ", decision.Addresses), decision.ValidUntil);
            events.Normal(service!, "nodeAssigned", $"announcing from node \"{options.NodeName}\" with protocol \"layer2\"");
            if (interfaces == 0)
                Failed(service!, $"announcing {string.Join(", ", decision.Addresses)} from node \"{options.NodeName}\" with protocol \"layer2\" failed: no interface takes part");
            return;
        }
        if (decision is { Reason: SilenceReason.NoLeaseMac or SilenceReason.LeaseMacUnusable or SilenceReason.NoInterface, Detail: { } detail }
            && decision.Owner == options.NodeName && (before?.Reason != decision.Reason || before.Owner != decision.Owner) && service is not null)
            Failed(service, $"announcing from node \"{options.NodeName}\" with protocol \"layer2\" failed: {detail}");
        if (before?.Reason == SilenceReason.None)
        {
            LogWithdrawn(logger, name.ToString(), string.Join(", ", before.Addresses), decision.Reason, decision.Owner ?? "nobody");
            if (decision.Reason == SilenceReason.LeaseExpired && service is not null)
                events.Warning(service, "leaseExpired", $"the lease ended and was not renewed: node \"{options.NodeName}\" announces the address no longer");
            return;
        }
        if (before?.Reason == decision.Reason)
            return;
        LogSilent(logger, name.ToString(), decision.Reason, decision.Owner ?? "nobody");
    }

    /// <summary>Tells that another machine has an address.</summary>
    public void Conflict(Service service, string words, bool isRefused) =>
        events.Warning(service, "addressConflict", words + (isRefused ? "; it is not announced" : "; it is announced all the same"));

    private void Failed(Service service, string message) => events.Warning(service, "announceFailed", message);

    [LoggerMessage(1, LogLevel.Information, "{Service}: announcing {Addresses}, until {Until}")]
    private static partial void LogAnnouncing(ILogger logger, string service, string addresses, DateTimeOffset? until);

    [LoggerMessage(2, LogLevel.Information, "{Service}: announcing {Addresses} no longer ({Reason}); announced by {Owner}")]
    private static partial void LogWithdrawn(ILogger logger, string service, string addresses, SilenceReason reason, string owner);

    [LoggerMessage(3, LogLevel.Debug, "{Service}: silent ({Reason}); announced by {Owner}")]
    private static partial void LogSilent(ILogger logger, string service, SilenceReason reason, string owner);
}
