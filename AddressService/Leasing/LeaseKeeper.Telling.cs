using System.Text;
using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Which leases a caller wants to see.</summary>
/// <param name="Service">Of this service; null for all.</param>
/// <param name="State">In this state; null for all.</param>
/// <param name="Limit">At most so many.</param>
/// <param name="After">Only those after this place, as <see cref="LeasesAnswer.Continue"/> named it.</param>
/// <param name="Covers">Whether the caller may see a service's; null for all.</param>
internal sealed record LeaseFilter(string? Service, string? State, int Limit, LeasePlace? After, Func<string, bool>? Covers = null);

/// <summary>Place in the order of the leases.</summary>
internal readonly record struct LeasePlace(string Service, Guid Id)
{
    public static IComparer<LeasePlace> Order { get; } = Comparer<LeasePlace>.Create(
        static (left, right) => string.CompareOrdinal(left.Service, right.Service) is var order and not 0 ? order : left.Id.CompareTo(right.Id));

    public override string ToString() => Convert.ToBase64String(Encoding.UTF8.GetBytes($"{Service} {Id:N}")).Replace('+', '-').Replace('/', '_');

    public static bool TryParse(string text, out LeasePlace place)
    {
        place = default;
        byte[] bytes = new byte[text.Length];
        if (!Convert.TryFromBase64String(text.Replace('-', '+').Replace('_', '/'), bytes, out int length))
            return false;
        string[] parts = Encoding.UTF8.GetString(bytes, 0, length).Split(' ');
        if (parts.Length != 2 || !Guid.TryParseExact(parts[1], "N", out var id))
            return false;
        place = new LeasePlace(parts[0], id);
        return true;
    }
}

/// <summary>
/// What is told of the leases, and to whom. An event that says a service has an address, or that a lease was given back, is told when that is
/// stored; that an address is lost is told at once, whatever the store does.
/// </summary>
internal sealed partial class LeaseKeeper
{
    private ServerTable _servers = new(most: 64);
    private LeaseJournal? _journal;

    public LeaseJournal Journal => _journal ??= new LeaseJournal(_clock.UtcNow, _options.Watchers);

    private IEnumerable<LeaseEntry> Visible => _byService.Values.Concat(_releasing.Where(e => e.Record.State == LeaseRecordState.Releasing));

    /// <summary>The leases that fit, a page of them.</summary>
    public LeasesAnswer Leases(LeaseFilter filter)
    {
        var page = Visible
            .Where(e => (filter.Service is null || e.Record.Service == filter.Service) && (filter.State is null || StateName(e) == filter.State)
                && filter.Covers?.Invoke(e.Record.Service) != false)
            .Select(e => (Place: new LeasePlace(e.Record.Service, e.Record.Id), Entry: e))
            .Where(e => filter.After is not { } after || LeasePlace.Order.Compare(e.Place, after) > 0)
            .OrderBy(e => e.Place, LeasePlace.Order).Take(filter.Limit + 1).ToList();
        string? next = page.Count > filter.Limit ? page[filter.Limit - 1].Place.ToString() : null;
        return new LeasesAnswer(AnswerStatus.Success, [.. page.Take(filter.Limit).Select(e => Describe(e.Entry))], next, Journal.LastId);
    }

    /// <summary>The lease of an address with its history: the living one, or else the one released last. Null when there is none.</summary>
    public LeaseDetailAnswer? Lease(string ip)
    {
        var entry = _byService.Values.FirstOrDefault(e => AddressOf(e) == ip) ?? _releasing.LastOrDefault(e => e.Record.Address == ip);
        return entry is null ? null : new LeaseDetailAnswer(AnswerStatus.Success, Describe(entry), entry.History.Answer(entry.Record));
    }

    public OverviewAnswer Overview()
    {
        var leases = Visible.ToList();
        var servers = leases.Where(e => e.Record.State == LeaseRecordState.Bound && e.Record.ServerId is not null)
            .CountBy(e => e.Record.ServerId!).ToDictionary(StringComparer.Ordinal);
        var states = new SortedDictionary<string, int>(leases.CountBy(StateName).ToDictionary(StringComparer.Ordinal), StringComparer.Ordinal);
        return new OverviewAnswer(
            AnswerStatus.Success, _clock.UtcNow, Journal.Started, Journal.LastId, states, leases.Count(e => e.Client.UnansweredRenewals > 0),
            leases.Count(e => e.OrphanedAt is not null),
            Utc(leases.Min(e => e.LeaseAt(_clock.Now)?.ExpiresAt)), MacSourceName, _macs.Count, FreeMacs(),
            _servers.Answer(servers), _metrics.LinksUp, Journal.Watchers, _metrics.Totals());
    }

    /// <summary>The MACs given to us, and who uses them.</summary>
    public MacPoolAnswer MacPool() => new(
        AnswerStatus.Success, [.. _macs.Items.Select(mac => new PoolMac(mac.ToString(), _byMac.TryGetValue(mac, out var user) ? user.Record.Service : null))]);

    /// <summary>Lets a reader watch from the event it saw last, or from now.</summary>
    /// <returns>Null when there are too many readers.</returns>
    public WatchStart? Watch(LeaseWatcher watcher, string? lastId)
    {
        if (!Journal.TryWatch(watcher))
            return null;
        var missed = Journal.After(lastId)?.Where(happened => watcher.Covers(happened.Service)).ToList();
        return new WatchStart(missed, missed is null ? [.. Visible.Where(e => watcher.Covers(e.Record.Service)).Select(Describe)] : [], Journal.LastId);
    }

    /// <param name="entry">The lease.</param>
    /// <param name="type">One of <see cref="LeaseEventType"/>.</param>
    /// <param name="record">As it is now, whether stored or not.</param>
    /// <param name="detail">The cause in words.</param>
    /// <param name="from">The address held before.</param>
    private void Tell(LeaseEntry entry, string type, LeaseRecord record, string? detail = null, string? from = null) =>
        Tell(entry, Note(entry, type, record, detail, from));

    /// <summary>Writes the lease's history, and tells nobody yet.</summary>
    private JournalEntry Note(LeaseEntry entry, string type, LeaseRecord record, string? detail = null, string? from = null)
    {
        var noted = new JournalEntry(type, _clock.UtcNow, record, detail, from);
        entry.History.Add(noted);
        if (type is LeaseEventType.Bound or LeaseEventType.Renewed or LeaseEventType.Changed or LeaseEventType.Recovered && record.ServerId is { } server)
            _servers.Ack(server, noted.At);
        return noted;
    }

    private void Tell(LeaseEntry entry, in JournalEntry told)
    {
        const int MostUntold = 8;
        if (told.Type is LeaseEventType.Lost or LeaseEventType.Suspect || entry.IsGone)
        {
            // Whoever was not told of the address need not hear that it is gone, but it does no harm.
            entry.Untold?.Clear();
        }
        else if (!IsStored(entry))
        {
            entry.Untold ??= [];
            if (entry.Untold.Count >= MostUntold)
                entry.Untold.RemoveAt(0);
            entry.Untold.Add(told);
            return;
        }
        Journal.Tell(told);
    }

    /// <summary>The store has taken the lease: now it may be told.</summary>
    private void TellUntold(LeaseEntry entry)
    {
        if (entry.Untold is not { } untold || !IsStored(entry))
            return;
        entry.Untold = null;
        foreach (var told in untold)
            Journal.Tell(told);
    }
}
