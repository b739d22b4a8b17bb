using DynamicLb.AddressService.Journal;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>How an attempt to get an address ended, or where it stands.</summary>
internal enum AcquireKind
{
    Success = 0,

    /// <summary>Nothing to lease with: no MAC left, or the store does not take the lease.</summary>
    Unavailable,

    /// <summary>No DHCP answer in time; the work goes on.</summary>
    Timeout,

    /// <summary>The service was released meanwhile.</summary>
    Released,

    /// <summary>The request cannot be served as it stands.</summary>
    Malformed,

    /// <summary>The service has a lease that is not as the request wants it.</summary>
    Conflict,

    /// <summary>The namespace, or all together, have as many leases as they may have; or the caller does not cover the namespace.</summary>
    Denied,

    /// <summary>Too many new leases in a short time.</summary>
    Limited,

    /// <summary>The DHCP server cannot serve more than one client with our MAC.</summary>
    BadServer,
}

/// <summary>A call for an address, its fields checked.</summary>
/// <param name="Service">The service as namespace/name.</param>
/// <param name="Uid">Its UID, if the caller knows it.</param>
/// <param name="Ip">The address it would like.</param>
/// <param name="Interface">The interface to lease on; null leaves it to the configuration.</param>
/// <param name="Family">Of which family.</param>
/// <param name="Held">The address that the service has now, as far as the caller knows.</param>
internal sealed record AcquireCall(
    string Service, string? Uid = null, LeaseAddress? Ip = null, string? Interface = null, LeaseFamily Family = LeaseFamily.IPv4, LeaseAddress? Held = null);

/// <param name="Kind">How it ended.</param>
/// <param name="Answer">What the caller is told.</param>
/// <param name="RetryAfter">When to call again, where that is known.</param>
internal sealed record AcquireOutcome(AcquireKind Kind, AcquireAddressAnswer Answer, TimeSpan? RetryAfter = null);

/// <summary>A call that waits for a lease, outside the loop.</summary>
internal sealed class AcquireWaiter
{
    private readonly TaskCompletionSource<AcquireOutcome> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<AcquireOutcome> Task => _completion.Task;

    public void Complete(AcquireOutcome outcome) => _completion.TrySetResult(outcome);
}

/// <summary>What a client does as soon as the pacing lets it.</summary>
internal enum PendingStart
{
    None = 0,
    Acquire,
    Resume,
    Release,
}

/// <summary>A REQUEST that waits for the store.</summary>
internal sealed record UnsentRequest(DhcpMessage Message, DhcpDestination Destination);

/// <summary>That another host uses an address, as it was told.</summary>
internal sealed record ToldConflict(MacAddress Host, TimeSpan At);

/// <summary>One lease: its record, its DHCP client, and who waits for it. It belongs to the loop.</summary>
internal sealed class LeaseEntry
{
    // Thousands of these live at once: what most do not have takes no more than a reference, or the end of time.
    private static readonly TimeSpan s_never = TimeSpan.MaxValue;

    private List<AcquireWaiter>? _waiters;
    private TimeSpan _abandonAt = s_never;
    private TimeSpan _saveAgainAt = s_never;
    private TimeSpan _retainUntil = s_never;
    private TimeSpan _forgetAt = s_never;
    private TimeSpan _orphanedAt = s_never;

    public required LeaseRecord Record { get; set; }

    /// <summary>Zero for a lease of IPv6, which needs none.</summary>
    public required MacAddress Mac { get; init; }

    /// <summary>Where it is leased.</summary>
    public required LeaseLink Link { get; init; }

    public LeaseClient Client { get; set; } = null!;

    /// <summary>The calls that wait for it: none, most of the time.</summary>
    public IReadOnlyList<AcquireWaiter> Waiters => _waiters ?? (IReadOnlyList<AcquireWaiter>)[];

    public PendingStart Pending { get; set; }

    /// <summary>The lease from before a restart, until the client took it up.</summary>
    public HeldLease? Restored { get; set; }

    /// <summary>The lease that <see cref="Record"/> speaks of, but for its times.</summary>
    public HeldLease? Recorded { get; set; }

    /// <summary>Address to ask for.</summary>
    public LeaseAddress? Hint { get; set; }

    /// <summary>When a search that never found an address ends.</summary>
    public TimeSpan? AbandonAt
    {
        get => Optional(_abandonAt);
        set => _abandonAt = value ?? s_never;
    }

    /// <summary>When the record is to be written again, because the last write failed.</summary>
    public TimeSpan? SaveAgainAt
    {
        get => Optional(_saveAgainAt);
        set => _saveAgainAt = value ?? s_never;
    }

    /// <summary>Until when it is kept although its service was deleted.</summary>
    public TimeSpan? RetainUntil
    {
        get => Optional(_retainUntil);
        set => _retainUntil = value ?? s_never;
    }

    /// <summary>When a released one is forgotten.</summary>
    public TimeSpan? ForgetAt
    {
        get => Optional(_forgetAt);
        set => _forgetAt = value ?? s_never;
    }

    public TimeSpan StartedAt { get; set; }

    /// <summary>When its service asked for it last, or we started.</summary>
    public TimeSpan ClaimedAt { get; set; }

    /// <summary>Since when it has no owner.</summary>
    public TimeSpan? OrphanedAt
    {
        get => Optional(_orphanedAt);
        set => _orphanedAt = value ?? s_never;
    }

    /// <summary>Somebody said that it has no owner, rather than nobody asking for it.</summary>
    public bool IsReportedOrphan { get; set; }

    public string? LastError { get; set; }

    /// <summary>What became of it.</summary>
    public required LeaseHistory History { get; init; }

    /// <summary>Events that wait until the store has taken what they speak of.</summary>
    public List<JournalEntry>? Untold { get; set; }

    /// <summary>The address that the client is asking a server for; ours already, as far as other leases are concerned.</summary>
    public LeaseAddress? Claimed { get; set; }

    /// <summary>Still to be verified for the first time after a start.</summary>
    public bool Unverified { get; set; }

    /// <summary>A NAK ended the exchange that goes on, or will have ended it in a moment.</summary>
    public bool WasRefused { get; set; }

    /// <summary>Another host has the address that was granted.</summary>
    public bool WasDeclined { get; set; }

    /// <summary>Who else uses the address, and when that was told last.</summary>
    public ToldConflict? Conflict { get; set; }

    /// <summary>The address that is being probed.</summary>
    public IPv4Address? Probing { get; set; }

    /// <summary>The address that the service had before the search began: our own hosts may still answer ARP for it.</summary>
    public LeaseAddress? Held { get; set; }

    /// <summary>What is being asked of a server; null for nothing.</summary>
    public string? Exchange { get; set; }

    /// <summary>Offers of an address that another one has under the same MAC.</summary>
    public int ConfusedOffers { get; set; }

    /// <summary>A REQUEST that waits until the identity is durable; then it leaves.</summary>
    public UnsentRequest? Unsent { get; set; }

    /// <summary>The same of DHCPv6.</summary>
    public Dhcp6Message? Unsent6 { get; set; }

    public bool InReady { get; set; }

    /// <summary>An exchange has begun and its first message was not answered yet.</summary>
    public bool IsUnanswered { get; set; }

    public bool IsGone { get; set; }

    /// <summary>Tells entries in the heap that are out of date.</summary>
    public int Version { get; set; }

    /// <summary>By what servers know it: the MAC, or the DUID.</summary>
    public string Identity => Record.Duid ?? Record.Mac;

    public LeaseKey Key => new(Record.Service, Record.Family);

    public bool IsReleasing => Record.State is LeaseRecordState.Releasing or LeaseRecordState.Released;

    public void Add(AcquireWaiter waiter) => (_waiters ??= new List<AcquireWaiter>(1)).Add(waiter);

    public void Remove(AcquireWaiter waiter) => _waiters?.Remove(waiter);

    /// <summary>Ends the wait of all.</summary>
    public void Complete(AcquireOutcome outcome)
    {
        var waiters = _waiters;
        _waiters = null;
        foreach (var waiter in waiters ?? [])
            waiter.Complete(outcome);
    }

    /// <summary>The lease that entitles the service to its address at <paramref name="now"/>, or null.</summary>
    public HeldLease? LeaseAt(TimeSpan now)
    {
        if (IsReleasing)
            return null;
        var lease = Pending == PendingStart.Resume ? Restored : Client.IsSuspect ? null : Client.Lease;
        return lease?.ExpiresAt <= now ? null : lease;
    }

    private static TimeSpan? Optional(TimeSpan at) => at == s_never ? null : at;
}
