namespace DynamicLb.Networking.Dhcp4;

/// <summary>Leases given back (RFC 2131 §4.4.6).</summary>
public sealed partial class DhcpClient
{
    private static readonly TimeSpan SecondReleaseAfter = TimeSpan.FromSeconds(1);

    private DhcpLease? _released;
    private string? _releaseReason;

    /// <summary>Gives the lease back: one RELEASE after <see cref="DhcpClientSettings.ReleaseDelay"/>, another a second later; then
    /// <see cref="IDhcpClientEffects.Released"/>. Without a lease the client is idle at once.</summary>
    /// <param name="now">The clock.</param>
    /// <param name="reason">Text for the server's log (option 56).</param>
    public void Release(TimeSpan now, string reason)
    {
        if (State == DhcpClientState.Releasing)
            return;
        // A REQUEST may have been granted without our knowing: give that back, too.
        var lease = _granted ?? (_suspectUntil is null ? _lease : null);
        if (State == DhcpClientState.Requesting && _offer is { } offer)
            lease = LeaseOf(offer);
        EndExchange();
        Forget();
        StartRelease(lease, now, reason);
    }

    /// <summary>Gives back a lease from before a restart, whose release may not have been sent.</summary>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Release(DhcpLease lease, TimeSpan now, string reason)
    {
        RequireIdle();
        StartRelease(lease, now, reason);
    }

    private void StartRelease(DhcpLease? lease, TimeSpan now, string reason)
    {
        if (lease is null)
        {
            Enter(DhcpClientState.Idle);
            _effects.Released(this, null);
            return;
        }
        _released = lease;
        _releaseReason = reason;
        _xid = _ids.Next();
        _nextSend = now + _settings.ReleaseDelay;
        Enter(DhcpClientState.Releasing);
    }

    private void SendRelease(TimeSpan now)
    {
        var lease = _released!;
        _transmissions++;
        var message = DhcpMessages.Release(Identity, _xid, lease.Address, lease.ServerId, _releaseReason);
        if (_transmissions == 1)
        {
            // As the standard has it; the broadcast copy follows for the case that nobody routes the first.
            _nextSend = now + SecondReleaseAfter;
            _effects.Send(
                this, message, CanUnicast(lease) ? DhcpDestination.Unicast(lease.Address, lease.ServerId, lease.ServerMac) : DhcpDestination.Broadcast);
            return;
        }
        EndExchange();
        Forget();
        _effects.Send(this, message, _settings.IsRelayed ? DhcpDestination.Unicast(lease.Address, lease.ServerId, lease.ServerMac) : DhcpDestination.Broadcast);
        Enter(DhcpClientState.Idle);
        _effects.Released(this, lease);
    }

    /// <summary>Gives back a lease that was granted but is not wanted, without waiting.</summary>
    private void ReleaseAtOnce(DhcpLease lease)
    {
        uint xid = _ids.Next();
        if (CanUnicast(lease))
        {
            _effects.Send(
                this,
                DhcpMessages.Release(Identity, xid, lease.Address, lease.ServerId, "address not wanted"),
                DhcpDestination.Unicast(lease.Address, lease.ServerId, lease.ServerMac));
        }
        _effects.Send(this, DhcpMessages.Release(Identity, xid, lease.Address, lease.ServerId, "address not wanted"), DhcpDestination.Broadcast);
    }
}
