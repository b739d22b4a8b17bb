using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace DynamicLb.AddressService.Store;

/// <summary>Which version of a record is stored: enough to tell whether the next one is a plain renewal of it, in a twentieth of the record's memory.</summary>
/// <param name="SavedAt">When it was written.</param>
/// <param name="Print">Fingerprint of all that a renewal leaves as it is.</param>
internal readonly record struct StoredVersion(DateTimeOffset SavedAt, UInt128 Print)
{
    private static readonly LeaseRenewal s_nothing = new(Guid.Empty, default, null, null, null, null, null, null, default, null);

    public static StoredVersion Of(LeaseRecord record) => new(record.SavedAt, PrintOf(record));

    /// <summary>Fingerprint of what <see cref="LeaseRenewal.ApplyTo"/> does not change.</summary>
    public static UInt128 PrintOf(LeaseRecord record)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(s_nothing.ApplyTo(record), LogJsonContext.Default.LeaseRecord), hash);
        return MemoryMarshal.Read<UInt128>(hash);
    }
}
