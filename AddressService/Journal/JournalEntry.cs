using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.Journal;

/// <summary>An event as the journal keeps it: no objects of its own, so that a renewal which nobody watches costs no memory.</summary>
internal readonly struct JournalEntry
{
    private readonly long _at;
    private readonly long _t1;
    private readonly long _t2;
    private readonly long _validUntil;
    private readonly uint _leaseSeconds;
    private readonly Guid _leaseId;

    /// <param name="type">One of <see cref="LeaseEventType"/>.</param>
    /// <param name="at">When, in UTC.</param>
    /// <param name="record">The lease as it is now.</param>
    /// <param name="detail">The cause in words.</param>
    /// <param name="from">The address held before.</param>
    public JournalEntry(string type, DateTimeOffset at, LeaseRecord record, string? detail, string? from)
    {
        Type = type;
        Service = record.Service;
        Ip = record.Address;
        Mac = record.Mac;
        Family = record.Family;
        Duid = record.Duid;
        From = from;
        Server = record.ServerId;
        Detail = detail;
        _at = at.UtcTicks;
        _leaseId = record.Id;
        if (type is not (LeaseEventType.Bound or LeaseEventType.Renewed or LeaseEventType.Changed or LeaseEventType.Recovered or LeaseEventType.Suspect))
            return;
        _leaseSeconds = record.LeaseSeconds;
        _t1 = record.T1?.UtcTicks ?? 0;
        _t2 = record.T2?.UtcTicks ?? 0;
        _validUntil = record.ExpiresAt?.UtcTicks ?? 0;
    }

    public string Type { get; }

    public string Service { get; }

    public string? Ip { get; }

    public string Mac { get; }

    public LeaseFamily Family { get; }

    public string? Duid { get; }

    public string? From { get; }

    public string? Server { get; }

    public string? Detail { get; }

    public DateTimeOffset At => new(_at, TimeSpan.Zero);

    public LeaseEvent ToEvent(string id) => new(
        id, Type, At, Service, Ip ?? "", _leaseId.ToString(), Mac, From, Server, _leaseSeconds is 0 or uint.MaxValue ? null : _leaseSeconds,
        Utc(_t1), Utc(_t2), Utc(_validUntil), Detail, LeaseKeeper.FamilyName(Family), Duid);

    private static DateTimeOffset? Utc(long ticks) => ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero);
}
