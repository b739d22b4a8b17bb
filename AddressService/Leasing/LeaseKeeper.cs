using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.MacPool;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// Owns all leases, their DHCP clients and the MAC list: a state machine without threads or timers, driven by <see cref="LeaseLoop"/>.
/// This part holds the start, the schedule and the pacing.
/// </summary>
/// <remarks>
/// What is written when (a crash at any line is harmless): the identity before the first REQUEST, the lease before a caller hears of it, a tombstone
/// before the RELEASE. Not thread-safe.
/// </remarks>
internal sealed partial class LeaseKeeper : IDhcpClientEffects
{
    private static readonly TimeSpan SaveAgainAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RememberReleased = TimeSpan.FromMinutes(10);

    private readonly AddressServiceOptions _options;
    private readonly ILeaseStore _store;
    private readonly ILeaseClock _clock;
    private readonly LeaseMetrics _metrics;
    private readonly ILogger _logger;
    private readonly DhcpRandom _random;
    private readonly TransactionIds _ids;
    private readonly MacGenerator _generator;
    private readonly MacList _macs = new();

    private readonly SortedDictionary<LeaseKey, LeaseEntry> _byService = new(LeaseKey.Order);
    private readonly Dictionary<LeaseAddress, LeaseEntry> _byAddress = [];
    private readonly Dictionary<object, LeaseEntry> _byClient = new(ReferenceEqualityComparer.Instance);
    private readonly List<LeaseEntry> _releasing = [];
    private readonly PriorityQueue<(LeaseEntry Entry, int Version), TimeSpan> _schedule = new();
    private int _unverified;
    private TimeSpan _gaugesAt;

    /// <exception cref="UnusableException">The secret behind generated MACs cannot be read.</exception>
    public LeaseKeeper(
        AddressServiceOptions options, ILeaseStore store, IReadOnlyList<LeaseLink> links, ILeaseClock clock, LeaseMetrics metrics,
        ILogger<LeaseKeeper> logger, DhcpRandom random)
    {
        _options = options;
        _store = store;
        Links = links;
        _clock = clock;
        _metrics = metrics;
        _logger = logger;
        _random = random;
        _ids = new TransactionIds(random);
        _generator = new MacGenerator(options.MacPrefix, options.MacKeyFile is { } file ? Security.MacKeyFile.Read(file) : store.MacKey());
        _newLeases = NewLeases(options.Limits.NamespaceRate);
    }

    /// <summary>How many leases were taken up or forgotten since the start.</summary>
    public long Turnover { get; private set; }

    /// <summary>Whether every lease from before the start was verified, or went unanswered once.</summary>
    public bool IsSettled => _unverified == 0;

    /// <summary>When <see cref="Tick"/> has something to do; null for never.</summary>
    public TimeSpan? NextDeadline
    {
        get
        {
            TimeSpan? next = _schedule.TryPeek(out _, out var due) ? due : null;
            foreach (var link in Links)
                next = Earlier(next, link.NextAt(_clock.Now));
            return next;
        }
    }

    /// <summary>Takes up what the store holds. Call it once, first.</summary>
    public void Load()
    {
        var contents = _store.Load();
        foreach (string fault in contents.Faults)
        {
            _metrics.Event("corrupt");
            Log.StoreFault(_logger, fault);
        }
        foreach (var mac in _options.Macs)
            _macs.Add(mac);
        foreach (string text in contents.Macs ?? [])
        {
            if (MacList.Parse(text, out var mac) is null)
                _macs.Add(mac);
        }
        // The newest first: should two live records bear one name, the older one was being replaced when we stopped.
        foreach (var record in contents.Leases.OrderByDescending(r => r.CreatedAt).ThenBy(r => r.Id))
            Take(record);
        Log.Loaded(_logger, _byService.Count, _releasing.Count, _macs.Count);
        UpdateGauges();
    }

    /// <summary>Does what is due, as far as the pacing allows.</summary>
    public void Tick()
    {
        var now = _clock.Now;
        while (_schedule.TryPeek(out var item, out var due) && (due <= now || item.Version != item.Entry.Version))
        {
            _schedule.Dequeue();
            if (item.Version == item.Entry.Version && !item.Entry.IsGone)
                Due(item.Entry, now);
        }
        foreach (var link in Links)
        {
            while (link.TryDequeue(now, out var entry))
            {
                if (entry.IsGone || IsHeld(entry))
                    continue;
                Run(entry, now);
                Reschedule(entry);
            }
        }
        if (now >= _sweepAt)
            SweepOrphans(now);
        if (now >= _gaugesAt)
            UpdateGauges();
    }

    /// <summary>Hands a reply to the client that waits for it on the interface that it came by.</summary>
    public void Receive(LeaseLink link, in DhcpReply reply)
    {
        var entry = _ids.TryFind(reply.Message.TransactionId, out var client) ? _byClient.GetValueOrDefault(client) : null;
        if (entry is null || entry.Link != link)
        {
            // Interfaces that relay from one address each hear it: it counts with the lease's, or, if there is none, with the first.
            if (link.Shared is null || (entry is null ? Links.First(other => other.Shared == link.Shared) == link : entry.Link.Shared != link.Shared))
                Dropped(DhcpDropReason.UnknownTransaction);
            return;
        }
        _metrics.Received(MetricLabel.Of(reply.Message.Type));
        link.Answered(entry, _clock.Now);
        client!.Receive(reply, _clock.Now);
        if (!EndIfConfused(entry))
            Reschedule(entry);
    }

    /// <summary>Counts what was dropped before it reached a client.</summary>
    public void Dropped(DhcpDropReason reason) => _metrics.Dropped(MetricLabel.Of(reason));

    private void Take(LeaseRecord record)
    {
        var now = _clock.Now;
        if (LinkOf(record) is not { } link)
        {
            // Whoever puts the interface back finds the lease as it was left.
            _metrics.Event("unconfigured");
            Log.StoreFault(_logger, $"the lease of {record.Service} is on the interface {record.Interface}, which is not configured: it is neither renewed nor released");
            return;
        }
        var mac = MacOf(record);
        var lease = LeaseRecords.Restore(record, _clock);
        if (record.State == LeaseRecordState.Released || (record.State == LeaseRecordState.Releasing && (lease is null || lease.Value.ExpiresAt <= now)))
        {
            var left = record.ReleasedAt is { } at ? at + RememberReleased - _clock.UtcNow : RememberReleased;
            if (left <= TimeSpan.Zero || left > RememberReleased)
                Delete(record);
            else
                _ = NewEntry(link, record with { State = LeaseRecordState.Released, ReleasedAt = record.ReleasedAt ?? _clock.UtcNow }, mac, forgetAt: now + left);
            return;
        }
        if (IsTaken(record, mac))
        {
            Log.StoreFault(_logger, $"two leases have the {(record.Duid is { } duid ? $"DUID {duid}" : record.SharesMac ? $"client identifier {record.ClientId}" : $"MAC {mac}")}; the older one, of {record.Service}, is dropped");
            Delete(record);
            return;
        }
        bool superseded = record.State != LeaseRecordState.Releasing && _byService.ContainsKey(new LeaseKey(record.Service, record.Family));
        if (superseded && lease is null)
        {
            Delete(record);
            return;
        }
        if (superseded)
        {
            record = record with { State = LeaseRecordState.Releasing };
        }
        var entry = NewEntry(link, record, mac);
        entry.Restored = lease;
        entry.RetainUntil = RetentionOf(record, link, now);
        entry.Hint = lease?.Address ?? (LeaseAddress.TryParse(record.RequestedAddress, out var wanted) ? wanted : null);
        switch (record.State)
        {
            case LeaseRecordState.Releasing:
                if (superseded)
                    Save(entry, record);
                entry.Pending = PendingStart.Release;
                break;
            case LeaseRecordState.Bound when lease is not null:
                entry.Pending = PendingStart.Resume;
                entry.Unverified = true;
                _unverified++;
                Claim(entry, lease.Value.Address);
                break;
            case LeaseRecordState.Lost:
                entry.Pending = PendingStart.Acquire;
                entry.Held = lease?.Address;
                break;
            default:
                entry.Pending = PendingStart.Acquire;
                entry.AbandonAt = now + _options.AbandonAfter;
                break;
        }
        Reschedule(entry);
    }

    private LeaseEntry NewEntry(LeaseLink link, LeaseRecord record, MacAddress mac, TimeSpan? forgetAt = null)
    {
        var now = _clock.Now;
        Turnover++;
        var entry = new LeaseEntry
        {
            Record = record,
            Mac = mac,
            Link = link,
            History = new LeaseHistory(record.Counts),
            StartedAt = now,
            ClaimedAt = now,
            ForgetAt = forgetAt,
        };
        entry.Client = record.Family == LeaseFamily.IPv6
            ? new LeaseClient6(new Dhcp6Client(LeaseRecords.Identity6(record), link.Settings6, this, Ids6, _random))
            : new LeaseClient4(new DhcpClient(LeaseRecords.Identity(record), link.Settings, this, _ids, _random));
        if (record.State == LeaseRecordState.Released)
        {
            _releasing.Add(entry);
            Reschedule(entry);
            return entry;
        }
        _byClient[entry.Client.Machine] = entry;
        if (record.State == LeaseRecordState.Releasing)
            _releasing.Add(entry);
        else
            _byService[entry.Key] = entry;
        Own(entry);
        return entry;
    }

    /// <summary>Frees the identity; the record may stay a while to answer a repeated DELETE.</summary>
    private void Retire(LeaseEntry entry)
    {
        DropUnsent(entry);
        _byClient.Remove(entry.Client.Machine);
        entry.Link.SetUnanswered(entry, false);
        Disown(entry);
        Unclaim(entry);
        EndProbing(entry);
        if (_byService.TryGetValue(entry.Key, out var live) && live == entry)
            _byService.Remove(entry.Key);
        Settle(entry);
    }

    private void Forget(LeaseEntry entry)
    {
        Retire(entry);
        _releasing.Remove(entry);
        Turnover++;
        entry.IsGone = true;
        Delete(entry.Record);
    }

    private void Settle(LeaseEntry entry)
    {
        if (!entry.Unverified)
            return;
        entry.Unverified = false;
        if (--_unverified == 0)
            Log.Settled(_logger);
    }

    private void Due(LeaseEntry entry, TimeSpan now)
    {
        if (entry.ForgetAt <= now)
        {
            Forget(entry);
            return;
        }
        if (entry.SaveAgainAt <= now && Save(entry, entry.Record))
            CompleteIfLeased(entry);
        if (entry.RetainUntil <= now && !entry.IsReleasing)
            EndRetention(entry, now);
        if (entry.AbandonAt <= now)
        {
            Abandon(entry, now);
            Reschedule(entry);
            return;
        }
        // The end of an entitlement waits for no pacing: the address must go silent now.
        if (entry.Client.Lease?.ExpiresAt <= now)
            entry.Client.Tick(now);
        // ARP probes are neither messages to a server nor paced as such.
        if (entry.Client.State == DhcpClientState.Probing && !IsHeld(entry))
            entry.Client.Tick(now);
        if (!entry.InReady && !IsHeld(entry) && (entry.Pending != PendingStart.None || entry.Client.NextDeadline <= now))
            entry.Link.Enqueue(entry);
        Reschedule(entry);
    }

    private void Run(LeaseEntry entry, TimeSpan now)
    {
        var pending = entry.Pending;
        entry.Pending = PendingStart.None;
        switch (pending)
        {
            case PendingStart.Acquire:
                entry.Client.Acquire(now, HintOf(entry), entry.Held);
                break;
            case PendingStart.Resume:
                entry.Client.Resume(entry.Restored!.Value, now);
                break;
            case PendingStart.Release:
                entry.Client.Release(entry.Restored!.Value, now, "service deleted");
                break;
            default:
                entry.Client.Tick(now);
                break;
        }
        entry.Restored = null;
    }

    private void Reschedule(LeaseEntry entry)
    {
        var now = _clock.Now;
        entry.Link.CountUnanswered(entry, now);
        entry.Version++;
        if (entry.IsGone)
            return;
        var due = Earlier(Earlier(Earlier(entry.AbandonAt, entry.SaveAgainAt), entry.ForgetAt), entry.IsReleasing ? null : entry.RetainUntil);
        if (entry.InReady)
            due = Earlier(due, entry.Client.Lease?.ExpiresAt);
        else if (!IsHeld(entry))
            due = Earlier(due, entry.Pending != PendingStart.None ? TimeSpan.MinValue : DueOf(entry.Client, now));
        if (due is { } at)
            _schedule.Enqueue((entry, entry.Version), at);
    }

    private void Abandon(LeaseEntry entry, TimeSpan now)
    {
        Log.Abandoned(_logger, entry.Record.Service, entry.Identity, entry.Client.Progress ?? "not begun");
        _metrics.Event("abandoned");
        if (!StartRelease(entry, now, "abandoned"))
            entry.AbandonAt = now + SaveAgainAfter;
    }

    private bool Save(LeaseEntry entry, LeaseRecord record, bool later = false)
    {
        entry.Record = record with { SavedAt = _clock.UtcNow, Counts = entry.History.Counts(record.Counts) };
        try
        {
            if (later)
                _store.SaveLater(entry.Record);
            else
                _store.Save(entry.Record);
            entry.SaveAgainAt = null;
            TellUntold(entry);
            return true;
        }
        catch (IOException e)
        {
            entry.SaveAgainAt = _clock.Now + SaveAgainAfter;
            entry.LastError = $"the lease cannot be stored: {e.Message}";
            _metrics.StoreFailed();
            Log.SaveFailed(_logger, entry.Record.Service, e.Message);
            return false;
        }
    }

    private void Delete(LeaseRecord record)
    {
        try
        {
            _store.Delete(record);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is taken up at the next start, and dropped then.
            _metrics.StoreFailed();
            Log.SaveFailed(_logger, record.Service, e.Message);
        }
    }

    private void UpdateGauges()
    {
        // They count all leases: with thousands of them that is done less often.
        _gaugesAt = _clock.Now + TimeSpan.FromSeconds(Math.Max(1, _byService.Count / 1000.0));
        var states = _byService.Values.Concat(_releasing.Where(e => e.Record.State == LeaseRecordState.Releasing)).CountBy(e => (StateName(e), e.Record.Family));
        _metrics.Set([.. states], FreeMacs());
        _metrics.SetOrphans(_byService.Values.Count(e => e.OrphanedAt is not null));
        UpdateNumbers();
    }

    private static TimeSpan? Earlier(TimeSpan? left, TimeSpan? right) => left is null || right < left ? right : left;
}
