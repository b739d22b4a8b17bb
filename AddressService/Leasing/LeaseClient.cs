using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>A DHCP client of either family, as the keeper drives it. Not thread-safe: it belongs to the loop.</summary>
internal abstract class LeaseClient
{
    /// <summary>The client itself: what its effects name it by.</summary>
    public abstract object Machine { get; }

    /// <summary>Where it stands, in the words of DHCPv4.</summary>
    public abstract DhcpClientState State { get; }

    /// <summary>The lease that entitles us to its address now.</summary>
    public abstract HeldLease? Lease { get; }

    /// <summary>Whether its server refused the lease and the grace runs.</summary>
    public abstract bool IsSuspect { get; }

    /// <summary>Renewals sent since the last success.</summary>
    public abstract int UnansweredRenewals { get; }

    /// <summary>Whether the message that awaits an answer was sent once so far.</summary>
    public abstract bool IsFirstTransmission { get; }

    /// <summary>When that message was sent for the first time.</summary>
    public abstract TimeSpan FirstSentAt { get; }

    /// <summary>When <see cref="Tick"/> has something to do; null for never.</summary>
    public abstract TimeSpan? NextDeadline { get; }

    /// <summary>Why there is no lease yet, in one line; null when it was not looked for.</summary>
    public abstract string? Progress { get; }

    /// <param name="now">The clock.</param>
    /// <param name="hint">Address to ask for.</param>
    /// <param name="held">The address that was held before: our own hosts may still answer for it.</param>
    public abstract void Acquire(TimeSpan now, LeaseAddress? hint, LeaseAddress? held);

    public abstract void Resume(HeldLease lease, TimeSpan now);

    public abstract void Release(TimeSpan now, string reason);

    /// <summary>Gives back a lease from before a restart.</summary>
    public abstract void Release(HeldLease lease, TimeSpan now, string reason);

    public abstract void Tick(TimeSpan now);

    /// <summary>The link is back.</summary>
    public abstract void Hurry(TimeSpan now);
}

internal sealed class LeaseClient4(DhcpClient client) : LeaseClient
{
    public DhcpClient Client => client;

    public override object Machine => client;

    public override DhcpClientState State => client.State;

    public override HeldLease? Lease => client.Lease is { } lease ? new HeldLease(lease) : default(HeldLease?);

    public override bool IsSuspect => client.IsSuspect;

    public override int UnansweredRenewals => client.UnansweredRenewals;

    public override bool IsFirstTransmission => client.IsFirstTransmission;

    public override TimeSpan FirstSentAt => client.FirstSentAt;

    public override TimeSpan? NextDeadline => client.NextDeadline;

    public override string? Progress => client.Attempt?.Describe();

    public override void Acquire(TimeSpan now, LeaseAddress? hint, LeaseAddress? held) => client.Acquire(now, hint?.IPv4, held?.IPv4);

    public override void Resume(HeldLease lease, TimeSpan now) => client.Resume(lease.V4!, now);

    public override void Release(TimeSpan now, string reason) => client.Release(now, reason);

    public override void Release(HeldLease lease, TimeSpan now, string reason) => client.Release(lease.V4!, now, reason);

    public override void Tick(TimeSpan now) => client.Tick(now);

    public override void Hurry(TimeSpan now) => client.Hurry(now);
}

internal sealed class LeaseClient6(Dhcp6Client client) : LeaseClient
{
    public Dhcp6Client Client => client;

    public override object Machine => client;

    public override DhcpClientState State => Translate(client.State);

    public override HeldLease? Lease => client.Lease is { } lease ? new HeldLease(lease) : default(HeldLease?);

    /// <summary>A server that ends a lease of IPv6 says so by its lifetime: there is nothing to doubt.</summary>
    public override bool IsSuspect => false;

    public override int UnansweredRenewals => client.UnansweredRenewals;

    public override bool IsFirstTransmission => client.IsFirstTransmission;

    public override TimeSpan FirstSentAt => client.FirstSentAt;

    public override TimeSpan? NextDeadline => client.NextDeadline;

    public override string? Progress => client.Attempt?.Describe();

    public static DhcpClientState Translate(Dhcp6ClientState state) => state switch
    {
        Dhcp6ClientState.Idle => DhcpClientState.Idle,
        Dhcp6ClientState.Soliciting => DhcpClientState.Selecting,
        Dhcp6ClientState.Requesting => DhcpClientState.Requesting,
        Dhcp6ClientState.Detecting => DhcpClientState.Probing,
        Dhcp6ClientState.Rebooting => DhcpClientState.Rebooting,
        Dhcp6ClientState.Bound => DhcpClientState.Bound,
        Dhcp6ClientState.Renewing => DhcpClientState.Renewing,
        Dhcp6ClientState.Rebinding => DhcpClientState.Rebinding,
        Dhcp6ClientState.Releasing => DhcpClientState.Releasing,
        _ => DhcpClientState.Init,
    };

    public override void Acquire(TimeSpan now, LeaseAddress? hint, LeaseAddress? held) => client.Acquire(now, hint?.IPv6, held?.IPv6);

    public override void Resume(HeldLease lease, TimeSpan now) => client.Resume(lease.V6!, now);

    public override void Release(TimeSpan now, string reason) => client.Release(now);

    public override void Release(HeldLease lease, TimeSpan now, string reason) => client.Release(lease.V6!, now);

    public override void Tick(TimeSpan now) => client.Tick(now);

    public override void Hurry(TimeSpan now) => client.Hurry(now);
}
