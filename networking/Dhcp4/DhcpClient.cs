using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// A DHCPv4 client for one address (RFC 2131 §4.4), as a pure state machine: no sockets, no timers, no clock. Its owner calls it with the reading of
/// one monotonic clock, keeps a heap by <see cref="NextDeadline"/>, calls <see cref="Tick"/> when that is due, and routes replies to it by
/// <see cref="TransactionIds"/>; effects go to <see cref="IDhcpClientEffects"/>.
/// </summary>
/// <remarks>
/// Not thread-safe: it belongs to one loop. To pace messages, delay the calls of <see cref="Acquire"/>, <see cref="Resume"/> and <see cref="Tick"/>,
/// not what they send: a lease counts from the moment its REQUEST was handed to <see cref="IDhcpClientEffects.Send"/>.
/// It never gives up; the owner ends it by <see cref="Release(TimeSpan, string)"/> or <see cref="Abandon"/>.
/// </remarks>
public sealed partial class DhcpClient
{
    private static readonly TimeSpan RefusedOfferPause = TimeSpan.FromMilliseconds(200);
    private const int HurriedDiscovers = 3;

    private readonly DhcpClientSettings _settings;
    private readonly IDhcpClientEffects _effects;
    private readonly TransactionIds _ids;
    private readonly DhcpRandom _random;

    private DhcpLease? _lease;
    private TimeSpan? _renewAt;
    private TimeSpan? _suspectUntil;
    private IPv4Address _wanted;
    private IPv4Address? _lastHeld;
    private IPv4Address _lastServer;
    private int _naksInRow;
    private int _hurried;

    // The exchange that is going on; the id is zero when there is none.
    private uint _xid;
    private TimeSpan _startedAt;
    private TimeSpan _firstSentAt;
    private int _transmissions;
    private TimeSpan? _nextSend;
    private ushort _secs;
    private Offer? _offer;
    private bool _anonymousNak;
    private List<Offer>? _offers;
    private TimeSpan? _windowEnd;

    /// <summary>Creates an idle client.</summary>
    /// <exception cref="ArgumentException">The identity cannot be sent: an empty or multicast MAC, a client identifier of one byte or more than 128,
    /// a host name longer than 63 characters, a vendor class longer than 64, an extra option that is the client's own.</exception>
    public DhcpClient(DhcpClientIdentity identity, DhcpClientSettings settings, IDhcpClientEffects effects, TransactionIds ids, DhcpRandom random)
    {
        if (identity.ChAddr.IsMulticast || identity.ChAddr == MacAddress.Zero)
            throw new ArgumentException($"{identity.ChAddr} cannot be a station's MAC.", nameof(identity));
        if (identity.ClientId.Length is 1 or > 128)
            throw new ArgumentException($"A client identifier has 2 to 128 bytes, not {identity.ClientId.Length}.", nameof(identity));
        if (identity.Hostname?.Length > 63)
            throw new ArgumentException("A host name has at most 63 characters.", nameof(identity));
        if (identity.VendorClass?.Length > 64)
            throw new ArgumentException("A vendor class has at most 64 characters.", nameof(identity));
        if (identity.ExtraOptions.Select(option => DhcpExtraOption.Refusal((int)option.Code)).FirstOrDefault(fault => fault is not null) is { } refusal)
            throw new ArgumentException(refusal, nameof(identity));
        Identity = identity;
        _settings = settings;
        _effects = effects;
        _ids = ids;
        _random = random;
    }

    /// <summary>Who the client is.</summary>
    public DhcpClientIdentity Identity { get; }

    /// <summary>Where it stands.</summary>
    public DhcpClientState State { get; private set; }

    /// <summary>The lease that entitles us to its address now; null without one. During <see cref="DhcpClientState.Releasing"/> it is null already.</summary>
    public DhcpLease? Lease => _lease;

    /// <summary>Whether the lease's server refused it and the grace period runs.</summary>
    public bool IsSuspect => _suspectUntil is not null;

    /// <summary>What happened since the client began to look for an address, or to look at another one that a renewal brought; null when it has one, and before.</summary>
    public DhcpAttempt? Attempt { get; private set; }

    /// <summary>REQUESTs for the held lease that went unanswered since the last ACK.</summary>
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
            if (State == DhcpClientState.Releasing)
                return _nextSend;
            var next = Earlier(Earlier(_nextSend, _windowEnd), Earlier(_suspectUntil, _lease?.ExpiresAt));
            return State switch
            {
                DhcpClientState.Bound => Earlier(next, Earlier(_renewAt, _lease?.T2)),
                DhcpClientState.Renewing => Earlier(next, _lease?.T2),
                _ => next,
            };
        }
    }

    /// <summary>Looks for an address.</summary>
    /// <param name="now">The clock.</param>
    /// <param name="hint">An address to ask for (option 50), or null; the server decides.</param>
    /// <param name="held">The address last held, before a restart, by a lease that has ended: our own hosts may still answer ARP for it.</param>
    /// <exception cref="InvalidOperationException">The client is not idle.</exception>
    public void Acquire(TimeSpan now, IPv4Address? hint, IPv4Address? held = null)
    {
        RequireIdle();
        _lastHeld = held;
        _wanted = hint ?? IPv4Address.Any;
        BeginAttempt(now);
        StartDiscovery(now);
    }

    /// <summary>Does what is due. Harmless when nothing is.</summary>
    public void Tick(TimeSpan now)
    {
        while (NextDeadline <= now)
            Step(now);
    }

    /// <summary>
    /// The link is back: what waits for its next transmission is sent at once, and a lease is verified (RFC 2131 §3.7: the network may be another one).
    /// Only sets <see cref="NextDeadline"/>; <see cref="Tick"/> does the rest.
    /// </summary>
    public void Hurry(TimeSpan now)
    {
        switch (State)
        {
            case DhcpClientState.Bound:
                _mustVerify = true;
                _renewAt = now;
                break;
            case DhcpClientState.Probing:
                // What was sent before may not have left.
                _transmissions = 0;
                _nextSend = now;
                break;
            case DhcpClientState.Init or DhcpClientState.Selecting or DhcpClientState.Requesting or DhcpClientState.Rebooting
                or DhcpClientState.Renewing or DhcpClientState.Rebinding when _nextSend > now:
                _nextSend = now;
                break;
        }
    }

    /// <summary>Forgets everything without a word to anybody; the client is idle. A lease stays with the server until it ends.</summary>
    public void Abandon()
    {
        EndExchange();
        Forget();
        Enter(DhcpClientState.Idle);
    }

    private void Step(TimeSpan now)
    {
        // After a suspend several may be due: the latest counts.
        if (State == DhcpClientState.Releasing)
            SendRelease(now);
        else if (_lease?.ExpiresAt <= now)
            Lose(now, DhcpLossReason.Expired);
        else if (_suspectUntil <= now)
            Lose(now, DhcpLossReason.Refused);
        else if (State is DhcpClientState.Bound or DhcpClientState.Renewing && _lease?.T2 <= now)
            StartRenewal(now, DhcpClientState.Rebinding);
        else if (State == DhcpClientState.Bound && _renewAt <= now && (_mustVerify || !_lease!.Verified))
            StartReboot(now);
        else if (State == DhcpClientState.Bound && _renewAt <= now)
            StartRenewal(now, DhcpClientState.Renewing);
        else if (_windowEnd <= now)
            TakeBestOffer(now);
        else
            Retransmit(now);
    }

    private void Retransmit(TimeSpan now)
    {
        switch (State)
        {
            case DhcpClientState.Init:
                StartDiscovery(now);
                break;
            case DhcpClientState.Selecting:
                SendDiscover(now);
                break;
            case DhcpClientState.Requesting when _transmissions >= _settings.RequestTries:
                StartDiscovery(now);
                break;
            case DhcpClientState.Requesting:
                SendRequest(now);
                break;
            case DhcpClientState.Probing:
                ProbeOn(now);
                break;
            case DhcpClientState.Rebooting when _transmissions >= RebootTries:
                GiveUpReboot(now);
                break;
            case DhcpClientState.Rebooting:
                SendReboot(now);
                break;
            case DhcpClientState.Renewing when _lease!.T2 is null && _transmissions >= _settings.RebootTries:
                EndExchange();
                _renewAt = now + _settings.InfiniteRecheck;
                Enter(DhcpClientState.Bound);
                break;
            case DhcpClientState.Renewing or DhcpClientState.Rebinding:
                SendRenewal(now);
                break;
            default:
                _nextSend = null;
                break;
        }
    }

    private void BeginAttempt(TimeSpan now)
    {
        Attempt = new DhcpAttempt(now);
        _naksInRow = 0;
        _hurried = 0;
    }

    private void StartDiscovery(TimeSpan now)
    {
        BeginExchange(now);
        _startedAt = Attempt!.StartedAt;
        Enter(DhcpClientState.Selecting);
        SendDiscover(now);
    }

    private void StartRenewal(TimeSpan now, DhcpClientState phase)
    {
        BeginExchange(now);
        Enter(phase);
        SendRenewal(now);
    }

    /// <summary>The lease's own server says that the address is not ours.</summary>
    private void Refused(TimeSpan now)
    {
        EndExchange();
        DoubtLease(now);
        BackOff(now);
    }

    private void DoubtLease(TimeSpan now)
    {
        _wanted = _lease!.Address;
        BeginAttempt(now);
        if (_settings.NakGrace > TimeSpan.Zero)
        {
            _suspectUntil = now + _settings.NakGrace;
            _effects.Suspect(this, _lease);
        }
        else
        {
            DropLease(DhcpLossReason.Refused);
        }
    }

    private void BackOff(TimeSpan now)
    {
        EndExchange();
        int nak = _naksInRow++;
        if (nak == 0)
        {
            StartDiscovery(now);
            return;
        }
        var pause = TimeSpan.FromSeconds(1 << Math.Min(nak - 1, 16));
        _nextSend = now + (pause < _settings.NakBackoffLimit ? pause : _settings.NakBackoffLimit);
        Enter(DhcpClientState.Init);
    }

    /// <summary>The end of an entitlement; the search for the same address begins, or goes on if it already has.</summary>
    private void Lose(TimeSpan now, DhcpLossReason reason)
    {
        bool searching = State is DhcpClientState.Init or DhcpClientState.Selecting or DhcpClientState.Requesting or DhcpClientState.Probing;
        if (!searching)
        {
            EndExchange();
            _wanted = _lease!.Address;
            BeginAttempt(now);
        }
        DropLease(reason);
        if (!searching)
            StartDiscovery(now);
    }

    private void DropLease(DhcpLossReason reason)
    {
        var lost = _lease!;
        _lease = null;
        _renewAt = null;
        _suspectUntil = null;
        EndVerification();
        UnansweredRenewals = 0;
        _effects.Lost(this, lost, reason);
    }

    private void BeginExchange(TimeSpan now)
    {
        EndExchange();
        _xid = _ids.Add(this);
        _startedAt = now;
    }

    private void EndExchange()
    {
        if (_xid != 0)
            _ids.Remove(_xid, this);
        _xid = 0;
        _transmissions = 0;
        _nextSend = null;
        _offer = null;
        _anonymousNak = false;
        _offers = null;
        _windowEnd = null;
        _granted = null;
    }

    private void Forget()
    {
        _conflicts = 0;
        _lease = null;
        _lastHeld = null;
        _lastServer = IPv4Address.Any;
        _renewAt = null;
        _suspectUntil = null;
        EndVerification();
        _naksInRow = 0;
        _released = null;
        _releaseReason = null;
        UnansweredRenewals = 0;
    }

    private void Enter(DhcpClientState state)
    {
        if (State == state)
            return;
        var from = State;
        State = state;
        _effects.StateChanged(this, from, state);
    }

    private void RequireIdle()
    {
        if (State != DhcpClientState.Idle)
            throw new InvalidOperationException($"The client of {Identity.ChAddr} is {State}, not idle.");
    }

    private static TimeSpan? Earlier(TimeSpan? left, TimeSpan? right) => left is null || right < left ? right : left;
}
