using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Leases that are kept for a while after their service was deleted: a service of the same name gets its address again, which no server promises.
/// </summary>
internal sealed partial class LeaseKeeper
{
    private static bool IsRetained(LeaseEntry entry) => entry.RetainUntil is not null && !entry.IsReleasing;

    /// <summary>Keeps the lease of a service that was deleted, if it is to be kept.</summary>
    /// <returns>Null when it is not, and is to be released; else whether the store took it.</returns>
    private bool? Retain(LeaseEntry entry, TimeSpan now)
    {
        var time = entry.Link.Options.RetainOnDelete;
        if (time <= TimeSpan.Zero || entry.LeaseAt(now) is null)
            return null;
        if (IsRetained(entry))
            return true;
        var before = entry.Record;
        if (!Save(entry, before with { RetainedUntil = _clock.UtcNow + time }))
        {
            entry.Record = before;
            return false;
        }
        entry.RetainUntil = now + time;
        entry.OrphanedAt = null;
        entry.IsReportedOrphan = false;
        Log.Retained(_logger, before.Service, before.Address ?? "", time.TotalSeconds);
        _metrics.Event("retained");
        Tell(entry, LeaseEventType.Releasing, before, $"service deleted; the lease is kept for {time.TotalSeconds:0} s");
        Reschedule(entry);
        return true;
    }

    /// <summary>The service is there again: it has its address as if it had never been away.</summary>
    private void Unretain(LeaseEntry entry, string? uid)
    {
        entry.RetainUntil = null;
        Save(entry, entry.Record with { RetainedUntil = null, Uid = uid ?? entry.Record.Uid });
        _metrics.Event("reclaimed");
        Tell(entry, LeaseEventType.Recovered, entry.Record, "the service is there again");
    }

    /// <summary>How long a stored lease is still to be kept. The wall clock may have gone back, and the configuration may have changed.</summary>
    private TimeSpan? RetentionOf(Store.LeaseRecord record, LeaseLink link, TimeSpan now)
    {
        if (record.RetainedUntil is not { } until)
            return null;
        var left = until - _clock.UtcNow;
        var most = link.Options.RetainOnDelete;
        return now + (left <= TimeSpan.Zero ? TimeSpan.Zero : left < most ? left : most);
    }

    /// <summary>A new lease goes before one that is only kept: where a limit is reached, the one that would be kept least long is given back.</summary>
    private void MakeRoom(string service, LeaseLink link)
    {
        var limits = _options.Limits;
        string @namespace = ServiceName.Namespace(service);
        if (limits.QuotaOf(@namespace) is { } quota && LeasesOf(@namespace) >= quota)
            GiveBackOne(entry => ServiceName.Namespace(entry.Record.Service) == @namespace);
        if (link.Options.MaxLeases is { } most && _byService.Values.Count(entry => entry.Link == link) >= most)
            GiveBackOne(entry => entry.Link == link);
        if (_byService.Count >= limits.MaxLeases)
            GiveBackOne(static _ => true);
    }

    private void GiveBackOne(Func<LeaseEntry, bool> which)
    {
        if (_byService.Values.Where(entry => IsRetained(entry) && which(entry)).MinBy(entry => entry.RetainUntil) is { } entry)
            StartRelease(entry, _clock.Now, "its service was deleted, and another needs the room");
    }

    private void EndRetention(LeaseEntry entry, TimeSpan now)
    {
        entry.RetainUntil = StartRelease(entry, now, "service deleted") ? null : now + SaveAgainAfter;
    }
}
