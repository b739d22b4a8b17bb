namespace DynamicLb.AddressService.Configuration;

/// <summary>How much of everything callers get. Zero of a rate means no limit.</summary>
internal sealed class LimitOptions
{
    /// <summary>Leases at a time, in all.</summary>
    public int MaxLeases { get; set; } = 10_000;

    /// <summary>Leases of a namespace that <see cref="NamespaceQuotas"/> does not name; null for as many as it likes.</summary>
    public int? NamespaceQuota { get; set; }

    public IReadOnlyDictionary<string, int> NamespaceQuotas { get; set; } = new Dictionary<string, int>();

    /// <summary>New leases of a namespace, a minute; twice as many at once after a pause.</summary>
    public int NamespaceRate { get; set; }

    /// <summary>Calls that change something, of each caller.</summary>
    public int RequestsPerSecond { get; set; } = 50;

    public int RequestBurst { get; set; } = 500;

    /// <summary>Calls that change something, at a time.</summary>
    public int ConcurrentRequests { get; set; } = 512;

    /// <summary>Wrong tokens a minute from one address, before it is not listened to for a while.</summary>
    public int FailuresPerMinute { get; set; } = 20;

    /// <summary>How long after its service asked for it last a lease has an owner; null for ever.</summary>
    public TimeSpan? ClaimTime { get; set; }

    /// <summary>How long a lease that nobody claims is kept.</summary>
    public TimeSpan OrphanGrace { get; set; } = TimeSpan.FromMinutes(10);

    public int? QuotaOf(string @namespace) => NamespaceQuotas.TryGetValue(@namespace, out int own) ? own : NamespaceQuota;
}
