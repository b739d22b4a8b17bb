using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

public sealed partial class DhcpClient
{
    private void SendDiscover(TimeSpan now)
    {
        _secs = SecondsSince(_startedAt, now);
        Transmitted(now, Doubled(_settings.RetransmitAfter, Jitter()));
        Attempt!.DiscoversSent++;
        Attempt.UnansweredDiscovers++;
        _effects.Send(this, DhcpMessages.Discover(Identity, _settings, _xid, _secs, _wanted), DhcpDestination.Broadcast);
    }

    /// <summary>The selecting REQUEST repeats the xid and secs of the DISCOVER that was answered (RFC 2131 §3.1 step 3, table 5).</summary>
    private void SendRequest(TimeSpan now)
    {
        var offer = _offer!;
        Transmitted(now, Doubled(_settings.RetransmitAfter, Jitter()));
        Attempt!.RequestsSent++;
        _effects.Send(
            this, DhcpMessages.RequestSelecting(Identity, _settings, _xid, _secs, offer.Address, offer.Server), DhcpDestination.Broadcast);
    }

    private void SendReboot(TimeSpan now)
    {
        var pause = _settings.RebootRetransmitAfter * (1 << Math.Min(_transmissions, 16));
        pause += pause * (0.1 * _random.NextSigned());
        // A lease that is about to end cannot wait for the usual rhythm.
        if (_lease!.ExpiresAt is { } expiry)
            pause = DhcpLeaseTimes.Shorter(pause, DhcpLeaseTimes.Pause(now, now, expiry));
        Transmitted(now, pause);
        UnansweredRenewals++;
        _effects.Send(
            this,
            DhcpMessages.RequestInitReboot(Identity, _settings, _xid, SecondsSince(_startedAt, now), _lease!.Address),
            DhcpDestination.Broadcast);
    }

    private void SendRenewal(TimeSpan now)
    {
        var lease = _lease!;
        var form = RenewalForm(lease, now);
        Transmitted(now, RenewalPause(lease, now));
        UnansweredRenewals++;
        ushort secs = SecondsSince(_startedAt, now);
        var destination = DhcpDestination.Broadcast;
        DhcpMessage message;
        switch (form)
        {
            case DhcpRenewForm.ClientAddress:
                message = DhcpMessages.RequestClientAddress(Identity, _settings, _xid, secs, lease.Address);
                if (State == DhcpClientState.Renewing && CanUnicast(lease))
                    destination = DhcpDestination.Unicast(lease.Address, lease.ServerId, lease.ServerMac);
                break;
            case DhcpRenewForm.Selecting when !lease.ServerId.IsAny:
                message = DhcpMessages.RequestSelecting(Identity, _settings, _xid, secs, lease.Address, lease.ServerId);
                break;
            default:
                message = DhcpMessages.RequestInitReboot(Identity, _settings, _xid, secs, lease.Address);
                break;
        }
        _effects.Send(this, message, destination);
    }

    private DhcpRenewForm RenewalForm(DhcpLease lease, TimeSpan now)
    {
        if (_settings.RenewForm != DhcpRenewForm.Auto)
            return _settings.RenewForm;
        if (_settings.IsRelayed)
            return DhcpRenewForm.ClientAddress;
        if (State == DhcpClientState.Renewing)
            return DhcpRenewForm.InitReboot;
        if (now >= DhcpLeaseTimes.LastStretch(lease))
            return DhcpRenewForm.Selecting;
        return _transmissions % 2 == 0 ? DhcpRenewForm.InitReboot : DhcpRenewForm.ClientAddress;
    }

    private TimeSpan RenewalPause(DhcpLease lease, TimeSpan now)
    {
        if (lease.ExpiresAt is not { } expiry || lease.T2 is not { } t2)
            return Doubled(_settings.RetransmitAfter, Jitter());
        if (State == DhcpClientState.Renewing)
            return DhcpLeaseTimes.Pause(now, lease.T1 ?? now, t2);
        var pause = DhcpLeaseTimes.Pause(now, t2, expiry);
        if (!lease.Verified)
            pause = DhcpLeaseTimes.Shorter(pause, DhcpLeaseTimes.LongestUnverifiedPause);
        // The last stretch gets a try of its own, whatever the rhythm.
        var last = DhcpLeaseTimes.LastStretch(lease);
        return now < last && now + pause > last ? last - now : pause;
    }

    private void Transmitted(TimeSpan now, TimeSpan pause)
    {
        if (_transmissions++ == 0)
            _firstSentAt = now;
        _nextSend = now + pause;
    }

    /// <summary>The first pause, doubled with every transmission up to sixteen times (RFC 2131 §4.1: 4, 8, 16, 32, 64, 64 s).</summary>
    private TimeSpan Doubled(TimeSpan first, TimeSpan jitter) => (first * (1 << Math.Min(_transmissions, 4))) + jitter;

    private TimeSpan Jitter()
    {
        var limit = _settings.RetransmitAfter * 0.25;
        return (limit < TimeSpan.FromSeconds(1) ? limit : TimeSpan.FromSeconds(1)) * _random.NextSigned();
    }

    private bool CanUnicast(DhcpLease lease) => (_settings.IsRelayed || lease.ServerMac != MacAddress.Zero) && !lease.ServerId.IsAny;

    private static ushort SecondsSince(TimeSpan start, TimeSpan now) => (ushort)Math.Clamp((now - start).TotalSeconds, 0, ushort.MaxValue);
}
