using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// What tells leases apart for a DHCP server: a MAC each, or one MAC for all and a client identifier each. Also what becomes of a lease when the server
/// does not tell them apart.
/// </summary>
internal sealed partial class LeaseKeeper
{
    // A server that lost its table may offer once what another lease of ours holds; one that does so again does not look at client identifiers.
    private const int ConfusedOffers = 2;

    /// <summary>Those that have a MAC of their own.</summary>
    private readonly Dictionary<MacAddress, LeaseEntry> _byMac = [];

    /// <summary>Those that share the interface's MAC, by client identifier in hexadecimal.</summary>
    private readonly Dictionary<string, LeaseEntry> _byClientId = new(StringComparer.Ordinal);

    private bool IsTaken(LeaseRecord record, MacAddress mac) => record.Family == LeaseFamily.IPv6 ? _byDuid.ContainsKey(DuidOf(record))
        : record.SharesMac ? _byClientId.ContainsKey(record.ClientId) : _byMac.ContainsKey(mac);

    private void Own(LeaseEntry entry)
    {
        if (entry.Record.Family == LeaseFamily.IPv6)
        {
            _byDuid[DuidOf(entry.Record)] = entry;
            return;
        }
        if (entry.Record.SharesMac)
        {
            _byClientId[entry.Record.ClientId] = entry;
            return;
        }
        _byMac[entry.Mac] = entry;
        entry.Link.Wire.Join(entry.Mac);
    }

    private void Disown(LeaseEntry entry)
    {
        if (entry.Record.Family == LeaseFamily.IPv6)
        {
            if (_byDuid.TryGetValue(DuidOf(entry.Record), out var six) && six == entry)
                _byDuid.Remove(DuidOf(entry.Record));
            return;
        }
        if (entry.Record.SharesMac)
        {
            if (_byClientId.TryGetValue(entry.Record.ClientId, out var holder) && holder == entry)
                _byClientId.Remove(entry.Record.ClientId);
            return;
        }
        if (_byMac.TryGetValue(entry.Mac, out var owner) && owner == entry && _byMac.Remove(entry.Mac))
            entry.Link.Wire.Leave(entry.Mac);
    }

    /// <summary>Decides under which identity a new lease is asked for; completes the call when there is none.</summary>
    /// <returns>A record with the identity in it, or null.</returns>
    private LeaseRecord? ChooseIdentity(LeaseRecord record, LeaseLink link, AcquireWaiter waiter)
    {
        string? uid = record.Uid is null || _options.MacFromName ? null : record.Uid;
        if (record.Family == LeaseFamily.IPv6)
            return record with { Duid = ChooseDuid(record.Service, uid).ToString(), Iaid = 1 };
        if (link.Options.Identity == IdentityMode.ClientId)
        {
            var own = link.HardwareAddress();
            if (own == MacAddress.Zero)
            {
                waiter.Complete(Failed(AcquireKind.Unavailable, $"interface: {link.Name} is not there, and leases on it bear its MAC (identity: client-id)"));
                return null;
            }
            string clientId;
            int attempt = 0;
            do
                clientId = Convert.ToHexStringLower(_generator.DeriveClientId(record.Service, uid, attempt++).Span);
            while (_byClientId.ContainsKey(clientId));
            return record with { Mac = own.ToString(), ClientId = clientId, SharesMac = true };
        }
        if (link.Options.MacBudget is { } budget && _byMac.Values.Count(e => e.Link == link) >= budget)
        {
            waiter.Complete(Failed(AcquireKind.Unavailable, $"mac-budget: {link.Name} has all {budget} MACs in use that it may have"));
            return null;
        }
        if (ChooseMac(uid ?? record.Service, out bool fromPool) is not { } mac)
        {
            waiter.Complete(Failed(AcquireKind.Unavailable, _options.MacSource == MacSource.Pool
                ? $"no MAC left: all {_macs.Count} of the pool are in use; add some by POST /v1/mac" : "no MAC left under the configured prefix"));
            return null;
        }
        return record with
        {
            Mac = mac.ToString(),
            MacFromPool = fromPool,
            ClientId = link.Options.SendClientId ? Convert.ToHexStringLower(DhcpClientIdentity.HardwareClientId(mac).Span) : "",
        };
    }

    /// <summary>Why an address is not to be taken, or null. Takes note of servers that confound those who share a MAC.</summary>
    private string? Refuse(LeaseEntry entry, IPv4Address address)
    {
        var now = _clock.Now;
        var other = _byAddress.TryGetValue(address, out var holder) && holder != entry ? holder : null;
        if (entry.Record.SharesMac && (other is null ? entry.Link.IsOwnAddress(address) : other.Mac == entry.Mac && other.LeaseAt(now)?.Address == (LeaseAddress)address))
        {
            entry.ConfusedOffers++;
            return $"server ignores client identifiers: {(other is null ? "the host has the address under its MAC" : $"it gave the address to {other.Record.Service}")}";
        }
        return other is not null ? $"held by our own lease of {other.Record.Service}" : entry.Link.RefuseAddress(address);
    }

    /// <summary>Ends the search of a service that no address can be leased for. No server has granted it anything, so there is nothing to give back.</summary>
    /// <returns>Whether it ended.</returns>
    private bool EndIfConfused(LeaseEntry entry)
    {
        if (entry.ConfusedOffers < ConfusedOffers || entry.IsGone || entry.Record.State != LeaseRecordState.Requesting || entry.Client.State != DhcpClientState.Selecting)
            return false;
        string cause = $"{entry.LastError ?? "server ignores client identifiers"}; identity: client-id does not work with it";
        Log.Confused(_logger, entry.Record.Service, cause);
        _metrics.Event("confused");
        (entry.Client as LeaseClient4)?.Client.Abandon();
        Forget(entry);
        Tell(entry, LeaseEventType.Released, entry.Record, cause);
        entry.Complete(Failed(AcquireKind.BadServer, cause));
        return true;
    }
}
