using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>A lease of either family, as its client holds it. Times are on the boot clock.</summary>
internal readonly struct HeldLease
{
    private readonly object _lease;

    public HeldLease(DhcpLease lease) => _lease = lease;

    public HeldLease(Dhcp6Lease lease) => _lease = lease;

    /// <summary>The lease, if it is one of IPv4.</summary>
    public DhcpLease? V4 => _lease as DhcpLease;

    /// <summary>The lease, if it is one of IPv6.</summary>
    public Dhcp6Lease? V6 => _lease as Dhcp6Lease;

    public LeaseAddress Address => _lease is DhcpLease four ? four.Address : Six.Address;

    /// <summary>Identifier of the server; null when unknown.</summary>
    public string? Server => _lease is DhcpLease four ? four.ServerId.IsAny ? null : four.ServerId.ToString() : Six.ServerId.ToString();

    /// <summary>Length in seconds; <see cref="DhcpLease.Infinite"/> without end. Of IPv6 the valid lifetime.</summary>
    public uint Seconds => _lease is DhcpLease four ? four.LeaseSeconds : Six.ValidSeconds;

    public TimeSpan ObtainedAt => _lease is DhcpLease four ? four.ObtainedAt : Six.ObtainedAt;

    public TimeSpan? T1 => _lease is DhcpLease four ? four.T1 : Six.T1;

    public TimeSpan? T2 => _lease is DhcpLease four ? four.T2 : Six.T2;

    public TimeSpan? ExpiresAt => _lease is DhcpLease four ? four.ExpiresAt : Six.ExpiresAt;

    public bool Verified => _lease is DhcpLease four ? four.Verified : Six.Verified;

    /// <summary>The subnet, where the server named it: only DHCPv4 does.</summary>
    public IPv4Network? Network => _lease is DhcpLease { PrefixLength: < 32 } four ? four.Network : null;

    /// <summary>Whether both are the same lease, whose times alone may have moved on.</summary>
    public bool IsOne(HeldLease? other) => ReferenceEquals(_lease, other?._lease);

    private Dhcp6Lease Six => (Dhcp6Lease)_lease;

    public static implicit operator HeldLease(DhcpLease lease) => new(lease);

    public static implicit operator HeldLease(Dhcp6Lease lease) => new(lease);
}
