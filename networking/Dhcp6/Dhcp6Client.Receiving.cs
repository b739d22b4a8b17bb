using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

public sealed partial class Dhcp6Client
{
    private const uint LowestSolMaxRt = 60;
    private const uint HighestSolMaxRt = 86_400;

    /// <summary>Takes a reply. What does not belong here, or cannot be trusted, is dropped: the timers run on as if nothing had come.</summary>
    /// <param name="message">The reply.</param>
    /// <param name="source">The sender's address, link-local as a rule.</param>
    /// <param name="now">The clock.</param>
    /// <returns>Why it was dropped, or <see cref="Dhcp6DropReason.None"/>.</returns>
    public Dhcp6DropReason Receive(Dhcp6Message message, IPv6Address source, TimeSpan now)
    {
        // Entitlement ends at the very moment, also when this reply waited in a queue.
        if (_lease?.ExpiresAt <= now)
            Tick(now);
        string? detail = null;
        var reason = Check(message, source);
        if (reason == Dhcp6DropReason.None)
        {
            if (message.SolMaxRt is >= LowestSolMaxRt and <= HighestSolMaxRt and { } seconds)
                _solMaxRt = TimeSpan.FromSeconds(seconds);
            reason = message.Type == Dhcp6MessageType.Advertise ? TakeAdvertise(message, now, out detail) : TakeReply(message, now, out detail);
        }
        if (reason != Dhcp6DropReason.None)
            _effects.ReplyDropped(this, reason, detail);
        return reason;
    }

    private Dhcp6DropReason Check(Dhcp6Message message, IPv6Address source)
    {
        if (_xid == 0 || _transmissions == 0 || message.TransactionId != _xid)
            return Dhcp6DropReason.UnknownTransaction;
        if (message.Type is not (Dhcp6MessageType.Advertise or Dhcp6MessageType.Reply))
            return Dhcp6DropReason.UnexpectedMessageType;
        if (message.ClientId != Identity.Duid)
            return Dhcp6DropReason.OtherClientId;
        if (message.ServerId.IsEmpty)
            return Dhcp6DropReason.NoServerId;
        if (_settings.AllowedServers.Count > 0 && !_settings.AllowedServers.Any(network => network.Contains(source)))
            return Dhcp6DropReason.RogueServer;
        bool soliciting = State == Dhcp6ClientState.Soliciting;
        // A Reply to a Solicit counts only if both sides said rapid commit; in an Advertise the option means nothing.
        if (message.Type == Dhcp6MessageType.Advertise ? !soliciting : soliciting && !(message.RapidCommit && _settings.RapidCommit))
            return Dhcp6DropReason.WrongState;
        var asked = State switch
        {
            Dhcp6ClientState.Requesting => _offer!.Server,
            Dhcp6ClientState.Renewing => _lease!.ServerId,
            Dhcp6ClientState.Declining or Dhcp6ClientState.Releasing => _pending!.ServerId,
            _ => message.ServerId,
        };
        return asked == message.ServerId ? Dhcp6DropReason.None : Dhcp6DropReason.OtherServer;
    }

    private Dhcp6DropReason TakeAdvertise(Dhcp6Message message, TimeSpan now, out string? detail)
    {
        var reason = Choose(message, null, out var association, out var address, out detail);
        if (reason != Dhcp6DropReason.None)
        {
            Remember(reason, message, association, detail);
            return reason;
        }
        // Of equals the one with the address that is asked for: it may still be the client's.
        if (_offer is null || message.Preference > _offer.Preference
            || (message.Preference == _offer.Preference && address.Address == _wanted && _offer.Address != _wanted))
            _offer = new Offer(message.ServerId, address.Address, message.Preference);
        // Collecting ends with the first timeout; what comes later is taken as it comes (RFC 8415 §18.2.1).
        if (message.Preference == byte.MaxValue || _settings.TakeFirstAdvertise || _transmissions > 1)
            StartRequest(now, _offer);
        return Dhcp6DropReason.None;
    }

    private Dhcp6DropReason TakeReply(Dhcp6Message message, TimeSpan now, out string? detail)
    {
        detail = null;
        switch (State)
        {
            case Dhcp6ClientState.Releasing:
                // Whatever the status: NoBinding says that nothing was left to give back.
                FinishRelease();
                return Dhcp6DropReason.None;
            case Dhcp6ClientState.Declining:
                BackOff(now);
                return Dhcp6DropReason.None;
            case Dhcp6ClientState.Soliciting or Dhcp6ClientState.Requesting:
                return TakeGrant(message, now, out detail);
            default:
                return TakeExtension(message, now, out detail);
        }
    }

    private Dhcp6DropReason TakeGrant(Dhcp6Message message, TimeSpan now, out string? detail)
    {
        var reason = Choose(message, _offer?.Address, out var association, out var address, out detail);
        if (reason == Dhcp6DropReason.None)
        {
            ReleaseOthers(association!, address.Address, message.ServerId);
            Grant(Dhcp6Lease.Grant(association!, address, message.ServerId, _firstSentAt, _settings.InfiniteRecheck), now);
            return reason;
        }
        Remember(reason, message, association, detail);
        var code = StatusOf(message, association).Code;
        // The server may think better of it: the same question again, in its rhythm.
        if (code is Dhcp6StatusCode.UnspecFail or Dhcp6StatusCode.UseMulticast || State == Dhcp6ClientState.Soliciting)
            return reason;
        if (reason == Dhcp6DropReason.AddressRefused)
            ReleaseOthers(association!, IPv6Address.Any, message.ServerId);
        if (code == Dhcp6StatusCode.NotOnLink || reason == Dhcp6DropReason.AddressRefused)
            _wanted = IPv6Address.Any;
        BackOff(now);
        return reason;
    }

    private Dhcp6DropReason TakeExtension(Dhcp6Message message, TimeSpan now, out string? detail)
    {
        var lease = _lease!;
        bool own = message.ServerId == lease.ServerId;
        var reason = Choose(message, lease.Address, out var association, out var address, out detail);
        var code = StatusOf(message, association).Code;
        if (code == Dhcp6StatusCode.NoBinding)
        {
            // RFC 8415 §18.2.10.1: ask for the same address. One that never granted it waits for the others to answer.
            var offer = new Offer(message.ServerId, lease.Address, 0);
            if (own)
                StartRequest(now, offer);
            else
                _offer = offer;
            return Dhcp6DropReason.None;
        }
        bool ended = code == Dhcp6StatusCode.NotOnLink
            || (code == Dhcp6StatusCode.Success && association?.Addresses.Any(held => held.Address == lease.Address && held.Valid == 0) == true);
        if (ended && !own)
            return Dhcp6DropReason.ForeignDenial;
        if (reason == Dhcp6DropReason.None && (address.Address == lease.Address || ended))
        {
            ReleaseOthers(association!, address.Address, message.ServerId);
            Grant(Dhcp6Lease.Grant(association!, address, message.ServerId, _firstSentAt, _settings.InfiniteRecheck), now);
            return Dhcp6DropReason.None;
        }
        if (ended)
        {
            Lose(now, Dhcp6LossReason.Refused);
            return Dhcp6DropReason.None;
        }
        return reason == Dhcp6DropReason.None ? Dhcp6DropReason.NoAddress : reason;
    }

    /// <summary>Finds the address to use: the one asked for if it is there, else the first that may be used.</summary>
    private Dhcp6DropReason Choose(Dhcp6Message message, IPv6Address? preferred, out Dhcp6Association? association, out Dhcp6Address chosen, out string? detail)
    {
        detail = null;
        chosen = default;
        association = message.Associations.FirstOrDefault(candidate => candidate.Iaid == Identity.Iaid);
        var status = StatusOf(message, association);
        if (status.Code != Dhcp6StatusCode.Success)
        {
            detail = status.Text is null ? $"{status.Code}" : $"{status.Code}: {status.Text}";
            return Dhcp6DropReason.Status;
        }
        if (association is null || association.Addresses.Count == 0)
            return Dhcp6DropReason.NoAddress;
        if (association.T1 > association.T2 && association.T2 > 0)
            return Dhcp6DropReason.BadLifetimes;
        var reason = Dhcp6DropReason.NoAddress;
        foreach (var candidate in association.Addresses.OrderByDescending(candidate => candidate.Address == preferred))
        {
            if (candidate.Valid == 0 || candidate.Status.Code != Dhcp6StatusCode.Success)
                continue;
            if (candidate.Preferred > candidate.Valid || candidate.Valid < _settings.MinimumLease.TotalSeconds)
            {
                reason = Dhcp6DropReason.BadLifetimes;
                continue;
            }
            string? cause = Unusable(candidate.Address);
            if (cause is null)
            {
                chosen = candidate;
                detail = null;
                return Dhcp6DropReason.None;
            }
            reason = Dhcp6DropReason.AddressRefused;
            detail ??= $"{candidate.Address} ({cause})";
        }
        return reason;
    }

    private string? Unusable(IPv6Address address)
    {
        if (address.IsAny || address.IsLoopback || address.IsMulticast || address.IsLinkLocal || address.IsIPv4Mapped)
            return "not an address of a host";
        if (_declined.Contains(address))
            return "in use by another host";
        return _effects.RefuseAddress(this, address);
    }

    private void Remember(Dhcp6DropReason reason, Dhcp6Message message, Dhcp6Association? association, string? detail)
    {
        var status = StatusOf(message, association);
        // An answer without addresses says the same as the status that it should have carried.
        if (reason == Dhcp6DropReason.NoAddress && status.Code == Dhcp6StatusCode.Success)
            status = new Dhcp6Status(Dhcp6StatusCode.NoAddrsAvail);
        Attempt!.Status = status;
        Attempt.Refusal = reason switch
        {
            Dhcp6DropReason.AddressRefused => detail,
            Dhcp6DropReason.BadLifetimes => "lifetimes that contradict each other or are too short",
            _ => Attempt.Refusal,
        };
    }

    private void ReleaseOthers(Dhcp6Association association, IPv6Address kept, Dhcp6Duid server) =>
        ReleaseAtOnce(
            association.Addresses.Where(other => other.Valid != 0 && other.Address != kept && other.Address != _lease?.Address).Select(other => other.Address), server);

    private void Grant(Dhcp6Lease lease, TimeSpan now)
    {
        // An address that was ours before is ours: only a new one may belong to somebody else.
        if (_settings.DuplicateDetection == TimeSpan.Zero || lease.Address == _lease?.Address || lease.Address == _lastHeld)
        {
            Accept(lease, now);
            return;
        }
        EndExchange();
        // A lease taken up after a restart may be moved to another address without a search; that may be in use, or the old lease end meanwhile.
        Attempt ??= new Dhcp6Attempt(now);
        _pending = lease;
        _nextSend = now + _settings.DuplicateDetection;
        Enter(Dhcp6ClientState.Detecting);
        _effects.DetectDuplicate(this, lease.Address);
    }

    private void Accept(Dhcp6Lease lease, TimeSpan now)
    {
        var before = _lastHeld;
        bool held = _lease is not null;
        EndExchange();
        _pending = null;
        _lease = lease;
        _lastHeld = lease.Address;
        _wanted = lease.Address;
        _refusalsInRow = 0;
        _silentReboots = 0;
        UnansweredRenewals = 0;
        Enter(Dhcp6ClientState.Bound);
        if (before is null)
            _effects.Bound(this, lease);
        else if (before != lease.Address)
            _effects.Changed(this, before.Value, lease);
        else if (held)
            _effects.Renewed(this, lease);
        else
            _effects.Recovered(this, lease);
        if (lease.ExpiresAt <= now)
            Tick(now);
    }

    // The status of the association is the more exact one; where both say no, that of the message covers all.
    private static Dhcp6Status StatusOf(Dhcp6Message message, Dhcp6Association? association) =>
        message.Status.Code == Dhcp6StatusCode.Success && association is not null ? association.Status : message.Status;
}
