using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>
/// A DHCPv6 client for one address (RFC 8415), as a pure state machine: no sockets, no timers, no clock. Its owner calls it with the reading of
/// one monotonic clock, keeps a heap by <see cref="NextDeadline"/>, calls <see cref="Tick"/> when that is due, and routes replies to it by
/// <see cref="Dhcp6TransactionIds"/>; effects go to <see cref="IDhcp6ClientEffects"/>.
/// </summary>
/// <remarks>
/// Not thread-safe: it belongs to one loop. It never gives up; the owner ends it by <see cref="Release(TimeSpan)"/> or <see cref="Abandon"/>.
/// After a restart it sends Rebind rather than Confirm, which servers answer with success for any address of the link. Reconfigure, Server Unicast
/// and temporary addresses are not used.
/// </remarks>
public sealed partial class Dhcp6Client
{
    private const int InfiniteTries = 4;
    private const int DeclinesRemembered = 16;

    // Requests to another server for the address that is held: meanwhile the lease's own is not asked.
    private const int TrialTries = 2;

    private readonly Dhcp6ClientSettings _settings;
    private readonly IDhcp6ClientEffects _effects;
    private readonly Dhcp6TransactionIds _ids;
    private readonly DhcpRandom _random;
    private readonly ReadOnlyMemory<byte> _fqdn;
    private readonly Queue<IPv6Address> _declined = new();

    private Dhcp6Lease? _lease;
    private IPv6Address? _lastHeld;
    private IPv6Address _wanted;
    private TimeSpan _solMaxRt = Dhcp6Retransmission.Solicit.Longest;
    private int _refusalsInRow;
    private int _silentReboots;

    // The exchange that is going on; the id is zero when there is none.
    private uint _xid;
    private TimeSpan _firstSentAt;
    private int _transmissions;
    private TimeSpan _timeout;
    private TimeSpan? _nextSend;
    // The Request asks another server than the lease's for the address that is held.
    private bool _isTrial;
    private Offer? _offer;

    // Granted but not ours yet (detection), or no longer (decline, release).
    private Dhcp6Lease? _pending;

    /// <summary>Creates an idle client.</summary>
    /// <exception cref="ArgumentException">The identity has no DUID, or a name that cannot be sent.</exception>
    public Dhcp6Client(Dhcp6ClientIdentity identity, Dhcp6ClientSettings settings, IDhcp6ClientEffects effects, Dhcp6TransactionIds ids, DhcpRandom random)
    {
        if (identity.Duid.IsEmpty)
            throw new ArgumentException("A client needs a DUID.", nameof(identity));
        _fqdn = Dhcp6Name.Encode(identity.Name);
        Identity = identity;
        _settings = settings;
        _effects = effects;
        _ids = ids;
        _random = random;
    }

    /// <summary>Who the client is.</summary>
    public Dhcp6ClientIdentity Identity { get; }

    /// <summary>Where it stands.</summary>
    public Dhcp6ClientState State { get; private set; }

    /// <summary>The lease that entitles us to its address now; null without one.</summary>
    public Dhcp6Lease? Lease => _lease;

    /// <summary>What happened since the client last began to look for an address; null before.</summary>
    public Dhcp6Attempt? Attempt { get; private set; }

    /// <summary>Renews and Rebinds for the held lease that were sent since the last grant.</summary>
    public int UnansweredRenewals { get; private set; }

    /// <summary>Whether the message that awaits an answer was sent once so far.</summary>
    public bool IsFirstTransmission => _transmissions == 1;

    /// <summary>When the message that awaits an answer was sent for the first time. Of no meaning when there is none.</summary>
    public TimeSpan FirstSentAt => _firstSentAt;

    /// <summary>When <see cref="Tick"/> has something to do; null for never. Changes only within the client's methods.</summary>
    public TimeSpan? NextDeadline
    {
        get
        {
            var next = Earlier(_nextSend, _lease?.ExpiresAt);
            return State switch
            {
                Dhcp6ClientState.Bound => Earlier(next, Earlier(_lease?.T1, _lease?.T2)),
                Dhcp6ClientState.Renewing => Earlier(next, _lease?.T2),
                _ => next,
            };
        }
    }

    /// <summary>Looks for an address.</summary>
    /// <param name="now">The clock.</param>
    /// <param name="hint">An address to ask for, or null; the server decides.</param>
    /// <param name="held">The address last held, before a restart, by a lease that has ended: our own hosts may still answer for it.</param>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Acquire(TimeSpan now, IPv6Address? hint, IPv6Address? held = null)
    {
        RequireIdle();
        _lastHeld = held;
        _wanted = hint ?? IPv6Address.Any;
        BeginAttempt(now);
        StartSolicit(now, FirstDelay());
    }

    /// <summary>
    /// Takes up a lease from before a restart and verifies it by Rebind. Until an answer comes the lease stands, unverified; an expired one is
    /// reported lost and its address asked for again.
    /// </summary>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Resume(Dhcp6Lease lease, TimeSpan now)
    {
        RequireIdle();
        _lastHeld = lease.Address;
        _lease = lease with { Verified = false };
        if (lease.ExpiresAt <= now)
            Lose(now, Dhcp6LossReason.Expired);
        else
            Start(Dhcp6ClientState.Rebooting, now, FirstDelay());
    }

    /// <summary>Does what is due. Harmless when nothing is.</summary>
    public void Tick(TimeSpan now)
    {
        while (NextDeadline <= now)
            Step(now);
    }

    /// <summary>
    /// The link is back: what waits for its next transmission is sent at once, and a lease is verified (RFC 8415 §18.2.12: the network may be another
    /// one). Only sets <see cref="NextDeadline"/>; <see cref="Tick"/> does the rest.
    /// </summary>
    public void Hurry(TimeSpan now)
    {
        switch (State)
        {
            case Dhcp6ClientState.Bound:
                _nextSend = now;
                break;
            case Dhcp6ClientState.Init or Dhcp6ClientState.Soliciting or Dhcp6ClientState.Requesting or Dhcp6ClientState.Rebooting
                or Dhcp6ClientState.Renewing or Dhcp6ClientState.Rebinding when _nextSend > now:
                _nextSend = now;
                break;
        }
    }

    /// <summary>Says that somebody else uses the address that is being looked at. Ignored in any other state, and for any other address.</summary>
    public void ReportConflict(IPv6Address address, TimeSpan now)
    {
        if (State != Dhcp6ClientState.Detecting || _pending?.Address != address)
            return;
        if (_declined.Count == DeclinesRemembered)
            _declined.Dequeue();
        _declined.Enqueue(address);
        Attempt!.Refusal = $"{address} is in use by another host";
        if (_wanted == address)
            _wanted = IPv6Address.Any;
        Start(Dhcp6ClientState.Declining, now, TimeSpan.Zero);
        _effects.Conflict(this, address);
    }

    /// <summary>Forgets everything without a word to anybody; the client is idle. A lease stays with the server until it ends.</summary>
    public void Abandon()
    {
        EndExchange();
        Forget();
        Enter(Dhcp6ClientState.Idle);
    }

    private void Step(TimeSpan now)
    {
        // After a suspend several may be due: the latest counts.
        if (_lease?.ExpiresAt <= now)
            Lose(now, Dhcp6LossReason.Expired);
        else if (State is Dhcp6ClientState.Bound or Dhcp6ClientState.Renewing && _lease?.T2 <= now)
            Start(Dhcp6ClientState.Rebinding, now, TimeSpan.Zero);
        else if (State == Dhcp6ClientState.Bound && _lease?.T1 <= now)
            Start(Dhcp6ClientState.Renewing, now, TimeSpan.Zero);
        else
            TimedOut(now);
    }

    private void TimedOut(TimeSpan now)
    {
        switch (State)
        {
            case Dhcp6ClientState.Init:
                StartSolicit(now, TimeSpan.Zero);
                break;
            case Dhcp6ClientState.Bound:
                Start(Dhcp6ClientState.Rebooting, now, TimeSpan.Zero);
                break;
            case Dhcp6ClientState.Soliciting when _offer is not null:
                StartRequest(now, _offer);
                break;
            case Dhcp6ClientState.Requesting when _isTrial && _lease is not null && _transmissions >= TrialTries:
                Keep(now);
                break;
            case Dhcp6ClientState.Requesting when _transmissions >= Dhcp6Retransmission.Request.Count:
                StartSolicit(now, TimeSpan.Zero);
                break;
            case Dhcp6ClientState.Detecting:
                _nextSend = null;
                Accept(_pending!, now);
                break;
            case Dhcp6ClientState.Declining when _transmissions >= Dhcp6Retransmission.GiveBack.Count:
                BackOff(now);
                break;
            case Dhcp6ClientState.Releasing when _transmissions >= Dhcp6Retransmission.GiveBack.Count:
                FinishRelease();
                break;
            case Dhcp6ClientState.Rebooting or Dhcp6ClientState.Rebinding when _offer is not null:
                StartRequest(now, _offer);
                break;
            case Dhcp6ClientState.Rebooting when _transmissions > 0 && now >= _firstSentAt + Dhcp6Retransmission.Verify.Duration:
            case Dhcp6ClientState.Renewing when _lease!.T2 is null && _transmissions >= InfiniteTries:
                Keep(now);
                break;
            default:
                Transmit(now);
                break;
        }
    }

    /// <summary>
    /// Silence: the lease has not ended, so it stands (RFC 8415 §18.2.3). One that nobody vouches for since a restart is asked for again after a minute,
    /// then after two, four and eight, if T1 does not come first.
    /// </summary>
    private void Keep(TimeSpan now)
    {
        bool wasVerification = State == Dhcp6ClientState.Rebooting;
        EndExchange();
        if (wasVerification)
        {
            if (_lease!.Verified)
                _lease = _lease with { Verified = false };
            _nextSend = now + DhcpLeaseTimes.UnverifiedPause(_silentReboots++, _random);
        }
        if (_lease!.ExpiresAt is null && _lease.T1 <= now)
            _lease = _lease with { T1 = now + _settings.InfiniteRecheck };
        Enter(Dhcp6ClientState.Bound);
    }

    private void BeginAttempt(TimeSpan now)
    {
        Attempt = new Dhcp6Attempt(now);
        _refusalsInRow = 0;
    }

    private void StartSolicit(TimeSpan now, TimeSpan delay) => Start(Dhcp6ClientState.Soliciting, now, delay);

    private void StartRequest(TimeSpan now, Offer offer)
    {
        bool extends = State is Dhcp6ClientState.Renewing or Dhcp6ClientState.Rebinding or Dhcp6ClientState.Rebooting;
        if (extends)
            BeginAttempt(now);
        bool isTrial = extends && offer.Server != _lease!.ServerId;
        Attempt!.Requested = offer.Address;
        Start(Dhcp6ClientState.Requesting, now, TimeSpan.Zero, offer);
        _isTrial = isTrial;
    }

    /// <summary>Begins an exchange; its first message leaves at once or after a delay.</summary>
    private void Start(Dhcp6ClientState state, TimeSpan now, TimeSpan delay, Offer? offer = null)
    {
        EndExchange();
        _offer = offer;
        _xid = _ids.Add(this);
        _firstSentAt = now + delay;
        _nextSend = now + delay;
        Enter(state);
        if (delay == TimeSpan.Zero)
            Transmit(now);
    }

    /// <summary>Looks again: at once after the first refusal, later and later after more.</summary>
    private void BackOff(TimeSpan now)
    {
        if (_isTrial && _lease is not null)
        {
            // Another server does not know the lease. Its own has not said so: it may only be slow, or down for a moment.
            Keep(now);
            return;
        }
        EndExchange();
        _pending = null;
        int refusals = _refusalsInRow++;
        if (refusals == 0)
        {
            StartSolicit(now, TimeSpan.Zero);
            return;
        }
        var pause = TimeSpan.FromSeconds(1 << Math.Min(refusals - 1, 16));
        _nextSend = now + (pause < _settings.BackoffLimit ? pause : _settings.BackoffLimit);
        Enter(Dhcp6ClientState.Init);
    }

    /// <summary>The end of an entitlement; the search for an address begins, or goes on if it already has.</summary>
    private void Lose(TimeSpan now, Dhcp6LossReason reason)
    {
        bool searching = State is Dhcp6ClientState.Init or Dhcp6ClientState.Soliciting or Dhcp6ClientState.Requesting
            or Dhcp6ClientState.Detecting or Dhcp6ClientState.Declining;
        var lost = _lease!;
        _lease = null;
        _silentReboots = 0;
        UnansweredRenewals = 0;
        if (!searching)
        {
            _wanted = reason == Dhcp6LossReason.Expired ? lost.Address : IPv6Address.Any;
            BeginAttempt(now);
            EndExchange();
        }
        _effects.Lost(this, lost, reason);
        if (!searching)
            StartSolicit(now, TimeSpan.Zero);
    }

    private void EndExchange()
    {
        if (_xid != 0)
            _ids.Remove(_xid, this);
        _xid = 0;
        _transmissions = 0;
        _timeout = TimeSpan.Zero;
        _nextSend = null;
        _offer = null;
        _isTrial = false;
    }

    private void Forget()
    {
        _lease = null;
        _lastHeld = null;
        _pending = null;
        _refusalsInRow = 0;
        _silentReboots = 0;
        UnansweredRenewals = 0;
        _declined.Clear();
    }

    private void Enter(Dhcp6ClientState state)
    {
        if (State == state)
            return;
        var from = State;
        State = state;
        _effects.StateChanged(this, from, state);
    }

    private void RequireIdle()
    {
        if (State != Dhcp6ClientState.Idle)
            throw new InvalidOperationException($"The client {Identity.Duid} is {State}, not idle.");
    }

    private TimeSpan FirstDelay() => _settings.FirstDelay * _random.NextDouble();

    private Dhcp6Lease Unconfirmed(IPv6Address address, Dhcp6Duid server) =>
        new() { Address = address, ServerId = server, PreferredSeconds = 0, ValidSeconds = 0, ObtainedAt = _firstSentAt };

    private static TimeSpan? Earlier(TimeSpan? left, TimeSpan? right) => left is null || right < left ? right : left;

    private sealed record Offer(Dhcp6Duid Server, IPv6Address Address, byte Preference);
}
