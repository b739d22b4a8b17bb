using System.Text.Json.Serialization;
using DynamicLb.AddressService.Leasing;

namespace DynamicLb.AddressService.Store;

/// <summary>Where a stored lease stands. Kept apart from the DHCP client's own states: only these survive a crash.</summary>
internal enum LeaseRecordState
{
    /// <summary>The identity is decided; no server has granted it an address yet, as far as we know.</summary>
    Requesting = 0,

    /// <summary>Leased.</summary>
    Bound,

    /// <summary>Was leased, and expired or was refused; the address is asked for again.</summary>
    Lost,

    /// <summary>To be given back: a tombstone that is written before the first RELEASE.</summary>
    Releasing,

    /// <summary>Given back; remembered for a while, so that a repeated DELETE succeeds.</summary>
    Released,
}

/// <summary>One lease as it is stored. Times are UTC, for people and for another boot; <see cref="SentAtBoot"/> is what counts within one boot.</summary>
internal sealed record LeaseRecord
{
    // Ticks, 0 for none, which are a third of the memory: of every lease there are several records.
    private readonly long _obtainedAt;
    private readonly long _sentAt;
    private readonly long _t1;
    private readonly long _t2;
    private readonly long _expiresAt;
    private readonly long _createdAt;
    private readonly long _savedAt;
    private readonly long _releasedAt;
    private readonly long _retainedUntil;

    /// <summary>Version of this form: 1 for a lease of IPv4, 2 for one of IPv6, which earlier programs do not know.</summary>
    public int Version { get; init; } = 1;

    public required string Service { get; init; }

    public LeaseFamily Family { get; init; }

    public string? Uid { get; init; }

    public required Guid Id { get; init; }

    public required string Mac { get; init; }

    /// <summary>The DHCP client's identity in hexadecimal, for a lease of IPv6; its MAC is empty.</summary>
    public string? Duid { get; init; }

    /// <summary>Number of the identity association, for a lease of IPv6.</summary>
    public uint? Iaid { get; init; }

    /// <summary>Whether the MAC came from the list of <c>/v1/mac</c>.</summary>
    public bool MacFromPool { get; init; }

    /// <summary>Whether the MAC is the interface's own, which other leases have, too: then <see cref="ClientId"/> alone tells them apart.</summary>
    public bool SharesMac { get; init; }

    /// <summary>DHCP option 61 in hexadecimal; empty for none. Servers key the lease on it, so it is kept, not derived again.</summary>
    public string ClientId { get; init; } = "";

    /// <summary>Name of the interface that it is leased on; null for the first.</summary>
    public string? Interface { get; init; }

    public string? Hostname { get; init; }

    /// <summary>Domain of the host name, which is then sent as option 81.</summary>
    public string? Domain { get; init; }

    /// <summary>Options sent beside the client's own: <c>code=hexadecimal</c>, in order.</summary>
    public IReadOnlyList<string>? Options { get; init; }

    /// <summary>The host name with its domain, if it has one.</summary>
    [JsonIgnore]
    public string? FullName => Domain is null ? Hostname : $"{Hostname}.{Domain}";

    public string? VendorClass { get; init; }

    public LeaseRecordState State { get; init; }

    /// <summary>Address that the caller asked for.</summary>
    public string? RequestedAddress { get; init; }

    public string? Address { get; init; }

    public int PrefixLength { get; init; } = 32;

    public string? Router { get; init; }

    public string? ServerId { get; init; }

    public string? ServerMac { get; init; }

    /// <summary>As granted; 4294967295 is without end.</summary>
    public uint LeaseSeconds { get; init; }

    /// <summary>Preferred lifetime as granted, for a lease of IPv6; 4294967295 is without end.</summary>
    public uint? PreferredSeconds { get; init; }

    /// <summary>When the address was first leased.</summary>
    public DateTimeOffset? ObtainedAt
    {
        get => Utc(_obtainedAt);
        init => _obtainedAt = value?.UtcTicks ?? 0;
    }

    /// <summary>When the REQUEST that was granted last was sent: the lease counts from here.</summary>
    public DateTimeOffset? SentAt
    {
        get => Utc(_sentAt);
        init => _sentAt = value?.UtcTicks ?? 0;
    }

    /// <summary>The same on CLOCK_BOOTTIME, in seconds since boot.</summary>
    public double? SentAtBoot { get; init; }

    /// <summary>The boot that <see cref="SentAtBoot"/> belongs to.</summary>
    public string? BootId { get; init; }

    public DateTimeOffset? T1
    {
        get => Utc(_t1);
        init => _t1 = value?.UtcTicks ?? 0;
    }

    public DateTimeOffset? T2
    {
        get => Utc(_t2);
        init => _t2 = value?.UtcTicks ?? 0;
    }

    public DateTimeOffset? ExpiresAt
    {
        get => Utc(_expiresAt);
        init => _expiresAt = value?.UtcTicks ?? 0;
    }

    public DateTimeOffset CreatedAt
    {
        get => new(_createdAt, TimeSpan.Zero);
        init => _createdAt = value.UtcTicks;
    }

    /// <summary>When this was written: a wall clock that stands before it went back.</summary>
    public DateTimeOffset SavedAt
    {
        get => new(_savedAt, TimeSpan.Zero);
        init => _savedAt = value.UtcTicks;
    }

    public DateTimeOffset? ReleasedAt
    {
        get => Utc(_releasedAt);
        init => _releasedAt = value?.UtcTicks ?? 0;
    }

    /// <summary>Until when it is kept although its service was deleted.</summary>
    public DateTimeOffset? RetainedUntil
    {
        get => Utc(_retainedUntil);
        init => _retainedUntil = value?.UtcTicks ?? 0;
    }

    /// <summary>What became of it until this was written.</summary>
    public LeaseCounts? Counts { get; init; }

    private static DateTimeOffset? Utc(long ticks) => ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero);
}

/// <summary>How often something happened to a lease.</summary>
/// <param name="Renewals">It was extended.</param>
/// <param name="Naks">It was refused.</param>
/// <param name="Losses">Its address was lost.</param>
/// <param name="Changes">Its address changed.</param>
internal sealed record LeaseCounts(long Renewals, long Naks, long Losses, long Changes);

/// <summary>The list of MACs given by <c>/v1/mac</c> and the configuration.</summary>
/// <param name="Macs">In the order they are to be used.</param>
internal sealed record MacListRecord(IReadOnlyList<string> Macs);

[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(LeaseRecord))]
[JsonSerializable(typeof(MacListRecord))]
internal sealed partial class StoreJsonContext : JsonSerializerContext;
