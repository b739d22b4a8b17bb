namespace DynamicLb.AddressService.Store;

/// <summary>What a <see cref="StoreWrite"/> does.</summary>
internal enum StoreWriteKind
{
    /// <summary>Adds a record, or replaces the one with the same id.</summary>
    Save = 0,

    /// <summary>Removes a record; nothing happens when there is none.</summary>
    Delete,

    /// <summary>Replaces the MAC list.</summary>
    Macs,
}

/// <summary>One change to be made durable.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Record">The record to save or delete; null for the MAC list.</param>
/// <param name="Macs">The MAC list; null for records.</param>
internal readonly record struct StoreWrite(StoreWriteKind Kind, LeaseRecord? Record, IReadOnlyList<string>? Macs)
{
    /// <summary>What it is about: of two writes with the same key only the later one counts. <see cref="Guid.Empty"/> for the MAC list.</summary>
    public Guid Key => Record?.Id ?? Guid.Empty;
}

/// <summary>
/// Where leases are kept: a folder, or Kubernetes. One call at a time, from any thread. <see cref="WriteBehindStore"/> stands between it and the loop.
/// </summary>
internal interface ILeaseBackend : IDisposable
{
    /// <summary>Reads everything. Records that are damaged are set aside, never deleted.</summary>
    StoreContents Load();

    /// <summary>The secret from which MACs are derived; made at random the first time.</summary>
    /// <exception cref="Configuration.UnusableException">It cannot be read.</exception>
    byte[] MacKey();

    /// <summary>
    /// Makes writes durable, in any order; their keys differ. Each either takes effect as a whole or not at all, also when the power goes off meanwhile.
    /// </summary>
    /// <returns>For each write null, or why it failed. It is tried again then, whether or not it took effect.</returns>
    Task<IReadOnlyList<string?>> CommitAsync(IReadOnlyList<StoreWrite> writes, CancellationToken cancellationToken);
}
