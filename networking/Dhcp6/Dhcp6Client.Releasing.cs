using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>Leases given back (RFC 8415 §18.2.7).</summary>
public sealed partial class Dhcp6Client
{
    /// <summary>Gives the lease back, after <see cref="Dhcp6ClientSettings.ReleaseDelay"/>; then <see cref="IDhcp6ClientEffects.Released"/>.
    /// Without a lease the client is idle at once.</summary>
    public void Release(TimeSpan now)
    {
        if (State == Dhcp6ClientState.Releasing)
            return;
        // A Request may have been granted without our knowing: give that back, too.
        // One that is being declined is the server's affair already.
        var lease = _lease ?? (State == Dhcp6ClientState.Declining ? null : _pending);
        if (State == Dhcp6ClientState.Requesting && _offer is { } offer && (lease is null || lease.Address == offer.Address))
            lease = Unconfirmed(offer.Address, offer.Server);
        EndExchange();
        Forget();
        StartRelease(lease, now);
    }

    /// <summary>Gives back a lease from before a restart, whose release may not have been sent.</summary>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Release(Dhcp6Lease lease, TimeSpan now)
    {
        RequireIdle();
        StartRelease(lease, now);
    }

    private void StartRelease(Dhcp6Lease? lease, TimeSpan now)
    {
        if (lease is null)
        {
            Enter(Dhcp6ClientState.Idle);
            _effects.Released(this, null);
            return;
        }
        _pending = lease;
        Start(Dhcp6ClientState.Releasing, now, _settings.ReleaseDelay);
    }

    private void FinishRelease()
    {
        var lease = _pending;
        EndExchange();
        Forget();
        Enter(Dhcp6ClientState.Idle);
        _effects.Released(this, lease);
    }

    /// <summary>Gives back addresses that were granted but are not wanted, without waiting for an answer.</summary>
    private void ReleaseAtOnce(IEnumerable<IPv6Address> addresses, Dhcp6Duid server)
    {
        Dhcp6Address[] unwanted = [.. addresses.Select(address => new Dhcp6Address(address, 0, 0))];
        if (unwanted.Length == 0)
            return;
        _effects.Send(this, new Dhcp6Message
        {
            Type = Dhcp6MessageType.Release,
            TransactionId = _ids.Next(),
            ClientId = Identity.Duid,
            ServerId = server,
            ElapsedTime = 0,
            Associations = [new Dhcp6Association(Identity.Iaid, 0, 0, unwanted)],
        });
    }
}
