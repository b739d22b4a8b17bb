using System.Buffers.Binary;

namespace DynamicLb.Networking.Bfd;

public sealed partial class BfdSession
{
    /// <summary>Length of an echo packet; its contents are ours alone to read (§5).</summary>
    internal const int EchoLength = 24;

    private static ReadOnlySpan<byte> EchoMagic => "DLBE"u8;

    /// <summary>Reads whose echo packet this is.</summary>
    internal static bool TryReadEcho(ReadOnlySpan<byte> packet, out uint discriminator, out ulong secret)
    {
        discriminator = 0;
        secret = 0;
        if (packet.Length < EchoLength || !packet.StartsWith(EchoMagic))
            return false;
        discriminator = BinaryPrimitives.ReadUInt32BigEndian(packet[4..]);
        secret = BinaryPrimitives.ReadUInt64BigEndian(packet[8..]);
        return true;
    }

    /// <summary>A control packet came that belongs to this session and passed the checks that need none (§6.8.6, from authentication on).</summary>
    /// <param name="packet">Its mandatory section.</param>
    /// <param name="bytes">All of it, as long as its length field says.</param>
    /// <param name="now">The time.</param>
    public BfdDropReason Receive(in BfdPacket packet, ReadOnlySpan<byte> bytes, TimeSpan now)
    {
        if (packet.HasAuthentication != Settings.Authentication is not null)
            return BfdDropReason.AuthenticationPresence;
        if (Settings.Authentication is { } authentication && !IsAuthentic(authentication, packet, bytes))
            return BfdDropReason.Authentication;

        RemoteDiscriminator = packet.MyDiscriminator;
        RemoteState = packet.State;
        RemoteDiagnostic = packet.Diagnostic;
        IsRemoteDemand = packet.IsDemand;
        RemoteMinRx = packet.RequiredMinRx;
        RemoteMinTx = packet.DesiredMinTx;
        RemoteMinEchoRx = packet.RequiredMinEchoRx;
        RemoteDetectMultiplier = packet.DetectMultiplier;
        if (packet.IsFinal && IsPolling)
            EndPoll(now);
        _detectAt = now + DetectionTime;
        if (_isSequenceKnown)
            _sequenceForgetAt = now + (DetectionTime * 2);
        FollowEcho(now);
        if (State == BfdState.AdminDown)
        {
            Reschedule(now);
            return BfdDropReason.AdminDown;
        }

        FollowRemoteState(packet.State, now);
        if (packet.IsPoll)
            Transmit(isFinal: true, now);
        else
            TransmitIfChanged(now);
        Reschedule(now);
        return BfdDropReason.None;
    }

    /// <summary>An echo packet of this session came back.</summary>
    /// <returns>Whether it is genuine.</returns>
    internal bool ReceiveEcho(ulong secret, TimeSpan now)
    {
        if (secret != _echoSecret)
            return false;
        if (IsEchoActive)
            _echoDetectAt = now + (EchoInterval * Settings.DetectMultiplier);
        return true;
    }

    private void FollowRemoteState(BfdState remote, TimeSpan now)
    {
        switch (State, remote)
        {
            case (BfdState.Down, BfdState.Down):
                SetState(BfdState.Init, BfdDiagnostic.None, now);
                break;
            case (BfdState.Down or BfdState.Init, BfdState.Init):
            case (BfdState.Init, BfdState.Up):
                SetState(BfdState.Up, BfdDiagnostic.None, now);
                break;
            case (BfdState.Init or BfdState.Up, BfdState.AdminDown):
            case (BfdState.Up, BfdState.Down):
                SetState(BfdState.Down, BfdDiagnostic.NeighborSignaledSessionDown, now);
                break;
        }
    }

    private bool IsAuthentic(BfdAuthentication authentication, in BfdPacket packet, ReadOnlySpan<byte> bytes)
    {
        if (!authentication.Verify(bytes, out uint sequence))
            return false;
        if (!authentication.HasSequence)
            return true;
        // Circular: how far the number is ahead of the last one (§6.7.3, §6.7.4).
        uint ahead = unchecked(sequence - _receivedSequence);
        if (_isSequenceKnown && (ahead > 3u * packet.DetectMultiplier || (ahead == 0 && authentication.IsMeticulous)))
            return false;
        _isSequenceKnown = true;
        _receivedSequence = sequence;
        return true;
    }

    private BfdPacket Contents(bool isFinal) => new()
    {
        State = State,
        Diagnostic = Diagnostic,
        IsFinal = isFinal,
        IsPoll = IsPolling && !isFinal,
        HasAuthentication = Settings.Authentication is not null,
        DetectMultiplier = Settings.DetectMultiplier,
        MyDiscriminator = LocalDiscriminator,
        YourDiscriminator = RemoteDiscriminator,
        DesiredMinTx = ToMicroseconds(_desiredMinTx),
        RequiredMinRx = ToMicroseconds(_requiredMinRx),
        RequiredMinEchoRx = CanEcho ? ToMicroseconds(Settings.EchoInterval) : 0,
    };

    /// <summary>Says at once what is new, without waiting for the next packet's time (§6.8.7).</summary>
    private void TransmitIfChanged(TimeSpan now)
    {
        if (!MayTransmit)
            return;
        Span<byte> contents = stackalloc byte[BfdPacket.Length];
        (Contents(isFinal: false) with { IsPoll = false }).Write(contents);
        if (!contents.SequenceEqual(_lastContents))
            Transmit(isFinal: false, now);
    }

    private void Transmit(bool isFinal, TimeSpan now)
    {
        if (!isFinal && !MayTransmit)
        {
            _transmitAt = Never;
            return;
        }
        Span<byte> packet = stackalloc byte[BfdPacket.MaxLength];
        var contents = Contents(isFinal);
        (contents with { IsPoll = false, IsFinal = false }).Write(packet);
        bool isNew = !packet[..BfdPacket.Length].SequenceEqual(_lastContents);
        packet[..BfdPacket.Length].CopyTo(_lastContents);
        int length = contents.Write(packet);
        if (Settings.Authentication is { } authentication)
        {
            if (isNew || authentication.IsMeticulous)
                _sentSequence++;
            length = authentication.Write(packet, _sentSequence);
        }
        _lastTransmit = now;
        _scheduledInterval = TransmitInterval;
        _transmitAt = MayTransmit ? now + Jittered(_scheduledInterval) : Never;
        _effects.Send(this, packet[..length]);
    }

    /// <summary>Moves the next packet to where a changed interval, or a changed permission to send, puts it.</summary>
    private void Reschedule(TimeSpan now)
    {
        if (!MayTransmit)
        {
            _transmitAt = Never;
            return;
        }
        if (_transmitAt != Never && _scheduledInterval == TransmitInterval)
            return;
        _scheduledInterval = TransmitInterval;
        _transmitAt = Max(now, _lastTransmit + Jittered(_scheduledInterval));
    }

    private void ExtendDetection(TimeSpan now)
    {
        // A longer detection time counts from now at the latest; a shorter one from the next packet.
        if (_detectAt != Never && now + DetectionTime > _detectAt && RemoteDetectMultiplier != 0)
            _detectAt = Max(_detectAt, now + DetectionTime);
    }

    private void TransmitEcho(TimeSpan now)
    {
        Span<byte> packet = stackalloc byte[EchoLength];
        packet.Clear();
        EchoMagic.CopyTo(packet);
        BinaryPrimitives.WriteUInt32BigEndian(packet[4..], LocalDiscriminator);
        BinaryPrimitives.WriteUInt64BigEndian(packet[8..], _echoSecret);
        _echoAt = now + Jittered(EchoInterval);
        if (!_effects.SendEcho(this, packet) || _hasSentEcho)
            return;
        // Before the first has left, none is missed.
        _hasSentEcho = true;
        _echoDetectAt = now + (EchoInterval * Settings.DetectMultiplier);
    }

    /// <summary>75 to 100 per cent of an interval, 75 to 90 where one lost packet is too many (§6.8.7).</summary>
    private TimeSpan Jittered(TimeSpan interval) =>
        new((long)(interval.Ticks * (0.75 + (_random.NextDouble() * (Settings.DetectMultiplier == 1 ? 0.15 : 0.25)))));
}
