using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// A lease as granted. Times are on the owner's monotonic clock, the one whose readings it passes to <see cref="DhcpClient"/>; they may be negative
/// for a lease that is older than that clock's zero.
/// </summary>
/// <remarks>
/// Immutable but for the times: where its server extends it and changes nothing else, the client that holds it moves them on in place, so that ten
/// thousand leases are kept without garbage. Not thread-safe for that reason; copy (<c>with { }</c>) what is to outlive a renewal.
/// </remarks>
public sealed record DhcpLease
{
    /// <summary>A lease time without end, in <see cref="LeaseSeconds"/> (RFC 2131 §3.3).</summary>
    public const uint Infinite = uint.MaxValue;

    private TimeSpan _obtainedAt;
    private TimeSpan? _t1;
    private TimeSpan? _t2;
    private TimeSpan? _expiresAt;

    /// <summary>The leased address.</summary>
    public required IPv4Address Address { get; init; }

    /// <summary>Length of the subnet's prefix (option 1), 32 when the server did not say.</summary>
    public int PrefixLength { get; init; } = 32;

    /// <summary>The first router (option 3); 0.0.0.0 when the server named none.</summary>
    public IPv4Address Router { get; init; }

    /// <summary>Identifier of the server (option 54); 0.0.0.0 when unknown.</summary>
    public required IPv4Address ServerId { get; init; }

    /// <summary>Ethernet source of the last ACK: the server, or the relay before it. All zero when unknown.</summary>
    public MacAddress ServerMac { get; init; }

    /// <summary>Length of the lease in seconds, or <see cref="Infinite"/>.</summary>
    public required uint LeaseSeconds { get; init; }

    /// <summary>When the REQUEST that was granted was first sent: the lease counts from here (RFC 2131 §4.4.1).</summary>
    public required TimeSpan ObtainedAt
    {
        get => _obtainedAt;
        init => _obtainedAt = value;
    }

    /// <summary>When renewal begins; null for a lease without end.</summary>
    public TimeSpan? T1
    {
        get => _t1;
        init => _t1 = value;
    }

    /// <summary>When rebinding begins; null for a lease without end.</summary>
    public TimeSpan? T2
    {
        get => _t2;
        init => _t2 = value;
    }

    /// <summary>When the address is no longer ours; null for a lease without end.</summary>
    public TimeSpan? ExpiresAt
    {
        get => _expiresAt;
        init => _expiresAt = value;
    }

    /// <summary>The host name the server told us (option 12), safe to log. It never changes ours.</summary>
    public string? ServerHostname { get; init; }

    /// <summary>Whether a server confirmed the lease since the client was started or resumed.</summary>
    public bool Verified { get; init; }

    /// <summary>The subnet the address lies in, by <see cref="PrefixLength"/>.</summary>
    public IPv4Network Network => new(Address, PrefixLength);

    /// <summary>Moves the times on.</summary>
    internal void Extend(TimeSpan obtainedAt, TimeSpan? t1, TimeSpan? t2, TimeSpan? expiresAt) =>
        (_obtainedAt, _t1, _t2, _expiresAt) = (obtainedAt, t1, t2, expiresAt);
}
