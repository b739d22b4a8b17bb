using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Leases without an owner: those that somebody who knows the owners reports, and, with a claim time set, those that nobody asked for again within it. The latter are
/// released after a grace, unless they are suspiciously many: then a fault of the callers is likelier than so many services gone, and only an operator
/// releases them.
/// </summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>So many leases without an owner are always released; more only up to a fifth of all.</summary>
    private const int ManyOrphans = 10;

    private static readonly TimeSpan SweepEvery = TimeSpan.FromSeconds(30);
    private TimeSpan _sweepAt;
    private bool _orphansAreHeld;

    /// <summary>The leases without an owner that a caller may see.</summary>
    public OrphansAnswer Orphans(Func<string, bool> covers) =>
        new(AnswerStatus.Success, [.. _byService.Values.Where(e => e.OrphanedAt is not null && covers(e.Record.Service)).Select(Describe)]);

    /// <summary>Takes down which leases have no owner, as far as a caller knows.</summary>
    /// <param name="services">All that it knows of.</param>
    /// <param name="covers">Which services it can speak of.</param>
    public OrphansAnswer ReportOrphans(IReadOnlySet<string> services, Func<string, bool> covers)
    {
        foreach (var entry in _byService.Values.Where(e => covers(e.Record.Service) && !IsRetained(e)))
        {
            if (!services.Contains(entry.Record.Service))
            {
                if (entry.IsReportedOrphan)
                    Claimed(entry);
            }
            else if (entry.OrphanedAt is null)
            {
                Orphaned(entry, "reported");
                entry.IsReportedOrphan = true;
            }
        }
        return Orphans(covers);
    }

    /// <summary>Releases the leases without an owner, however many they are.</summary>
    /// <param name="covers">Which services' the caller may release.</param>
    /// <returns>Those released.</returns>
    public OrphansAnswer ReleaseOrphans(Func<string, bool> covers)
    {
        var released = new List<LeaseAnswer>();
        int failed = 0;
        foreach (var entry in _byService.Values.Where(e => e.OrphanedAt is not null && covers(e.Record.Service)).ToList())
        {
            var before = Describe(entry);
            if (StartRelease(entry, _clock.Now, "it has no owner"))
                released.Add(before);
            else
                failed++;
        }
        return failed == 0
            ? new OrphansAnswer(AnswerStatus.Success, released)
            : new OrphansAnswer(AnswerStatus.Error, released, $"{failed} more cannot be released: the store does not take the change");
    }

    private void SweepOrphans(TimeSpan now)
    {
        _sweepAt = now + SweepEvery;
        if (_options.Limits.ClaimTime is not { } claimTime)
            return;
        var orphans = new List<LeaseEntry>();
        foreach (var entry in _byService.Values)
        {
            if (entry.OrphanedAt is null && !IsRetained(entry) && entry.Waiters.Count == 0 && now - entry.ClaimedAt >= claimTime)
                Orphaned(entry, $"nobody asked for it for {claimTime.TotalSeconds:0} s");
            if (entry.OrphanedAt is not null && !entry.IsReportedOrphan)
                orphans.Add(entry);
        }
        int limit = Math.Max(ManyOrphans, _byService.Count / 5);
        if (orphans.Count > limit)
        {
            if (!_orphansAreHeld)
                Log.OrphansHeld(_logger, orphans.Count, _byService.Count, limit);
            _orphansAreHeld = true;
            return;
        }
        _orphansAreHeld = false;
        foreach (var entry in orphans.Where(e => now - e.OrphanedAt >= _options.Limits.OrphanGrace))
            StartRelease(entry, now, "it has no owner");
    }

    private void Orphaned(LeaseEntry entry, string reason)
    {
        entry.OrphanedAt = _clock.Now;
        _metrics.Event("orphaned");
        Log.Orphaned(_logger, entry.Record.Service, reason);
    }

    private void Claimed(LeaseEntry entry)
    {
        entry.ClaimedAt = _clock.Now;
        entry.OrphanedAt = null;
        entry.IsReportedOrphan = false;
    }
}
