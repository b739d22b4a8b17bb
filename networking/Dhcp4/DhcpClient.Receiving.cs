using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

public sealed partial class DhcpClient
{
    /// <summary>
    /// Takes a reply. What does not belong here, or cannot be trusted, is dropped: the timers run on as if nothing had come.
    /// </summary>
    /// <returns>Why it was dropped, or <see cref="DhcpDropReason.None"/>.</returns>
    public DhcpDropReason Receive(in DhcpReply reply, TimeSpan now)
    {
        // Entitlement ends at the very moment, also when this reply waited in a queue.
        if (_lease?.ExpiresAt <= now)
            Tick(now);
        string? detail = null;
        var reason = Check(reply, out var server);
        if (reason == DhcpDropReason.None)
        {
            reason = reply.Message.Type switch
            {
                DhcpMessageType.Offer => TakeOffer(reply, server, now, out detail),
                DhcpMessageType.Ack => TakeAck(reply, server, now, out detail),
                _ => TakeNak(reply, server, now),
            };
        }
        if (reason == DhcpDropReason.None)
            return reason;
        if (State == DhcpClientState.Selecting && reply.Message.Type == DhcpMessageType.Offer && reply.Message.TransactionId == _xid
            && (detail ?? OfferFault(reason)) is { } fault)
        {
            Attempt!.Refuse(new RefusedOffer(reply.Message.ServerId, reply.Message.YourAddress, fault));
            AskAgainSoon(now);
        }
        _effects.ReplyDropped(this, reason, detail, reply);
        return reason;
    }

    /// <summary>
    /// Some servers offer one address to two clients that ask at the same moment. The next DISCOVER brings another, so it does not wait for the whole
    /// pause; but only a few times, for a server that offers nothing else.
    /// </summary>
    private void AskAgainSoon(TimeSpan now)
    {
        if (_offers is not null || _hurried >= HurriedDiscovers)
            return;
        var soon = now + (RefusedOfferPause * (1 << _hurried)) + (RefusedOfferPause * 0.5 * _random.NextSigned());
        if (_nextSend > soon)
        {
            _hurried++;
            _nextSend = soon;
        }
    }

    private DhcpDropReason Check(in DhcpReply reply, out IPv4Address server)
    {
        var message = reply.Message;
        server = default;
        if (!message.IsReply)
            return DhcpDropReason.NotAReply;
        if (_xid == 0 || message.TransactionId != _xid || State == DhcpClientState.Releasing)
            return DhcpDropReason.UnknownTransaction;
        if (message.HardwareAddress != Identity.ChAddr)
            return DhcpDropReason.OtherHardwareAddress;
        var type = message.Type;
        if (type is not (DhcpMessageType.Offer or DhcpMessageType.Ack or DhcpMessageType.Nak))
            return DhcpDropReason.UnexpectedMessageType;
        if (!message.Options.TryGetAddress(DhcpOptionCode.ServerId, out server))
        {
            bool counts = type == DhcpMessageType.Nak && State == DhcpClientState.Rebooting && _lease!.ServerId.IsAny;
            if (!counts)
                return DhcpDropReason.NoServerId;
        }
        else if (!DhcpAddressRules.IsServer(server))
        {
            return DhcpDropReason.BadServerId;
        }
        if (message.Options.TryGet(DhcpOptionCode.ClientId, out var clientId) && !clientId.SequenceEqual(Identity.ClientId.Span))
            return DhcpDropReason.OtherClientId;
        // To a relay a server may answer from another of its addresses.
        if (!IsAllowed(server) || (!_settings.IsRelayed && !IsAllowed(reply.SourceAddress)))
            return DhcpDropReason.RogueServer;
        bool expected = type == DhcpMessageType.Offer
            ? State == DhcpClientState.Selecting
            : State is DhcpClientState.Requesting or DhcpClientState.Rebooting or DhcpClientState.Renewing or DhcpClientState.Rebinding;
        return expected ? DhcpDropReason.None : DhcpDropReason.WrongState;
    }

    private bool IsAllowed(IPv4Address server)
    {
        var allowed = _settings.AllowedServers;
        for (int i = 0; i < allowed.Count; i++)
        {
            if (allowed[i].Contains(server))
                return true;
        }
        return allowed.Count == 0;
    }

    private DhcpDropReason TakeOffer(in DhcpReply reply, IPv4Address server, TimeSpan now, out string? detail)
    {
        detail = null;
        bool hasLease = reply.Message.Options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint leaseSeconds);
        if (hasLease ? leaseSeconds == 0 : _settings.RequireLeaseInOffer)
            return DhcpDropReason.NoLeaseTime;
        if (hasLease && leaseSeconds < _settings.MinimumLease.TotalSeconds)
        {
            detail = $"a lease of {leaseSeconds} s is too short";
            return DhcpDropReason.LeaseTooShort;
        }
        var address = reply.Message.YourAddress;
        for (int i = 0; i < _offers?.Count; i++)
        {
            if (_offers[i].Server == server && _offers[i].Address == address)
                return DhcpDropReason.Duplicate;
        }
        detail = RefuseAddress(address, server, reply);
        if (detail is not null)
            return DhcpDropReason.AddressRefused;

        Attempt!.UnansweredDiscovers = 0;
        var offer = new Offer(server, address, reply.SourceMac, hasLease ? leaseSeconds : 0);
        if (_settings.OfferWindow <= TimeSpan.Zero)
        {
            Select(offer, now);
            return DhcpDropReason.None;
        }
        (_offers ??= []).Add(offer);
        _windowEnd ??= now + _settings.OfferWindow;
        return DhcpDropReason.None;
    }

    private void TakeBestOffer(TimeSpan now)
    {
        var best = _offers![0];
        for (int i = 1; i < _offers.Count; i++)
        {
            if (Rank(_offers[i]) < Rank(best))
                best = _offers[i];
        }
        Select(best, now);
    }

    /// <summary>The remembered address first, then the previous server, then the configured order of servers, then the order of arrival.</summary>
    private int Rank(Offer offer)
    {
        if (offer.Address == _wanted)
            return -2;
        if (offer.Server == _lastServer)
            return -1;
        for (int i = 0; i < _settings.PreferredServers.Count; i++)
        {
            if (_settings.PreferredServers[i] == offer.Server)
                return i;
        }
        return int.MaxValue;
    }

    private void Select(Offer offer, TimeSpan now)
    {
        _offers = null;
        _windowEnd = null;
        _offer = offer;
        _transmissions = 0;
        Attempt!.Requested = (offer.Server, offer.Address);
        Enter(DhcpClientState.Requesting);
        SendRequest(now);
    }

    private DhcpDropReason TakeAck(in DhcpReply reply, IPv4Address server, TimeSpan now, out string? detail)
    {
        detail = null;
        bool selecting = State == DhcpClientState.Requesting;
        if (selecting ? server != _offer!.Server : State == DhcpClientState.Renewing && server != _lease!.ServerId && !_lease.ServerId.IsAny)
            return DhcpDropReason.OtherServer;
        if (!reply.Message.Options.TryGetUInt32(DhcpOptionCode.LeaseTime, out uint leaseSeconds) || leaseSeconds == 0)
            return DhcpDropReason.NoLeaseTime;
        if (selecting && leaseSeconds < _settings.MinimumLease.TotalSeconds)
            return DhcpDropReason.LeaseTooShort;

        var address = reply.Message.YourAddress;
        if (address.IsAny && !selecting)
            address = _lease!.Address;
        if (address != _lease?.Address)
        {
            detail = RefuseAddress(address, server, reply);
            if (detail is not null)
                return DhcpDropReason.AddressRefused;
        }
        if (leaseSeconds != DhcpLease.Infinite && _firstSentAt + TimeSpan.FromSeconds(leaseSeconds) <= now)
        {
            // Counted from the first transmission it is over already: ask once more, with a fresh start of time.
            if (selecting)
                StartDiscovery(now);
            else
                StartRenewal(now, State);
            return DhcpDropReason.LeaseTooShort;
        }
        var lease = LeaseOf(reply, server, address, leaseSeconds);
        if (!selecting && address != _lease!.Address && _settings.AddressChange == DhcpAddressChange.Refuse)
        {
            ReleaseAtOnce(lease);
            Refused(now);
            return DhcpDropReason.None;
        }
        if (_settings.Probe is not null && address != _lease?.Address && address != _lastHeld)
            BeginProbing(lease, now);
        else
            Bind(lease, now);
        return DhcpDropReason.None;
    }

    private void Bind(DhcpLease lease, TimeSpan now)
    {
        var before = _lease;
        bool wasSuspect = _suspectUntil is not null;
        var lastHeld = _lastHeld;
        EndExchange();
        _lease = lease;
        _lastHeld = lease.Address;
        _lastServer = lease.ServerId;
        _suspectUntil = null;
        _naksInRow = 0;
        _conflicts = 0;
        Attempt = null;
        EndVerification();
        UnansweredRenewals = 0;
        _renewAt = lease.T1 ?? now + _settings.InfiniteRecheck;
        Enter(DhcpClientState.Bound);

        if (before is not null && wasSuspect && before.Address != lease.Address)
            _effects.Lost(this, before, DhcpLossReason.Refused);
        if (lastHeld is not { } last)
            _effects.Bound(this, lease);
        else if (last != lease.Address)
            _effects.Changed(this, last, lease);
        else if (before is null || wasSuspect)
            _effects.Recovered(this, lease);
        else
            _effects.Renewed(this, lease);
    }

    private DhcpDropReason TakeNak(in DhcpReply reply, IPv4Address server, TimeSpan now)
    {
        if (State == DhcpClientState.Requesting)
        {
            if (server != _offer!.Server)
                return DhcpDropReason.ForeignNak;
            Attempt!.NaksReceived++;
            _effects.NakReceived(this, server, reply.Message.Options.GetText(DhcpOptionCode.Message));
            BackOff(now);
            return DhcpDropReason.None;
        }
        if (server.IsAny)
        {
            // Only while no server is known, and only if nobody confirms the lease: see GiveUpReboot.
            _anonymousNak = true;
            return DhcpDropReason.None;
        }
        var own = _lease!.ServerId;
        if (server != own && !(own.IsAny && State == DhcpClientState.Rebooting))
        {
            // The own server is silent and another one denies the lease: it stands until it ends, but nobody vouches for it.
            if (State == DhcpClientState.Rebinding)
                _lease = _lease with { Verified = false };
            return DhcpDropReason.ForeignNak;
        }
        _effects.NakReceived(this, server, reply.Message.Options.GetText(DhcpOptionCode.Message));
        Refused(now);
        return DhcpDropReason.None;
    }

    private string? RefuseAddress(IPv4Address address, IPv4Address server, in DhcpReply reply) =>
        DhcpAddressRules.Refuse(address, reply.Message, server) ?? _effects.RefuseAddress(this, address, reply);

    private static string? OfferFault(DhcpDropReason reason) => reason switch
    {
        DhcpDropReason.NoServerId or DhcpDropReason.BadServerId => "no valid server identifier",
        DhcpDropReason.RogueServer => "the server is not allowed",
        DhcpDropReason.NoLeaseTime => "no lease time",
        _ => null,
    };

    private DhcpLease LeaseOf(in DhcpReply reply, IPv4Address server, IPv4Address address, uint leaseSeconds)
    {
        var options = reply.Message.Options;
        var same = _lease?.Address == address ? _lease : null;
        int prefixLength = options.Contains(DhcpOptionCode.SubnetMask) || same is null ? DhcpAddressRules.PrefixLength(options) : same.PrefixLength;
        var router = options.TryGetAddress(DhcpOptionCode.Router, out var first) ? first : same?.Router ?? IPv4Address.Any;
        string? hostname = options.GetText(DhcpOptionCode.HostName, same?.ServerHostname) ?? same?.ServerHostname;
        TimeSpan? t1 = null, t2 = null, expiresAt = null;
        if (leaseSeconds != DhcpLease.Infinite)
        {
            (t1, t2) = DhcpLeaseTimes.Renewal(options, leaseSeconds, _random.NextDouble());
            (t1, t2, expiresAt) = (_firstSentAt + t1, _firstSentAt + t2, _firstSentAt + TimeSpan.FromSeconds(leaseSeconds));
        }
        if (same is { Verified: true } && same.LeaseSeconds == leaseSeconds && same.ServerId == server && same.ServerMac == reply.SourceMac
            && same.PrefixLength == prefixLength && same.Router == router && ReferenceEquals(same.ServerHostname, hostname))
        {
            same.Extend(_firstSentAt, t1, t2, expiresAt);
            return same;
        }
        return new DhcpLease
        {
            Address = address,
            PrefixLength = prefixLength,
            Router = router,
            ServerId = server,
            ServerMac = reply.SourceMac,
            LeaseSeconds = leaseSeconds,
            ObtainedAt = _firstSentAt,
            T1 = t1,
            T2 = t2,
            ExpiresAt = expiresAt,
            ServerHostname = hostname,
            Verified = true,
        };
    }

    private DhcpLease LeaseOf(Offer offer) => new()
    {
        Address = offer.Address,
        ServerId = offer.Server,
        ServerMac = offer.ServerMac,
        LeaseSeconds = offer.LeaseSeconds,
        ObtainedAt = _firstSentAt,
    };

    private sealed record Offer(IPv4Address Server, IPv4Address Address, MacAddress ServerMac, uint LeaseSeconds);
}
