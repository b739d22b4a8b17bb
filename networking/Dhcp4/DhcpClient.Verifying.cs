namespace DynamicLb.Networking.Dhcp4;

/// <summary>Whether a lease from before a restart, or from before the link was away, still stands: asked in INIT-REBOOT form until somebody answers.</summary>
public sealed partial class DhcpClient
{
    private const int LaterRebootTries = 2;

    private int _silentReboots;

    // The link was away: the lease is to be verified, whether it was before or not.
    private bool _mustVerify;

    /// <summary>A round of the first is long; the later ones only have to bear the loss of a message.</summary>
    private int RebootTries => _silentReboots == 0 ? _settings.RebootTries : LaterRebootTries;

    /// <summary>
    /// Takes up a lease from before a restart and verifies it (INIT-REBOOT). Until an answer comes the lease stands, unverified; an expired one is
    /// reported lost and its address asked for again.
    /// </summary>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Resume(DhcpLease lease, TimeSpan now)
    {
        RequireIdle();
        _lastHeld = lease.Address;
        _lastServer = lease.ServerId;
        _lease = lease with { Verified = false };
        if (lease.ExpiresAt <= now)
        {
            Lose(now, DhcpLossReason.Expired);
            return;
        }
        StartReboot(now);
    }

    private void StartReboot(TimeSpan now)
    {
        _mustVerify = false;
        BeginExchange(now);
        Enter(DhcpClientState.Rebooting);
        SendReboot(now);
    }

    /// <summary>
    /// Silence: the lease has not ended, so it stands (RFC 2131 §3.2 step 4), but nobody vouches for it. It is asked for again after a minute, then
    /// after two, four and eight, or at T1 if that comes first, until an answer comes or T2 does: the standard's pauses of a renewal, half of what is
    /// left, would leave it unverified for hours when the server was away for a moment.
    /// </summary>
    private void GiveUpReboot(TimeSpan now)
    {
        if (_anonymousNak)
        {
            Refused(now);
            return;
        }
        EndExchange();
        var pause = DhcpLeaseTimes.UnverifiedPause(_silentReboots++, _random);
        if (_lease!.T1 is { } t1 && _lease.T2 is { } t2)
            pause = DhcpLeaseTimes.Shorter(pause, t1 > now ? t1 - now : DhcpLeaseTimes.Pause(now, t1, t2));
        _renewAt = now + pause;
        if (_lease.Verified)
            _lease = _lease with { Verified = false };
        Enter(DhcpClientState.Bound);
    }

    private void EndVerification()
    {
        _silentReboots = 0;
        _mustVerify = false;
    }
}
