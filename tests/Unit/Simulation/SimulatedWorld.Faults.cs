using DynamicLb.AddressService.Leasing;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>What goes wrong, and who calls.</summary>
internal sealed partial class SimulatedWorld
{
    private static readonly IPv4Address Rogue = IPv4Address.Parse("10.66.0.1");
    private static readonly IPv4Address Poison = IPv4Address.Parse("10.66.0.99");
    private static readonly IPv6Address Poison6 = IPv6Address.Parse("fd66::99");

    private readonly SortedDictionary<string, (string? Uid, int Generation)> _wanted = new(StringComparer.Ordinal);
    private readonly SortedSet<string> _unwanted = new(StringComparer.Ordinal);
    private readonly List<(string Service, AcquireWaiter Waiter)> _calls = [];
    private TimeSpan Between => _lease / 8;

    private void BeginFaults()
    {
        Repeat(() => Between, Act);
        Repeat(() => Between * 6, Break);
        Repeat(() => Period, Reconcile);
        Repeat(() => _lease / 2, () => _servers[Below(_servers.Count)].Squat(_now));
        Repeat(() => _lease * 60, () =>
        {
            if (_hosts.Count > 0)
                _hosts.Remove(_hosts.Keys.First());
        });
    }

    private TimeSpan Period => _lease / 10 > TimeSpan.FromSeconds(30) ? _lease / 10 : TimeSpan.FromSeconds(30);

    private TimeSpan Outage() => Below(4) switch { 0 => TimeSpan.FromSeconds(5), 1 => _lease * 0.2, 2 => _lease * 0.7, _ => _lease * 1.5 };

    private void Repeat(Func<TimeSpan> mean, Action action)
    {
        void Again()
        {
            if (_isCalm)
                return;
            action();
            In((mean() * (2 * Uniform())) + TimeSpan.FromMilliseconds(1), Again);
        }
        In(mean() * Uniform(), Again);
    }

    private void Act()
    {
        string service = $"ns/s{Below(_count):00}";
        switch (Below(10))
        {
            case 0:
                Delete(service);
                break;
            case 1 when _wanted.TryGetValue(service, out var before):
                // Deleted and made again before anybody noticed: another UID.
                _wanted[service] = ($"uid-{service}-{before.Generation + 1}", before.Generation + 1);
                _released.Add(service);
                _told.Remove(service);
                Post(service);
                break;
            case 2:
                Want(service);
                // The caller hangs up.
                In(TimeSpan.FromMilliseconds(Below(5000)), () => Guarded(k => _calls.Where(c => c.Service == service).Take(1).ToList().ForEach(c => k.GiveUp(c.Service, c.Waiter, FamilyOf(c.Service)))));
                break;
            case 3:
                Delete(service);
                Want(service);
                break;
            case 4:
                Guarded(k => k.LinkReturned(k.Links[0]));
                break;
            default:
                Want(service);
                break;
        }
    }

    private void Break()
    {
        var server = _servers[Below(_servers.Count)];
        switch (Below(9))
        {
            case 0 or 1:
                Trace($"{server.Name} down");
                server.IsUp = false;
                In(Outage(), () => server.IsUp = true);
                break;
            case 2:
                Trace($"{server.Name} forgets all");
                foreach (var (_, address, until) in server.Active(_now))
                    _disowned[address] = until;
                server.Wipe();
                break;
            case 3:
                Trace("suspend");
                _isSuspended = true;
                In(Outage(), () =>
                {
                    _isSuspended = false;
                    Guarded(_ => { });
                });
                break;
            case 4 when !_reboots:
                _wallOffset += TimeSpan.FromHours(48 * (Uniform() - 0.5));
                Trace($"wall clock jumps to {UtcNow}");
                break;
            case 5:
                double before = _loss;
                _loss = 1;
                Trace("link down");
                In(Outage(), () =>
                {
                    _loss = _isCalm ? 0 : before == 1 ? 0.1 : before;
                    Guarded(k => k.LinkReturned(k.Links[0]));
                });
                break;
            case 6:
                if (_keeper is not null)
                    Die();
                break;
            case 7:
                server.LeaseSeconds = (uint)(_lease.TotalSeconds * (0.5 + (Uniform() * 0.5)));
                break;
            default:
                server.EvictStrangers(_now);
                break;
        }
    }

    /// <summary>A reply that must not count, whatever state the client is in.</summary>
    private void Forge(DhcpMessage request)
    {
        var server = (SimulatedServer4)_servers[0];
        DhcpMessage forged;
        switch (Below(7))
        {
            case 0:
                forged = server.Reply(request, DhcpMessageType.Ack, Poison);
                forged = With(forged, xid: forged.TransactionId ^ 1);
                break;
            case 1:
                forged = With(server.Reply(request, DhcpMessageType.Ack, Poison), chaddr: new MacAddress(request.HardwareAddress.Value ^ 1));
                break;
            case 2 when _options.Interface.SendClientId:
                forged = server.Reply(request, request.Type == DhcpMessageType.Discover ? DhcpMessageType.Offer : DhcpMessageType.Ack, Poison);
                forged.Options.Set(DhcpOptionCode.ClientId, [1, 2, 3, 4, 5, 6, 7]);
                break;
            case 3:
                forged = server.Reply(request, DhcpMessageType.Nak, default);
                forged.Options.SetAddress(DhcpOptionCode.ServerId, Rogue);
                break;
            case 4:
                forged = With(server.Reply(request, DhcpMessageType.Ack, Poison), isReply: false);
                break;
            case 5 when request.Type == DhcpMessageType.Discover && _options.Interface.Cidrs.Count > 0:
                forged = server.Reply(request, DhcpMessageType.Offer, Poison);
                forged.Options.SetAddress(DhcpOptionCode.ServerId, Rogue);
                break;
            default:
                forged = server.Reply(request, request.Type == DhcpMessageType.Discover ? DhcpMessageType.Offer : DhcpMessageType.Ack, Poison);
                forged.Options.SetUInt32(DhcpOptionCode.LeaseTime, 0);
                break;
        }
        In(_delay * (Uniform() * Uniform()), () => Deliver(forged, server.Mac, server.Id));
    }

    private void Forge(Dhcp6Message request)
    {
        var server = _servers.OfType<SimulatedServer6>().First();
        var grants = request.Type == Dhcp6MessageType.Solicit ? Dhcp6MessageType.Advertise : Dhcp6MessageType.Reply;
        var forged = server.Reply(request, grants, Poison6);
        switch (Below(6))
        {
            case 0:
                forged.TransactionId ^= 1;
                break;
            case 1:
                forged.ClientId = server.Id;
                break;
            case 2:
                forged.ServerId = default;
                break;
            case 3:
                forged.Type = grants == Dhcp6MessageType.Reply ? Dhcp6MessageType.Advertise : Dhcp6MessageType.Reply;
                break;
            case 4:
                forged.Associations = [new Dhcp6Association(1, 500, 400, [new Dhcp6Address(Poison6, 600, 600)])];
                break;
            default:
                forged.Associations = [new Dhcp6Association(1, 0, 0, [new Dhcp6Address(Poison6, 601, 600)])];
                break;
        }
        In(_delay * (Uniform() * Uniform()), () => Deliver(forged, server.Address));
    }

    private static DhcpMessage With(DhcpMessage message, uint? xid = null, MacAddress? chaddr = null, bool isReply = true)
    {
        var copy = new DhcpMessage
        {
            IsReply = isReply,
            Type = message.Type,
            TransactionId = xid ?? message.TransactionId,
            YourAddress = message.YourAddress,
            HardwareAddress = chaddr ?? message.HardwareAddress,
        };
        copy.Options.SetAddress(DhcpOptionCode.ServerId, message.ServerId).SetUInt32(DhcpOptionCode.LeaseTime, 600);
        return copy;
    }

    /// <summary>What a controller does every now and then: asks again for what it has no answer to, deletes what was not confirmed.</summary>
    private void Reconcile()
    {
        foreach (string service in _unwanted.ToList())
            TryRelease(service);
        foreach (string service in _wanted.Keys.Where(s => !_told.ContainsKey(s) && !_calls.Any(c => c.Service == s)).ToList())
            Post(service);
    }

    private void Want(string service)
    {
        // A controller deletes first what it has not deleted yet.
        if (_unwanted.Contains(service) && !TryRelease(service))
            return;
        if (!_wanted.ContainsKey(service))
            _wanted[service] = (Chance(0.5) ? $"uid-{service}-{_order}" : null, 0);
        Post(service);
    }

    private void Post(string service)
    {
        var waiter = new AcquireWaiter();
        Trace($"POST {service}");
        _now += TimeSpan.FromTicks(10);
        if (_keeper is null || _isSuspended)
            return;
        _calls.Add((service, waiter));
        Guarded(keeper => keeper.Acquire(new AcquireCall(service, _wanted[service].Uid, Family: FamilyOf(service)), waiter));
        In(TimeSpan.FromSeconds(30), () => Guarded(keeper =>
        {
            if (_calls.RemoveAll(c => c.Waiter == waiter) == 0 || waiter.Task.IsCompleted)
                return;
            var outcome = keeper.GiveUp(service, waiter, FamilyOf(service));
            if (outcome.Kind == AcquireKind.Success)
                Told(service, outcome.Answer);
        }));
    }

    private void Delete(string service)
    {
        if (!_wanted.Remove(service))
            return;
        _unwanted.Add(service);
        _released.Add(service);
        _told.Remove(service);
        TryRelease(service);
    }

    private bool TryRelease(string service)
    {
        Trace($"DELETE {service}");
        ReleaseOutcome? outcome = null;
        Guarded(keeper => outcome = keeper.Release(null, service));
        bool done = _keeper is not null && outcome?.Kind is ReleaseKind.Success or ReleaseKind.NotFound
            && !(outcome.Kind == ReleaseKind.Success && outcome.Ids.Any(_store.IsPending));
        if (done)
            _unwanted.Remove(service);
        return done;
    }

    /// <summary>Each service has a lease of one family.</summary>
    private LeaseFamily FamilyOf(string service) => HasIPv6 && service[^1] % 2 == 1 ? LeaseFamily.IPv6 : LeaseFamily.IPv4;

    private void ForgetCalls() => _calls.Clear();

    private void CalmDown()
    {
        Trace("calm");
        _isCalm = true;
        _loss = _duplicates = _forgeries = _kills = 0;
        _delay = TimeSpan.FromMilliseconds(1);
        _store.PowerCuts = _store.Failures = 0;
        _isSuspended = false;
        foreach (var server in _servers)
        {
            server.IsUp = true;
            server.EvictStrangers(_now);
        }
        Start();
        void Again()
        {
            Reconcile();
            In(TimeSpan.FromSeconds(30), Again);
        }
        Again();
    }

    private void DeleteAll()
    {
        foreach (string service in _wanted.Keys.ToList())
            Delete(service);
    }
}
