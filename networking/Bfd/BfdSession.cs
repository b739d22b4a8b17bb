namespace DynamicLb.Networking.Bfd;

/// <summary>
/// One BFD session (RFC 5880 §6) as a machine without sockets or clocks: who drives it tells it the time and what came, and carries out its effects. The time is any that does not
/// run backwards. Demand mode is granted to the other side, never asked for. Not thread-safe.
/// </summary>
public sealed partial class BfdSession
{
    /// <summary>No packets more often than this until the session is up (§6.8.3).</summary>
    private static readonly TimeSpan SlowInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Never = TimeSpan.MaxValue;

    private readonly Random _random;
    private readonly IBfdEffects _effects;
    private readonly ulong _echoSecret;
    private readonly byte[] _lastContents = new byte[BfdPacket.Length];
    private TimeSpan _desiredMinTx;
    private TimeSpan _requiredMinRx;
    private TimeSpan _transmitMinimum;
    private TimeSpan _receiveMinimum;
    private TimeSpan _scheduledInterval;
    private TimeSpan _lastTransmit;
    private TimeSpan _transmitAt = Never;
    private TimeSpan _detectAt = Never;
    private TimeSpan _echoAt = Never;
    private TimeSpan _echoDetectAt = Never;
    private TimeSpan _sequenceForgetAt = Never;
    private bool _pollAgain;
    private bool _hasSentEcho;
    private uint _sentSequence;
    private uint _receivedSequence;
    private bool _isSequenceKnown;

    /// <param name="settings">The configuration.</param>
    /// <param name="path">The peer.</param>
    /// <param name="discriminator">Our number for the session: not 0, and unique among our sessions.</param>
    /// <param name="random">For jitter and numbers that others shall not guess.</param>
    /// <param name="effects">Where its doings go.</param>
    /// <param name="now">The time.</param>
    public BfdSession(BfdSettings settings, BfdPath path, uint discriminator, Random random, IBfdEffects effects, TimeSpan now)
    {
        Settings = settings;
        Path = path;
        LocalDiscriminator = discriminator;
        _random = random;
        _effects = effects;
        _sentSequence = (uint)random.NextInt64(1L << 32);
        _echoSecret = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
        _desiredMinTx = _transmitMinimum = Slow(settings.TransmitInterval);
        _requiredMinRx = _receiveMinimum = settings.ReceiveInterval;
        // The first packet goes out at once; sessions that start together drift apart by their jitter.
        _transmitAt = settings.IsPassive ? Never : now;
        _lastTransmit = now;
        _scheduledInterval = TransmitInterval;
    }

    /// <summary>The configuration.</summary>
    public BfdSettings Settings { get; private set; }

    /// <summary>The peer.</summary>
    public BfdPath Path { get; }

    /// <summary>Whatever the driver keeps for the session.</summary>
    public object? Tag { get; set; }

    /// <summary>bfd.LocalDiscr.</summary>
    public uint LocalDiscriminator { get; }

    /// <summary>bfd.RemoteDiscr; 0 while unknown.</summary>
    public uint RemoteDiscriminator { get; private set; }

    /// <summary>bfd.SessionState.</summary>
    public BfdState State { get; private set; } = BfdState.Down;

    /// <summary>bfd.RemoteSessionState.</summary>
    public BfdState RemoteState { get; private set; } = BfdState.Down;

    /// <summary>bfd.LocalDiag.</summary>
    public BfdDiagnostic Diagnostic { get; private set; }

    /// <summary>The other side's last diagnostic.</summary>
    public BfdDiagnostic RemoteDiagnostic { get; private set; }

    /// <summary>bfd.RemoteDemandMode.</summary>
    public bool IsRemoteDemand { get; private set; }

    /// <summary>bfd.RemoteMinRxInterval, in microseconds; 1 while unknown.</summary>
    public uint RemoteMinRx { get; private set; } = 1;

    /// <summary>The other side's Desired Min TX Interval, in microseconds; 0 while unknown.</summary>
    public uint RemoteMinTx { get; private set; }

    /// <summary>The other side's Required Min Echo RX Interval, in microseconds; 0 when it sends none back.</summary>
    public uint RemoteMinEchoRx { get; private set; }

    /// <summary>The other side's detect multiplier; 0 while unknown.</summary>
    public byte RemoteDetectMultiplier { get; private set; }

    /// <summary>Whether a poll sequence is under way (§6.5).</summary>
    public bool IsPolling { get; private set; }

    /// <summary>Whether echo packets are sent.</summary>
    public bool IsEchoActive => _echoAt != Never;

    /// <summary>Pause between control packets that is in force, before jitter (§6.8.7).</summary>
    public TimeSpan TransmitInterval => Max(_transmitMinimum, FromMicroseconds(RemoteMinRx));

    /// <summary>How long nothing may be heard until the session fails (§6.8.4); zero while the other side is unknown.</summary>
    public TimeSpan DetectionTime => Max(_receiveMinimum, FromMicroseconds(RemoteMinTx)) * RemoteDetectMultiplier;

    /// <summary>Pause between echo packets, before jitter.</summary>
    public TimeSpan EchoInterval => Max(Settings.EchoInterval, FromMicroseconds(RemoteMinEchoRx));

    /// <summary>When <see cref="Advance"/> is to be called next at the latest; <see cref="TimeSpan.MaxValue"/> for never.</summary>
    public TimeSpan NextDue
    {
        get
        {
            var due = _transmitAt < _detectAt ? _transmitAt : _detectAt;
            due = due < _echoAt ? due : _echoAt;
            due = due < _echoDetectAt ? due : _echoDetectAt;
            return due < _sequenceForgetAt ? due : _sequenceForgetAt;
        }
    }

    /// <summary>Place in the timer queue; -1 outside.</summary>
    internal int QueueIndex { get; set; } = -1;

    /// <summary>The due time that the timer queue goes by.</summary>
    internal TimeSpan QueuedDue { get; set; }

    private bool CanEcho => Settings.UsesEcho && Path.CanEcho;

    private bool MayTransmit =>
        RemoteMinRx != 0 && !(Settings.IsPassive && RemoteDiscriminator == 0)
        && !(IsRemoteDemand && State == BfdState.Up && RemoteState == BfdState.Up && !IsPolling);

    /// <summary>Does what is due.</summary>
    public void Advance(TimeSpan now)
    {
        if (now >= _sequenceForgetAt)
        {
            _sequenceForgetAt = Never;
            _isSequenceKnown = false;
        }
        if (now >= _detectAt)
            Expire(now);
        if (now >= _echoDetectAt)
        {
            SetState(BfdState.Down, BfdDiagnostic.EchoFunctionFailed, now);
            TransmitIfChanged(now);
        }
        if (now >= _transmitAt)
            Transmit(isFinal: false, now);
        if (now >= _echoAt)
            TransmitEcho(now);
    }

    /// <summary>Replaces the configuration; an established session stays up (§6.8.3).</summary>
    public void Configure(BfdSettings settings, TimeSpan now)
    {
        if (settings == Settings)
            return;
        Settings = settings;
        SetIntervals(now);
        FollowEcho(now);
        TransmitIfChanged(now);
        Reschedule(now);
    }

    /// <summary>Holds the session down, or lets it go (§6.8.16).</summary>
    public void SetAdminDown(bool isDown, TimeSpan now)
    {
        if (isDown == (State == BfdState.AdminDown))
            return;
        SetState(isDown ? BfdState.AdminDown : BfdState.Down, isDown ? BfdDiagnostic.AdministrativelyDown : BfdDiagnostic.None, now);
        TransmitIfChanged(now);
    }

    private static TimeSpan Slow(TimeSpan interval) => Max(SlowInterval, interval);

    private static TimeSpan Max(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private static TimeSpan FromMicroseconds(uint microseconds) => new(microseconds * TimeSpan.TicksPerMicrosecond);

    private static uint ToMicroseconds(TimeSpan interval) => (uint)Math.Clamp(interval.Ticks / TimeSpan.TicksPerMicrosecond, 0, uint.MaxValue);

    private void SetState(BfdState state, BfdDiagnostic diagnostic, TimeSpan now)
    {
        var before = State;
        State = state;
        Diagnostic = diagnostic;
        if (state != BfdState.Up)
            IsPolling = _pollAgain = false;
        SetIntervals(now);
        FollowEcho(now);
        _effects.Changed(this, before);
    }

    /// <summary>Takes over the intervals that hold in this state; changes of an established session wait for the end of a poll sequence where §6.8.3 says so.</summary>
    private void SetIntervals(TimeSpan now)
    {
        var desired = State == BfdState.Up ? Settings.TransmitInterval : Slow(Settings.TransmitInterval);
        var required = Settings.ReceiveInterval;
        bool differs = desired != _desiredMinTx || required != _requiredMinRx;
        (_desiredMinTx, _requiredMinRx) = (desired, required);
        if (State != BfdState.Up)
        {
            (_transmitMinimum, _receiveMinimum) = (desired, required);
        }
        else if (differs)
        {
            // Sooner is always safe: a longer pause only when the other side knows of it, an earlier verdict only when it sends more often.
            if (desired < _transmitMinimum)
                _transmitMinimum = desired;
            if (required > _receiveMinimum)
                _receiveMinimum = required;
            _pollAgain = IsPolling;
            IsPolling = true;
        }
        ExtendDetection(now);
    }

    private void EndPoll(TimeSpan now)
    {
        // The answer may be to a packet from before the last change.
        if (_pollAgain)
        {
            _pollAgain = false;
            return;
        }
        IsPolling = false;
        (_transmitMinimum, _receiveMinimum) = (_desiredMinTx, _requiredMinRx);
        ExtendDetection(now);
    }

    private void Expire(TimeSpan now)
    {
        _detectAt = Never;
        RemoteDiscriminator = 0;
        RemoteState = BfdState.Down;
        RemoteMinRx = 1;
        RemoteMinTx = RemoteMinEchoRx = 0;
        RemoteDetectMultiplier = 0;
        IsRemoteDemand = false;
        if (State is BfdState.Init or BfdState.Up)
            SetState(BfdState.Down, BfdDiagnostic.ControlDetectionTimeExpired, now);
        TransmitIfChanged(now);
        Reschedule(now);
    }

    private void FollowEcho(TimeSpan now)
    {
        bool isActive = State == BfdState.Up && CanEcho && RemoteMinEchoRx != 0;
        if (isActive && _echoAt == Never)
        {
            _echoAt = now;
            _hasSentEcho = false;
        }
        else if (!isActive)
        {
            _echoAt = _echoDetectAt = Never;
        }
    }
}
