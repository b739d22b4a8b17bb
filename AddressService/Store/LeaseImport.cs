using DynamicLb.AddressService.Configuration;

namespace DynamicLb.AddressService.Store;

/// <summary>
/// The leases of a data folder, for another store to take over. Once: a lease that was released since must not come back, so the folder is marked, and
/// refused as a data folder from then on.
/// </summary>
internal sealed partial class LeaseImport : IDisposable
{
    internal const string Marker = "moved-to-kubernetes";
    private readonly FileLeaseStore _store;
    private readonly string _folder;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    private LeaseImport(FileLeaseStore store, string folder, TimeProvider time, ILogger logger)
    {
        _store = store;
        _folder = folder;
        _time = time;
        _logger = logger;
        Contents = store.Load();
        MacKey = File.Exists(Path.Combine(folder, "mac-key")) ? store.MacKey() : null;
    }

    public StoreContents Contents { get; }

    /// <summary>The secret behind generated MACs; null when it is not kept in the folder.</summary>
    public byte[]? MacKey { get; }

    /// <returns>Null when there is nothing to take over: no leases, or they were taken over before.</returns>
    /// <exception cref="UnusableException">A process still uses the folder, or it cannot be read.</exception>
    public static LeaseImport? Open(string folder, TimeProvider time, ILogger logger)
    {
        folder = Path.GetFullPath(folder);
        if (!Directory.Exists(Path.Combine(folder, "leases")) || File.Exists(Path.Combine(folder, Marker)))
        {
            Log.Nothing(logger, folder);
            return null;
        }
        var store = FileLeaseStore.Open(folder, time, logger);
        try
        {
            return new LeaseImport(store, folder, time, logger);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>All is taken over.</summary>
    /// <param name="count">Leases that were.</param>
    /// <param name="namespace">Where to.</param>
    /// <exception cref="IOException">The folder cannot be marked.</exception>
    public void Done(int count, string @namespace)
    {
        new LeaseFiles(_folder).PutText(
            Marker, $"{count} leases were moved to namespace {@namespace} at {_time.GetUtcNow():O}. Remove this file to lease with what the folder held then.");
        Log.Moved(_logger, count, _folder, @namespace);
    }

    public void Dispose() => _store.Dispose();

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "There are no leases to import from {Folder}, or they were imported before")]
        public static partial void Nothing(ILogger logger, string folder);

        [LoggerMessage(Level = LogLevel.Information, Message = "{Count} leases were imported from {Folder} to namespace {Namespace}")]
        public static partial void Moved(ILogger logger, int count, string folder, string @namespace);
    }
}
