using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>Addresses that other hosts use: found by ARP, or Neighbor Discovery, before a lease's first use, declined, and avoided for a while by all leases.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>
    /// DISCOVERs after which an avoided address is taken all the same, when nothing else was offered: the host may be gone, and a server that has forgotten
    /// the DECLINE moves on only when it hears another.
    /// </summary>
    private const int PassedOver = 2;

    // A host that goes on using the address sends something every few seconds.
    private static readonly TimeSpan ToldAgain = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan ToldOfAnother = TimeSpan.FromSeconds(10);

    private readonly AvoidList _avoided = new();
    private readonly Dictionary<IPv4Address, DhcpClient> _probing = [];

    /// <summary>A host on an interface has an address, or is about to. Our own hosts answer for what was leased before, and are no conflict.</summary>
    public void Heard(LeaseLink link, IPv4Address address, MacAddress host)
    {
        if (IsOurs(link, host))
            return;
        if (_probing.TryGetValue(address, out var client) && _byClient.TryGetValue(client, out var entry) && entry.Link == link && client.Conflict(address, host, _clock.Now))
            Reschedule(entry);
    }

    /// <summary>
    /// A host on an interface uses an address that one of our leases holds. It is told and counted, and no more: the address serves somebody, and to give
    /// it up would do what the other host has not done yet.
    /// </summary>
    public void Used(LeaseLink link, LeaseAddress address, MacAddress host)
    {
        var now = _clock.Now;
        if (IsOurs(link, host) || host == link.HardwareAddress()
            || !_byAddress.TryGetValue(address, out var entry) || entry.Link != link || entry.LeaseAt(now)?.Address != address)
            return;
        _metrics.Event("conflict");
        entry.LastError = $"{address} is used by {host}, too";
        if (entry.Conflict is { } told && now - told.At < (told.Host == host ? ToldAgain : ToldOfAnother))
            return;
        entry.Conflict = new ToldConflict(host, now);
        Log.Conflict(_logger, entry.Record.Service, address, host);
        Tell(entry, LeaseEventType.Conflict, entry.Record, $"used by {host}, too");
    }

    /// <summary>Whether a MAC is one of our leases', or a speaker's, which announces them.</summary>
    private bool IsOurs(LeaseLink link, MacAddress host) => _byMac.ContainsKey(host) || link.Options.SpeakerMacs.Contains(host);

    void IDhcpClientEffects.Probe(DhcpClient client, IPv4Address address)
    {
        if (!_byClient.TryGetValue(client, out var entry))
            return;
        entry.Probing = address;
        _probing[address] = client;
        _metrics.Probed();
        entry.Link.Wire.Probe(address);
    }

    void IDhcpClientEffects.Declined(DhcpClient client, DhcpLease lease, MacAddress host)
    {
        string user = DhcpClient.NameOf(host);
        string cause = $"{lease.Address} from {lease.ServerId} declined: in use by {user}";
        _avoided.Add(lease.Address, host, _clock.Now);
        Note(client, "declined", cause);
        if (!_byClient.TryGetValue(client, out var entry))
            return;
        entry.WasDeclined = true;
        if (client.Lease is null)
            Unclaim(entry);
        Log.Declined(_logger, entry.Record.Service, lease.Address, lease.ServerId.ToString(), user);
        Tell(entry, LeaseEventType.Declined, entry.Record with { Address = lease.Address.ToString(), ServerId = lease.ServerId.ToString() }, $"in use by {user}");
    }

    /// <summary>What to ask a server for: not an address that another host uses.</summary>
    private LeaseAddress? HintOf(LeaseEntry entry) =>
        entry.Hint is { } hint && _avoided.TryFind(hint, _clock.Now, out _) && entry.Hint != entry.Held ? null : entry.Hint;

    private string? RefuseAvoided(DhcpClient client, IPv4Address address) =>
        client.State == DhcpClientState.Selecting && client.Attempt is { UnansweredDiscovers: <= PassedOver } && _avoided.TryFind(address, _clock.Now, out var host)
            ? $"in use by {DhcpClient.NameOf(host)}" : null;

    private void EndProbing(LeaseEntry entry)
    {
        if (entry.Probing is { } address && _probing.TryGetValue(address, out var client) && client == entry.Client.Machine)
            _probing.Remove(address);
        entry.Probing = null;
    }
}
