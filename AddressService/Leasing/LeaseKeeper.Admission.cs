using DynamicLb.AddressService.Security;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Whether a service may have a lease of its own. One that has it keeps it, whatever the limits.</summary>
internal sealed partial class LeaseKeeper
{
    private readonly KeyedBuckets _newLeases;

    private static KeyedBuckets NewLeases(int perMinute) => new(perMinute / 60.0, 2 * Math.Max(1, perMinute));

    /// <returns>Null when it may.</returns>
    private AcquireOutcome? Refusal(string service, LeaseLink link)
    {
        var limits = _options.Limits;
        string @namespace = ServiceName.Namespace(service);
        if (_byService.Count >= limits.MaxLeases)
            return Denied($"max-leases: all {limits.MaxLeases} leases are taken");
        if (link.Options.MaxLeases is { } most && _byService.Values.Count(entry => entry.Link == link) >= most)
            return Denied($"interface-leases: {link.Name} has all {most} leases that it may have");
        if (limits.QuotaOf(@namespace) is { } quota && LeasesOf(@namespace) >= quota)
            return Denied($"namespace-quota: {@namespace} has all {quota} leases that it may have");
        if (limits.NamespaceRate == 0 || _newLeases.TryTake(@namespace, _clock.Now, out var retryAfter))
            return null;
        _metrics.Event("limited");
        return new AcquireOutcome(
            AcquireKind.Limited,
            new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: $"namespace-rate: {@namespace} asks for more than {limits.NamespaceRate} new leases a minute"), retryAfter);
    }

    private int LeasesOf(string @namespace)
    {
        string prefix = @namespace + "/";
        return _byService.Values.Count(entry => entry.Record.Service.StartsWith(prefix, StringComparison.Ordinal));
    }

    private AcquireOutcome Denied(string detail)
    {
        _metrics.Event("denied");
        return new AcquireOutcome(AcquireKind.Denied, new AcquireAddressAnswer(AnswerStatus.Denied, "", Detail: detail));
    }
}
