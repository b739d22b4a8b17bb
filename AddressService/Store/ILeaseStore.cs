namespace DynamicLb.AddressService.Store;

/// <summary>What a store held at start.</summary>
/// <param name="Leases">Every readable record.</param>
/// <param name="Macs">The stored MAC list, or null when none was stored.</param>
/// <param name="Faults">What could not be read, in words, and what became of it.</param>
internal sealed record StoreContents(IReadOnlyList<LeaseRecord> Leases, IReadOnlyList<string>? Macs, IReadOnlyList<string> Faults);

/// <summary>
/// Durable memory of the leases. What a write call was given survives a crash once the call has returned and <see cref="IsPending"/> is false, and a
/// crash in the midst of one leaves the old or the new state, nothing else. Not thread-safe: it belongs to the loop that owns the leases.
/// </summary>
/// <exception cref="IOException">By every write that did not succeed.</exception>
internal interface ILeaseStore : IDisposable
{
    /// <summary>Reads everything. Records that are damaged are set aside, never deleted.</summary>
    StoreContents Load();

    /// <summary>Adds a record, or replaces the one with the same <see cref="LeaseRecord.Id"/>.</summary>
    void Save(LeaseRecord record);

    /// <summary>The same for what nobody waits for: it may be gathered with others for a second before it is made durable.</summary>
    void SaveLater(LeaseRecord record) => Save(record);

    /// <summary>Somebody waits after all: what was gathered is made durable now.</summary>
    void Hurry()
    {
    }

    /// <summary>Removes a record; nothing happens when there is none.</summary>
    void Delete(LeaseRecord record);

    /// <summary>
    /// Whether a write of the record with this id was taken, but is not durable yet. The loop calls <see cref="Leasing.LeaseKeeper.Stored"/> when it is.
    /// A store whose writes are durable when they return says no.
    /// </summary>
    bool IsPending(Guid id) => false;

    /// <summary>Replaces the MAC list.</summary>
    void SaveMacs(IReadOnlyList<string> macs);

    /// <summary>The secret from which MACs are derived; made at random the first time.</summary>
    byte[] MacKey();
}
