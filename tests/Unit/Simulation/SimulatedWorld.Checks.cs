using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.Tests.Unit.Simulation;

/// <summary>What must hold after every step, and what at the end.</summary>
internal sealed partial class SimulatedWorld
{
    private static readonly TimeSpan Rounding = TimeSpan.FromMilliseconds(1);

    /// <summary>Until when a server granted an address to a client: the truth, whatever the server forgets.</summary>
    private readonly Dictionary<(string, string), TimeSpan> _grants = [];

    /// <summary>Addresses that a server forgot to have leased, until then.</summary>
    private readonly Dictionary<string, TimeSpan> _disowned = new(StringComparer.Ordinal);

    /// <summary>What the keeper held after the step before.</summary>
    private readonly Dictionary<string, Held> _held = new(StringComparer.Ordinal);

    /// <summary>What callers were told.</summary>
    private readonly SortedDictionary<string, (string Ip, string Id)> _told = new(StringComparer.Ordinal);

    /// <summary>Services released, and clients refused by their server, since the last look.</summary>
    private readonly HashSet<string> _released = new(StringComparer.Ordinal);
    private readonly HashSet<(string, string)> _refused = [];
    private readonly HashSet<string> _addresses = new(StringComparer.Ordinal);
    private readonly HashSet<string> _clients = new(StringComparer.Ordinal);
    private readonly HashSet<string> _renewed = new(StringComparer.Ordinal);
    private int _entitled;
    private int _entitled6;

    /// <param name="Who">MAC or DUID.</param>
    /// <param name="Address">The address.</param>
    /// <param name="Server">Identifier of the server.</param>
    /// <param name="Until">Its end.</param>
    private sealed record Held(string Who, string Address, string Server, TimeSpan Until);

    private void Require(bool condition, string what)
    {
        if (!condition)
            throw new InvalidOperationException($"{what}\n{Story}");
    }

    private void Check()
    {
        CheckCalls();
        if (_keeper is not { } keeper || _isSuspended)
        {
            _entitled = _entitled6 = 0;
            return;
        }
        _addresses.Clear();
        _clients.Clear();
        int macs = 0;
        var found = new Dictionary<string, Held>(StringComparer.Ordinal);
        foreach (var lease in keeper.Status().Allocations)
        {
            string who = lease.Duid ?? lease.Mac;
            Require(_clients.Add(who), $"two leases have the MAC or DUID {who}");
            if (lease.Duid is null && ++macs > 0)
                Require(_joined.Contains(lease.Mac), $"the wire does not listen to {lease.Mac}");
            if (lease.State is "releasing" or "suspect" || lease.Ip.Length == 0)
                continue;
            string address = lease.Ip;
            var until = lease.ValidUntil is { } end ? _now + (end - UtcNow) : TimeSpan.MaxValue;
            Require(until > _now, $"{lease.Service} uses {address} after its end");
            Require(_addresses.Add(address), $"two services have {address}");
            Require(_grants.TryGetValue((who, address), out var granted), $"{lease.Service} took {address}, which nobody granted it");
            Require(until <= granted + Rounding, $"{lease.Service} holds {address} until {until}, its server only until {granted}");
            Require(!_hosts.ContainsKey(address), $"{lease.Service} has {address}, which a host has that answers for it");
            foreach (var server in _servers)
            {
                Require(
                    server.HolderOf(address, _now) is not { } holder || holder == who || (_disowned.TryGetValue(address, out var forgotten) && forgotten > _now),
                    $"{address} of {lease.Service} belongs to {server.HolderOf(address, _now)}");
            }
            if (_wanted.TryGetValue(lease.Service, out var wanted) && wanted.Uid == lease.Uid)
                _renewed.Add(lease.Service);
            found[lease.Service] = new Held(who, address, lease.Server!, until);
        }
        Require(_joined.Count == macs, $"the wire listens to {_joined.Count} MACs, the leases have {macs}");
        foreach (var (service, before) in _held)
        {
            if (!found.TryGetValue(service, out var after) || after.Who != before.Who || after.Address != before.Address)
                CheckGone(service, before, after);
        }
        foreach (var (service, after) in found)
        {
            // A renewal clears what was said against the lease before.
            if (!_held.TryGetValue(service, out var before) || before != after)
                _refused.Remove((after.Who, after.Server));
            _held[service] = after;
        }
        // Whoever has its lease for the object that is wanted has nothing to lose any more.
        _released.ExceptWith(_renewed);
        _renewed.Clear();
        _entitled = found.Count;
        _entitled6 = HasIPv6 ? found.Keys.Count(service => FamilyOf(service) == LeaseFamily.IPv6) : 0;
    }

    /// <summary>A lease went that had not ended: somebody must have wanted that.</summary>
    private void CheckGone(string service, Held before, Held? after)
    {
        bool isRefused = _refused.Contains((before.Who, before.Server));
        var servers = _servers.Where(s => s.Family == FamilyOf(service)).ToList();
        if (before.Until > _now + Rounding)
        {
            Require(_released.Contains(service) || isRefused, $"{service} lost {before.Address} before its end at {before.Until}");
            _held.Remove(service);
        }
        // Whether it ended or was taken: its caller has to be told anew.
        _told.Remove(service);
        if (after is null)
            return;
        // It ended, or was refused; but as long as the only server still has it for us, we must get it back.
        Require(
            servers.Count > 1 || after.Who != before.Who || servers[0].HolderOf(before.Address, _now) != before.Who || isRefused,
            $"{service} has {after.Address} now, though the server still has {before.Address} for it");
    }

    private void CheckCalls()
    {
        for (int i = _calls.Count - 1; i >= 0; i--)
        {
            var (service, waiter) = _calls[i];
            if (!waiter.Task.IsCompleted)
                continue;
            _calls.RemoveAt(i);
            var outcome = waiter.Task.GetAwaiter().GetResult();
            if (outcome.Kind == AcquireKind.Success)
                Told(service, outcome.Answer);
        }
    }

    private void Told(string service, AcquireAddressAnswer answer)
    {
        Trace($"{service} is told {answer.Ip}");
        Require(
            _store.Records.Any(r => r.Service == service && r.Id.ToString() == answer.Id && r.State == LeaseRecordState.Bound && r.Address == answer.Ip),
            $"{service} was told {answer.Ip}, which the store does not hold");
        if (_wanted.ContainsKey(service))
            _told[service] = (answer.Ip, answer.Id!);
    }

    /// <summary>After a start: what callers were told is still there.</summary>
    private void CheckLoaded()
    {
        foreach (var (service, told) in _told.ToList())
        {
            if (!_held.TryGetValue(service, out var held) || _released.Contains(service) || _refused.Contains((held.Who, held.Server)))
                continue;
            var record = _store.Records.FirstOrDefault(r => r.Service == service && r.Id.ToString() == told.Id);
            Require(record is not null, $"{service} was told {told.Ip}, and the store lost it");
        }
        // What was renewed or bound and did not reach the store in time counts as the store has it.
        foreach (string service in _held.Keys.ToList())
        {
            var held = _held[service];
            var record = _store.Records.Where(r => r.Service == service && r.State == LeaseRecordState.Bound && (r.Duid ?? r.Mac) == held.Who).FirstOrDefault();
            if (record?.Address == held.Address && LeaseRecords.Restore(record, this)?.ExpiresAt is { } until)
                _held[service] = held with { Until = until + _bootedAt < held.Until ? until + _bootedAt : held.Until };
            else if (!(_told.TryGetValue(service, out var told) && told.Ip == held.Address))
                _held.Remove(service);
        }
    }

    private void CheckCalm()
    {
        var held = _keeper!.Status().Allocations;
        foreach (string service in _wanted.Keys)
            Require(held.Any(l => l.Service == service && l.State is "bound" or "renewing" && l.Verified), $"{service} has no lease though all is calm");
        Require(held.Count == _wanted.Count, $"{held.Count} leases for {_wanted.Count} services");
        var owners = _servers.SelectMany(s => s.Active(_now)).Where(l => !SimulatedServer.IsStranger(l.Holder)).ToList();
        Require(owners.Count == _wanted.Count, $"the servers have {owners.Count} leases of ours for {_wanted.Count} services");
        foreach (var lease in held)
            Require(owners.Any(o => o.Holder == (lease.Duid ?? lease.Mac) && o.Address == lease.Ip), $"no server has {lease.Ip} for {lease.Service}");
    }

    private void CheckReleased()
    {
        var ours = _servers.SelectMany(s => s.Active(_now)).Where(l => !SimulatedServer.IsStranger(l.Holder)).ToList();
        Require(ours.Count == 0, $"{ours.Count} leases were left at the servers");
        var left = _keeper!.Status();
        Require(left.Allocations.Count == 0, $"{left.Allocations.Count} leases are left");
        Require(_joined.Count == 0, "the wire still listens to a MAC");
        Require(left.AvailableMacs.Count == _options.Macs.Count, $"{_options.Macs.Count - left.AvailableMacs.Count} MACs of the pool were lost");
    }

    private void CheckForgotten() => Require(!_store.Records.Any(), $"the store still remembers {string.Join(", ", _store.Records.Select(r => $"{r.Service} {r.State} {r.Address} {r.CreatedAt} {r.ReleasedAt}"))} at {UtcNow}");
}
