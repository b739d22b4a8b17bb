using DynamicLb.AddressService.Store;

namespace DynamicLb.Tests.Unit.AddressService;

/// <summary>Single writes to a backend, which must succeed.</summary>
internal static class BackendExtensions
{
    public static Task SaveAsync(this ILeaseBackend backend, LeaseRecord record) => backend.CommitAsync(new StoreWrite(StoreWriteKind.Save, record, null));

    public static Task DeleteAsync(this ILeaseBackend backend, LeaseRecord record) => backend.CommitAsync(new StoreWrite(StoreWriteKind.Delete, record, null));

    public static Task SaveMacsAsync(this ILeaseBackend backend, IReadOnlyList<string> macs) =>
        backend.CommitAsync(new StoreWrite(StoreWriteKind.Macs, null, macs));

    private static async Task CommitAsync(this ILeaseBackend backend, StoreWrite write) =>
        Assert.Null(Assert.Single(await backend.CommitAsync([write], TestContext.Current.CancellationToken)));
}
