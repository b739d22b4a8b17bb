using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

public sealed partial class Dhcp6Client
{
    private void Transmit(TimeSpan now)
    {
        var rhythm = Rhythm(now);
        _timeout = rhythm.Next(_timeout, _random, later: State == Dhcp6ClientState.Soliciting);
        if (_transmissions++ == 0)
            _firstSentAt = now;
        _nextSend = now + _timeout;
        if (rhythm.Duration > TimeSpan.Zero && _nextSend > _firstSentAt + rhythm.Duration)
            _nextSend = _firstSentAt + rhythm.Duration;
        if (State == Dhcp6ClientState.Soliciting)
            Attempt!.SolicitsSent++;
        if (State == Dhcp6ClientState.Requesting)
            Attempt!.RequestsSent++;
        if (State is Dhcp6ClientState.Renewing or Dhcp6ClientState.Rebinding or Dhcp6ClientState.Rebooting)
            UnansweredRenewals++;
        _effects.Send(this, Build(now));
    }

    private Dhcp6Retransmission Rhythm(TimeSpan now)
    {
        switch (State)
        {
            case Dhcp6ClientState.Soliciting:
                return Dhcp6Retransmission.Solicit with { Longest = _solMaxRt };
            case Dhcp6ClientState.Requesting:
                return Dhcp6Retransmission.Request;
            case Dhcp6ClientState.Rebooting:
                return Dhcp6Retransmission.Verify;
            case Dhcp6ClientState.Renewing or Dhcp6ClientState.Rebinding:
                // Ten seconds are too long for the shortest leases: more than one message shall fit.
                var end = State == Dhcp6ClientState.Renewing ? _lease!.T2 : _lease!.ExpiresAt;
                var third = end is { } limit ? (limit - now) / 3 : TimeSpan.MaxValue;
                var first = third < Dhcp6Retransmission.Extend.First ? third : Dhcp6Retransmission.Extend.First;
                return Dhcp6Retransmission.Extend with { First = first > TimeSpan.FromSeconds(1) ? first : TimeSpan.FromSeconds(1) };
            default:
                return Dhcp6Retransmission.GiveBack;
        }
    }

    private Dhcp6Message Build(TimeSpan now)
    {
        double hundredths = Math.Clamp((now - _firstSentAt).TotalMilliseconds / 10, 0, ushort.MaxValue);
        var message = new Dhcp6Message { TransactionId = _xid, ClientId = Identity.Duid, ElapsedTime = (ushort)hundredths };
        IPv6Address? address;
        switch (State)
        {
            case Dhcp6ClientState.Soliciting:
                message.Type = Dhcp6MessageType.Solicit;
                message.RapidCommit = _settings.RapidCommit;
                address = _wanted.IsAny ? null : _wanted;
                break;
            case Dhcp6ClientState.Requesting:
                message.Type = Dhcp6MessageType.Request;
                message.ServerId = _offer!.Server;
                address = _offer.Address;
                break;
            case Dhcp6ClientState.Renewing:
                message.Type = Dhcp6MessageType.Renew;
                message.ServerId = _lease!.ServerId;
                address = _lease.Address;
                break;
            case Dhcp6ClientState.Rebinding or Dhcp6ClientState.Rebooting:
                message.Type = Dhcp6MessageType.Rebind;
                address = _lease!.Address;
                break;
            default:
                message.Type = State == Dhcp6ClientState.Declining ? Dhcp6MessageType.Decline : Dhcp6MessageType.Release;
                message.ServerId = _pending!.ServerId;
                address = _pending.Address;
                break;
        }
        if (State is not (Dhcp6ClientState.Declining or Dhcp6ClientState.Releasing))
        {
            message.Fqdn = _fqdn;
            message.RequestedOptions = _fqdn.IsEmpty ? [Dhcp6OptionCode.SolMaxRt] : [Dhcp6OptionCode.SolMaxRt, Dhcp6OptionCode.Fqdn];
        }
        message.Associations = [new Dhcp6Association(Identity.Iaid, 0, 0, address is { } value ? [new Dhcp6Address(value, 0, 0)] : [])];
        return message;
    }
}
