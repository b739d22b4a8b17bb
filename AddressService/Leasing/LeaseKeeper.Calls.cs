using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.MacPool;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>How a release ended.</summary>
internal enum ReleaseKind
{
    Success = 0,
    NotFound,
    Mismatch,

    /// <summary>The caller does not cover the namespace.</summary>
    Denied,
    StoreFailed,
}

/// <param name="Kind">How it ended.</param>
/// <param name="Answer">For the caller, once the store has no write of <paramref name="Ids"/> under way any more.</param>
/// <param name="Ids">The records of releases that were begun.</param>
internal sealed record ReleaseOutcome(ReleaseKind Kind, ReleaseAddressAnswer Answer, params IReadOnlyList<Guid> Ids);

/// <summary>The calls of the REST API. Their input was checked before.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>Leases an address for a service, joins the search for one, or completes at once with the one it has.</summary>
    public void Acquire(AcquireCall call, AcquireWaiter waiter)
    {
        var now = _clock.Now;
        var (service, uid) = (call.Service, call.Uid);
        if (_byService.TryGetValue(new LeaseKey(service, call.Family), out var entry) && uid is not null && entry.Record.Uid is { } known && known != uid && !IsRetained(entry))
        {
            // Another object under the same name: the address of the old one must not pass to it unnoticed.
            if (!StartRelease(entry, now, "replaced by a service of the same name"))
            {
                waiter.Complete(Failed(AcquireKind.Unavailable, "the lease of the service's predecessor cannot be released: the store does not take the change"));
                return;
            }
            entry = null;
        }
        if (entry is null && (entry = Create(call, waiter)) is null)
            return;
        if (call.Interface is { } wanted && wanted != entry.Link.Name)
        {
            waiter.Complete(Failed(AcquireKind.Conflict, $"interface: {service} has its lease on {entry.Link.Name}, not on {wanted}: release it first"));
            return;
        }
        if (IsRetained(entry))
            Unretain(entry, uid);
        entry.Held ??= call.Held;
        if (entry.Record.Uid is null && uid is not null)
            Save(entry, entry.Record with { Uid = uid });
        if (entry.AbandonAt is not null)
            entry.AbandonAt = now + _options.AbandonAfter;
        Claimed(entry);
        entry.Add(waiter);
        CompleteIfLeased(entry);
        Reschedule(entry);
    }

    /// <summary>Ends a call's wait: it does not want the answer any more.</summary>
    /// <returns>Where the search stands.</returns>
    public AcquireOutcome GiveUp(string service, AcquireWaiter waiter, LeaseFamily family = LeaseFamily.IPv4)
    {
        if (!_byService.TryGetValue(new LeaseKey(service, family), out var entry))
            return Failed(AcquireKind.Released, "the service was released meanwhile");
        entry.Remove(waiter);
        if (entry.LeaseAt(_clock.Now) is { } lease && IsStored(entry))
            return new AcquireOutcome(AcquireKind.Success, Answer(entry, lease));
        string detail = entry.SaveAgainAt is not null && entry.LastError is { } error ? error
            : !IsStored(entry) ? "the store has not taken the lease yet"
            : entry.Client.Progress ?? "not begun: other leases go first";
        return new AcquireOutcome(AcquireKind.Timeout, new AcquireAddressAnswer(AnswerStatus.Timeout, "", Detail: detail));
    }

    /// <summary>Gives an address back.</summary>
    /// <param name="address">The address, or null.</param>
    /// <param name="service">The service, or null.</param>
    /// <param name="mayRelease">Whether the caller may release a service's; null for any.</param>
    /// <param name="family">Only the service's lease of this family; null for all that it has.</param>
    public ReleaseOutcome Release(LeaseAddress? address, string? service, Func<string, bool>? mayRelease = null, LeaseFamily? family = null)
    {
        if (address is null && service is not null && family is null)
            return ReleaseAll(service, mayRelease);
        family ??= address?.Family ?? LeaseFamily.IPv4;
        LeaseEntry? entry = null;
        if (service is not null)
            _byService.TryGetValue(new LeaseKey(service, family.Value), out entry);
        var byAddress = address is { } wanted ? _byService.Values.FirstOrDefault(e => AddressOf(e) == wanted.ToString()) : null;
        if (service is not null && address is not null && entry != byAddress)
            return Refused(ReleaseKind.Mismatch, $"ip and service: {address} is not the address of {service}");
        entry ??= byAddress;
        if (entry is not null && mayRelease?.Invoke(entry.Record.Service) == false)
            return Refused(ReleaseKind.Denied, "ip: it belongs to a service of a namespace that the caller does not cover");
        if (entry is null)
        {
            var before = _releasing.LastOrDefault(e =>
                (address is null || e.Record.Address == address.ToString()) && (service is null || (e.Record.Service == service && e.Record.Family == family))
                && mayRelease?.Invoke(e.Record.Service) != false);
            return before is null
                ? Refused(ReleaseKind.NotFound, address is null ? $"service: {service} has no lease here" : $"ip: {address} is not leased here")
                : Done(before.Record.Address ?? "", before.Record.Id);
        }
        string released = AddressOf(entry) ?? "";
        if (Retain(entry, _clock.Now) is { } retained)
            return retained ? Done(released, entry.Record.Id) : Refused(ReleaseKind.StoreFailed, "that the lease is to be kept cannot be stored; nothing was released");
        return StartRelease(entry, _clock.Now, "service deleted")
            ? Done(released, entry.Record.Id)
            : Refused(ReleaseKind.StoreFailed, "the release cannot be stored; nothing was released");
    }

    /// <summary>Gives back what a service has, of both families; the answer names the first.</summary>
    private ReleaseOutcome ReleaseAll(string service, Func<string, bool>? mayRelease)
    {
        ReleaseOutcome[] outcomes = [Release(null, service, mayRelease, LeaseFamily.IPv4), Release(null, service, mayRelease, LeaseFamily.IPv6)];
        // One that fails is to be repeated; one that it does not have matters only if it has none.
        return outcomes.FirstOrDefault(o => o.Kind is not (ReleaseKind.Success or ReleaseKind.NotFound))
            ?? (outcomes.FirstOrDefault(o => o.Kind == ReleaseKind.Success) is { } first ? first with { Ids = [.. outcomes.SelectMany(o => o.Ids)] } : outcomes[0]);
    }

    public AddMacsAnswer AddMacs(IReadOnlyList<string> macs)
    {
        var rejected = new List<RejectedMac>();
        bool changed = false;
        foreach (string text in macs)
        {
            string? fault = MacList.Parse(text, out var mac);
            fault ??= _macs.Contains(mac) ? _byMac.ContainsKey(mac) ? "already in use" : "already in the pool" : _byMac.ContainsKey(mac) ? "already in use" : null;
            if (fault is not null)
                rejected.Add(new RejectedMac(text, fault));
            else
                changed |= _macs.Add(mac);
        }
        string? unsaved = changed ? SaveMacs() : null;
        return unsaved is null && rejected.Count == 0
            ? new AddMacsAnswer(AnswerStatus.Success, rejected)
            : new AddMacsAnswer(AnswerStatus.Error, rejected, unsaved ?? "macs: some were rejected, the others were added");
    }

    public RemoveMacsAnswer RemoveMacs(IReadOnlyList<string> macs)
    {
        var unprocessed = new List<string>();
        bool changed = false;
        foreach (string text in macs)
        {
            if (MacList.Parse(text, out var mac) is not null || !_macs.Contains(mac) || _byMac.ContainsKey(mac))
                unprocessed.Add(text);
            else
                changed |= _macs.Remove(mac);
        }
        string? unsaved = changed ? SaveMacs() : null;
        return unsaved is null && unprocessed.Count == 0
            ? new RemoveMacsAnswer(AnswerStatus.Success, unprocessed)
            : new RemoveMacsAnswer(AnswerStatus.Error, unprocessed, unsaved ?? "macs: some are in use, unknown or malformed, the others were removed");
    }

    public StatusAnswer Status()
    {
        var leases = _byService.Values.Concat(_releasing.Where(e => e.Record.State == LeaseRecordState.Releasing))
            .OrderBy(e => e.Record.Service, StringComparer.Ordinal).Select(Describe).ToList();
        var free = _macs.Items.Where(mac => !_byMac.ContainsKey(mac)).Order().Select(mac => mac.ToString()).ToList();
        return new StatusAnswer(AnswerStatus.Success, leases, free, _metrics.Totals());
    }

    public ConfigAnswer Config()
    {
        var interfaces = Links.Select(Describe).ToList();
        var prefix = new MacAddress((ulong)_options.MacPrefix << 24).ToString()[..8];
        return new ConfigAnswer(
            [.. interfaces.SelectMany(i => i.Cidrs).Distinct()], interfaces[0].Interface, interfaces[0].Transport, MacSourceName,
            prefix, _macs.Count, FreeMacs(), (int)Math.Ceiling(_options.RequestTimeout.TotalSeconds), interfaces);
    }

    private string MacSourceName => _options.MacSource switch { MacSource.Pool => "pool", MacSource.PoolThenGenerate => "poolThenGenerate", _ => "generate" };

    private InterfaceAnswer Describe(LeaseLink link)
    {
        var entries = _byService.Values.Where(e => e.Link == link).ToList();
        var cidrs = link.Options.Cidrs.Count > 0 ? link.Options.Cidrs : [.. entries
            .Select(e => e.LeaseAt(_clock.Now)?.Network).OfType<IPv4Network>().Distinct().OrderBy(n => n.Address)];
        return new InterfaceAnswer(
            link.Name, link.Device, link.Options.Vlan, TransportName(link), [.. cidrs.Select(c => c.ToString())],
            entries.Count, link.Options.MaxLeases, link.Options.Namespaces, link.Options.Identity == IdentityMode.ClientId ? "client-id" : "mac", link.Options.MacBudget);
    }

    private static string TransportName(LeaseLink link) => link.Options.Transport switch
    {
        TransportMode.Nic => "nic",
        TransportMode.ChAddr => "chaddr",
        _ => "relay",
    };

    private LeaseEntry? Create(AcquireCall call, AcquireWaiter waiter)
    {
        var (service, uid) = (call.Service, call.Uid);
        if (LinkFor(call) is not { } link)
        {
            waiter.Complete(Failed(AcquireKind.Malformed, $"interface: there is no '{call.Interface}'; there is {LinkNames()}"));
            return null;
        }
        if (!link.Serves(call.Family))
        {
            waiter.Complete(Failed(AcquireKind.Malformed, $"family: {FamilyName(call.Family)} is not leased on {link.Name}; the setting 'families' says what is"));
            return null;
        }
        MakeRoom(service, link);
        if (Refusal(service, link) is { } refusal)
        {
            waiter.Complete(refusal);
            return null;
        }
        bool isIPv6 = call.Family == LeaseFamily.IPv6;
        var asked = new LeaseRecord
        {
            Version = isIPv6 ? 2 : 1,
            Service = service,
            Family = call.Family,
            Uid = uid,
            Id = Guid.NewGuid(),
            Mac = "",
            Hostname = link.Options.HostName is { } template ? HostNameTemplate.Name(template, service) : null,
            Domain = link.Options.Domain,
            Options = isIPv6 ? null : LeaseRecords.Write(link.Options.ExtraOptions),
            VendorClass = isIPv6 || link.Options.VendorClass.Length == 0 ? null : link.Options.VendorClass,
            Interface = link.Options.Name,
            RequestedAddress = call.Ip?.ToString(),
            CreatedAt = _clock.UtcNow,
        };
        if (ChooseIdentity(asked, link, waiter) is not { } record)
            return null;
        var entry = NewEntry(link, record, MacOf(record));
        entry.Hint = call.Ip;
        entry.Held = call.Held;
        entry.Pending = PendingStart.Acquire;
        entry.AbandonAt = _clock.Now + _options.AbandonAfter;
        if (Save(entry, record))
        {
            Tell(entry, LeaseEventType.Requested, entry.Record);
            return entry;
        }
        Retire(entry);
        entry.IsGone = true;
        // A part of it may have reached the disk.
        Delete(entry.Record);
        waiter.Complete(Failed(AcquireKind.Unavailable, entry.LastError!));
        return null;
    }

    private MacAddress? ChooseMac(string subject, out bool fromPool)
    {
        const int Attempts = 1000;
        fromPool = _options.MacSource != MacSource.Generate;
        if (fromPool)
        {
            foreach (var mac in _macs.Items)
            {
                if (!_byMac.ContainsKey(mac))
                    return mac;
            }
            if (_options.MacSource == MacSource.Pool)
                return null;
            fromPool = false;
        }
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            var mac = _generator.Derive(subject, attempt);
            if (!_byMac.ContainsKey(mac) && !_macs.Contains(mac) && mac != MacAddress.Zero)
                return mac;
        }
        return null;
    }

    /// <summary>Writes the tombstone, then lets the client give the lease back.</summary>
    private bool StartRelease(LeaseEntry entry, TimeSpan now, string reason)
    {
        var before = entry.Record;
        bool leased = entry.Pending == PendingStart.Resume || entry.Client.Lease is not null;
        // A REQUEST may have been granted without our knowing it: the client gives that back, the record does not know of it.
        if (!Save(entry, before with { State = LeaseRecordState.Releasing, Address = leased ? before.Address : null }))
        {
            entry.Record = before;
            return false;
        }
        Log.Releasing(_logger, before.Service, reason);
        Tell(entry, LeaseEventType.Releasing, before, reason);
        _byService.Remove(entry.Key);
        _releasing.Add(entry);
        Settle(entry);
        DropUnsent(entry);
        entry.AbandonAt = null;
        entry.Complete(Failed(AcquireKind.Released, $"the lease was released: {reason}"));
        if (entry.Pending == PendingStart.Resume)
        {
            entry.Pending = PendingStart.Release;
        }
        else
        {
            entry.Pending = PendingStart.None;
            entry.Client.Release(now, reason);
        }
        Reschedule(entry);
        return true;
    }

    private void CompleteIfLeased(LeaseEntry entry)
    {
        // Not before it is on disk: what a caller was told must survive.
        if (entry.Waiters.Count == 0 || entry.LeaseAt(_clock.Now) is not { } lease)
            return;
        if (!IsStored(entry))
        {
            _store.Hurry();
            return;
        }
        entry.Complete(new AcquireOutcome(AcquireKind.Success, Answer(entry, lease)));
    }

    private string? AddressOf(LeaseEntry entry) => entry.LeaseAt(_clock.Now)?.Address.ToString() ?? entry.Client.Lease?.Address.ToString()
        ?? (entry.Record.State == LeaseRecordState.Lost ? entry.Record.Address : null);

    private AcquireAddressAnswer Answer(LeaseEntry entry, HeldLease lease)
    {
        bool ends = lease.Seconds != DhcpLease.Infinite;
        return new AcquireAddressAnswer(
            AnswerStatus.Success, lease.Address.ToString(), entry.Record.Id.ToString(), NullIfEmpty(entry.Record.Mac), ends ? lease.Seconds : null,
            Utc(lease.ExpiresAt), lease.Server, entry.Record.FullName, lease.Verified, Family: FamilyName(entry.Record.Family), Duid: entry.Record.Duid,
            SharesMac: TrueOrNull(entry.Record.SharesMac));
    }

    private LeaseAnswer Describe(LeaseEntry entry)
    {
        var lease = entry.LeaseAt(_clock.Now) ?? entry.Client.Lease;
        var record = entry.Record;
        return new LeaseAnswer(
            record.Service, record.Uid, lease?.Address.ToString() ?? (entry.IsReleasing ? record.Address ?? "" : ""), record.Id.ToString(), record.Mac,
            StateName(entry), record.FullName, lease?.Server,
            lease is not { Seconds: not DhcpLease.Infinite and var seconds } ? null : seconds, lease is null ? null : record.ObtainedAt,
            Utc(lease?.T1), Utc(lease?.T2), Utc(lease?.ExpiresAt), lease?.Verified ?? false, entry.Client.UnansweredRenewals, entry.LastError,
            Utc(entry.OrphanedAt), entry.Link.Name, FamilyName(record.Family), record.Duid, TrueOrNull(record.SharesMac));
    }

    internal static string FamilyName(LeaseFamily family) => family == LeaseFamily.IPv6 ? AddressFamilies.IPv6 : AddressFamilies.IPv4;

    private static bool? TrueOrNull(bool value) => value ? true : null;

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;

    private static string StateName(LeaseEntry entry) => entry.IsReleasing ? "releasing"
        : IsRetained(entry) ? "retained"
        : entry.Client.IsSuspect ? "suspect"
        : entry.Pending switch { PendingStart.Resume => "rebooting", PendingStart.Acquire => "init", _ => MetricLabel.Of(entry.Client.State) };

    private DateTimeOffset? Utc(TimeSpan? at) => at is { } time ? _clock.UtcNow + (time - _clock.Now) : null;

    private int FreeMacs() => _macs.Items.Count(mac => !_byMac.ContainsKey(mac));

    private string? SaveMacs()
    {
        try
        {
            _store.SaveMacs([.. _macs.Items.Select(mac => mac.ToString())]);
            return null;
        }
        catch (IOException e)
        {
            _metrics.StoreFailed();
            return $"the pool is changed, but cannot be stored: {e.Message}";
        }
    }

    private static AcquireOutcome Failed(AcquireKind kind, string detail) => new(kind, new AcquireAddressAnswer(AnswerStatus.Error, "", Detail: detail));

    private static ReleaseOutcome Refused(ReleaseKind kind, string detail) =>
        new(kind, new ReleaseAddressAnswer(kind == ReleaseKind.Denied ? AnswerStatus.Denied : AnswerStatus.Error, "", Detail: detail));

    private static ReleaseOutcome Done(string ip, Guid id) => new(ReleaseKind.Success, new ReleaseAddressAnswer(AnswerStatus.Success, ip, id.ToString()), id);
}
