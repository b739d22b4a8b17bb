using DynamicLb.AddressService.Store;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// What waits for the store. A store may take writes and make them durable later (<see cref="ILeaseStore.IsPending"/>); until then nothing goes out that
/// must not be known before the record is: no DISCOVER of an identity, no RELEASE of a tombstone, no answer about a lease. All else goes on.
/// </summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>Tells that a record is durable as it was written last: what waited for it goes on.</summary>
    public void Stored(LeaseRecord record)
    {
        var entry = _byService.TryGetValue(new LeaseKey(record.Service, record.Family), out var live) && live.Record.Id == record.Id
            ? live
            : _releasing.Find(e => e.Record.Id == record.Id);
        if (entry is null || entry.IsGone || _store.IsPending(record.Id))
            return;
        TellUntold(entry);
        CompleteIfLeased(entry);
        Reschedule(entry);
    }

    private bool IsHeld(LeaseEntry entry) =>
        entry.Record.State is LeaseRecordState.Requesting or LeaseRecordState.Releasing && _store.IsPending(entry.Record.Id);

    private bool IsStored(LeaseEntry entry) => entry.SaveAgainAt is null && !_store.IsPending(entry.Record.Id);
}
