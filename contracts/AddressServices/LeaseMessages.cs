using System.Text.Json.Serialization;

namespace DynamicLb.Contracts.AddressServices;

/// <summary>Values of <see cref="LeaseEvent.Type"/>, and the names of the other events of <c>GET /v1/leases/watch</c>. More may come: leave out what you do not know.</summary>
public static class LeaseEventType
{
    /// <summary>A service asked for an address; there is none yet.</summary>
    public const string Requested = "requested";

    /// <summary>An address where there was none before.</summary>
    public const string Bound = "bound";

    /// <summary>The lease was extended, or confirmed after a restart.</summary>
    public const string Renewed = "renewed";

    /// <summary>Another address in place of the one last held, which is in <see cref="LeaseEvent.From"/>.</summary>
    public const string Changed = "changed";

    /// <summary>The same address again after the lease was suspect or lost, or because the service is there again whose lease was kept.</summary>
    public const string Recovered = "recovered";

    /// <summary>The address that a server granted is in use by another host, found by ARP: it was declined, and the search goes on. The service never had it.</summary>
    public const string Declined = "declined";

    /// <summary>Another host uses the service's address, too: its MAC is in <see cref="LeaseEvent.Detail"/>. The lease stands.</summary>
    public const string Conflict = "conflict";

    /// <summary>The server refused the lease; unless it grants the address again at once, <see cref="Lost"/> follows.</summary>
    public const string Suspect = "suspect";

    /// <summary>The address is no longer the service's: it must go silent now. The search for it goes on.</summary>
    public const string Lost = "lost";

    /// <summary>The service's lease ends by a call: from here on the address is not to be used.</summary>
    public const string Releasing = "releasing";

    /// <summary>The lease was given back and is forgotten.</summary>
    public const string Released = "released";

    /// <summary>First event of a stream that cannot go on where the reader was: forget everything. Its data is a <see cref="LeaseReset"/>.</summary>
    public const string Reset = "reset";

    /// <summary>After <see cref="Reset"/>, one for each lease. Its data is a <see cref="LeaseAnswer"/>.</summary>
    public const string Snapshot = "snapshot";

    /// <summary>The reader knows everything up to this event's id; what follows happens now. Its data is a <see cref="LeaseSynced"/>.</summary>
    public const string Synced = "synced";

    /// <summary>Every few seconds, if asked for. Its data is an <see cref="OverviewAnswer"/>.</summary>
    public const string Overview = "overview";
}

/// <summary>Something that happened to a lease: data of an event of <c>GET /v1/leases/watch</c>, and body of a webhook. Times are UTC.</summary>
/// <param name="Id">Identifier, <c>boot-number</c>: both grow, the first with each start of the address service, the second with each event.</param>
/// <param name="Type">One of <see cref="LeaseEventType"/>.</param>
/// <param name="At">When it happened.</param>
/// <param name="Service">The service as <c>namespace/name</c>.</param>
/// <param name="Ip">The address it is about; empty while there is none.</param>
/// <param name="LeaseId">Identifier of the lease.</param>
/// <param name="Mac">The hardware address the lease belongs to; empty for IPv6.</param>
/// <param name="From">The address held before, in <see cref="LeaseEventType.Changed"/>.</param>
/// <param name="Server">Identifier of the DHCP server.</param>
/// <param name="LeaseSeconds">Length of the lease as granted, in seconds; null when it never ends or there is none.</param>
/// <param name="T1">When renewal begins.</param>
/// <param name="T2">When rebinding begins.</param>
/// <param name="ValidUntil">When the lease ends unless renewed.</param>
/// <param name="Detail">The cause in words, where there is one.</param>
/// <param name="Family"><c>ipv4</c> or <c>ipv6</c>.</param>
/// <param name="Duid">The DHCPv6 client's DUID in hexadecimal; null for IPv4.</param>
public sealed record LeaseEvent(
    string Id,
    string Type,
    DateTimeOffset At,
    string Service,
    string Ip,
    string LeaseId,
    string Mac,
    string? From = null,
    string? Server = null,
    long? LeaseSeconds = null,
    DateTimeOffset? T1 = null,
    DateTimeOffset? T2 = null,
    DateTimeOffset? ValidUntil = null,
    string? Detail = null,
    string? Family = null,
    string? Duid = null);

/// <summary>Data of <see cref="LeaseEventType.Reset"/>.</summary>
/// <param name="Reason">Why the stream does not go on where the reader was.</param>
/// <param name="Leases">How many <see cref="LeaseEventType.Snapshot"/> events follow.</param>
public sealed record LeaseReset(string Reason, int Leases);

/// <summary>Data of <see cref="LeaseEventType.Synced"/>.</summary>
/// <param name="Id">The newest event that the reader knows; the event's own id too.</param>
public sealed record LeaseSynced(string Id);

/// <summary>One event of <see cref="IAddressServiceClient.WatchLeasesAsync"/>.</summary>
/// <param name="Type">One of <see cref="LeaseEventType"/>.</param>
/// <param name="Id">Where to go on after it; null during a snapshot, which cannot be resumed.</param>
/// <param name="Event">What happened to a lease; null for the stream's own events.</param>
/// <param name="Lease">The lease, in <see cref="LeaseEventType.Snapshot"/>.</param>
/// <param name="IsLive">Whether it happens now; false for what was missed while there was no connection, up to <see cref="LeaseEventType.Synced"/>.</param>
public sealed record LeaseWatchEvent(string Type, string? Id, LeaseEvent? Event = null, LeaseAnswer? Lease = null, bool IsLive = false);

/// <summary>Answer to <c>GET /v1/leases</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Leases">The leases, sorted by service and id.</param>
/// <param name="Continue">Give it as <c>continue</c> to get the next ones; null at the end.</param>
/// <param name="EventId">The newest event that these leases know of: a watch may begin there, if this is the first page.</param>
/// <param name="Detail">The cause, unless successful.</param>
public sealed record LeasesAnswer(
    string Status, IReadOnlyList<LeaseAnswer> Leases, string? Continue = null, string? EventId = null, string? Detail = null);

/// <summary>Answer to <c>GET /v1/leases/{ip}</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Lease">The lease.</param>
/// <param name="History">What became of it.</param>
public sealed record LeaseDetailAnswer(string Status, LeaseAnswer Lease, LeaseHistoryAnswer History);

/// <summary>What became of a lease. The lists reach back to the start of the address service, all else to the beginning of the lease.</summary>
/// <param name="Created">When the service first asked for an address.</param>
/// <param name="Obtained">When the address was first leased.</param>
/// <param name="Renewals">How often it was extended.</param>
/// <param name="Naks">Refusals received.</param>
/// <param name="Losses">How often the address was lost.</param>
/// <param name="Changes">How often the address changed.</param>
/// <param name="LastRenewals">The last renewals, the newest first; a bounded number.</param>
/// <param name="Events">Everything but renewals, the newest first; a bounded number.</param>
/// <param name="Servers">The DHCP servers that answered.</param>
public sealed record LeaseHistoryAnswer(
    DateTimeOffset Created,
    DateTimeOffset? Obtained,
    long Renewals,
    long Naks,
    long Losses,
    long Changes,
    IReadOnlyList<LeaseHistoryEntry> LastRenewals,
    IReadOnlyList<LeaseHistoryEntry> Events,
    IReadOnlyList<ServerSeen> Servers);

/// <summary>One line of a lease's history.</summary>
/// <param name="At">When, in UTC.</param>
/// <param name="Type">One of <see cref="LeaseEventType"/>, or <c>nak</c>.</param>
/// <param name="Ip">The address, if there was one.</param>
/// <param name="Server">The DHCP server, if one was concerned.</param>
/// <param name="Detail">The cause in words, where there is one.</param>
public sealed record LeaseHistoryEntry(DateTimeOffset At, string Type, string? Ip = null, string? Server = null, string? Detail = null);

/// <summary>A DHCP server that answered.</summary>
/// <param name="Server">Its identifier (option 54).</param>
/// <param name="Acks">Leases and renewals it granted since the address service started.</param>
/// <param name="Naks">Refusals since then.</param>
/// <param name="LastSeen">When it answered last, in UTC.</param>
/// <param name="Leases">How many leases are its own now; null in the history of one lease.</param>
public sealed record ServerSeen(string Server, long Acks, long Naks, DateTimeOffset LastSeen, int? Leases = null);

/// <summary>Answer to <c>GET /v1/overview</c>: the address service at a glance, without the leases themselves.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Now">The address service's clock, in UTC.</param>
/// <param name="Started">When the address service started.</param>
/// <param name="EventId">The newest event.</param>
/// <param name="LeasesByState">How many leases are in each state.</param>
/// <param name="Unrenewed">Leases with a renewal that went unanswered.</param>
/// <param name="Orphans">Leases without an owner.</param>
/// <param name="NextExpiry">The end of the lease that ends first unless renewed.</param>
/// <param name="MacSource"><c>generate</c>, <c>pool</c> or <c>poolThenGenerate</c>.</param>
/// <param name="PoolMacs">MACs in the pool, those in use included.</param>
/// <param name="FreeMacs">MACs in the pool that no lease uses.</param>
/// <param name="Servers">The DHCP servers seen, a bounded number.</param>
/// <param name="LinksUp">The interfaces that are leased on, and whether each can carry frames.</param>
/// <param name="Watchers">Readers of <c>GET /v1/leases/watch</c>.</param>
/// <param name="Counters">Totals since start, as in <see cref="StatusAnswer"/>.</param>
public sealed record OverviewAnswer(
    string Status,
    DateTimeOffset Now,
    DateTimeOffset Started,
    string EventId,
    IReadOnlyDictionary<string, int> LeasesByState,
    int Unrenewed,
    int Orphans,
    DateTimeOffset? NextExpiry,
    string MacSource,
    int PoolMacs,
    int FreeMacs,
    IReadOnlyList<ServerSeen> Servers,
    IReadOnlyDictionary<string, bool> LinksUp,
    int Watchers,
    IReadOnlyDictionary<string, long> Counters);

/// <summary>Answer to <c>GET /v1/mac</c>.</summary>
/// <param name="Status">One of <see cref="AnswerStatus"/>.</param>
/// <param name="Macs">The pool, in the order of use.</param>
public sealed record MacPoolAnswer(string Status, IReadOnlyList<PoolMac> Macs);

/// <summary>A MAC of the pool.</summary>
/// <param name="Mac">The address.</param>
/// <param name="Service">The service whose lease uses it; null when it is free.</param>
public sealed record PoolMac(string Mac, string? Service = null)
{
    /// <summary>Whether no lease uses it.</summary>
    [JsonIgnore]
    public bool IsFree => Service is null;
}

/// <summary>Which leases <see cref="IAddressServiceClient.GetLeasesAsync"/> returns.</summary>
/// <param name="Service">Of this service; null for all.</param>
/// <param name="State">In this state; null for all.</param>
/// <param name="Limit">Length of a page, 1 to 1000; null for the service's default.</param>
/// <param name="Continue">What the page before gave; null for the first.</param>
public sealed record LeaseQuery(string? Service = null, string? State = null, int? Limit = null, string? Continue = null);
