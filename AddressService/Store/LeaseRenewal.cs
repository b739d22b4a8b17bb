namespace DynamicLb.AddressService.Store;

/// <summary>What a plain renewal changes in a <see cref="LeaseRecord"/>: its times, and the count of renewals.</summary>
/// <param name="Id">Of the record.</param>
/// <param name="Of">When the record was written that it adds to: of no other version of the record does it speak.</param>
/// <param name="SentAt">As in the record, like all that follow.</param>
/// <param name="SentAtBoot">In seconds.</param>
/// <param name="BootId">Of <paramref name="SentAtBoot"/>.</param>
/// <param name="T1">When renewal begins.</param>
/// <param name="T2">When rebinding begins.</param>
/// <param name="ExpiresAt">When the lease ends.</param>
/// <param name="SavedAt">When this was written.</param>
/// <param name="Counts">What became of the lease until then.</param>
internal sealed record LeaseRenewal(
    Guid Id, DateTimeOffset Of, DateTimeOffset? SentAt, double? SentAtBoot, string? BootId, DateTimeOffset? T1, DateTimeOffset? T2, DateTimeOffset? ExpiresAt,
    DateTimeOffset SavedAt, LeaseCounts? Counts)
{
    /// <summary>The renewal that makes <paramref name="next"/> of what was stored; null where more than that has changed.</summary>
    public static LeaseRenewal? Between(in StoredVersion stored, LeaseRecord next) => StoredVersion.PrintOf(next) != stored.Print ? null : new(
        next.Id, stored.SavedAt, next.SentAt, next.SentAtBoot, next.BootId, next.T1, next.T2, next.ExpiresAt, next.SavedAt, next.Counts);

    public LeaseRecord ApplyTo(LeaseRecord stored) => stored with
    {
        SentAt = SentAt,
        SentAtBoot = SentAtBoot,
        BootId = BootId,
        T1 = T1,
        T2 = T2,
        ExpiresAt = ExpiresAt,
        SavedAt = SavedAt,
        Counts = Counts,
    };
}
