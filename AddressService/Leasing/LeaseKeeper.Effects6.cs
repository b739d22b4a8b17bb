using DynamicLb.AddressService.Metrics;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>What the DHCPv6 clients tell, and what reaches them.</summary>
internal sealed partial class LeaseKeeper : IDhcp6ClientEffects
{
    private Dhcp6TransactionIds? _ids6;

    private Dhcp6TransactionIds Ids6 => _ids6 ??= new Dhcp6TransactionIds(_random);

    /// <summary>Hands a reply to the client that waits for it.</summary>
    public void Receive(LeaseLink link, Dhcp6Message message, IPv6Address source)
    {
        if (!Ids6.TryFind(message.TransactionId, out var client) || !_byClient.TryGetValue(client, out var entry) || entry.Link != link)
        {
            Dropped(Dhcp6DropReason.UnknownTransaction);
            return;
        }
        _metrics.Received(MetricLabel.Of(message.Type), LeaseFamily.IPv6);
        link.Answered(entry, _clock.Now);
        client.Receive(message, source, _clock.Now);
        Reschedule(entry);
    }

    /// <summary>Counts what was dropped before it reached a client.</summary>
    public void Dropped(Dhcp6DropReason reason) => _metrics.Dropped(MetricLabel.Of(reason));

    /// <summary>Another host uses an address that is being looked at.</summary>
    public void InUse(LeaseLink link, IPv6Address address, MacAddress host)
    {
        if (IsOurs(link, host) || !_byAddress.TryGetValue(address, out var entry) || entry.Link != link || entry.Client is not LeaseClient6 { Client: var client }
            || client.State != Dhcp6ClientState.Detecting)
            return;
        _avoided.Add(address, host, _clock.Now);
        Note(client, "declined", $"{address} declined: in use by {host}");
        entry.WasDeclined = true;
        Log.Declined(_logger, entry.Record.Service, address, "its DHCPv6 server", host.ToString());
        Tell(entry, LeaseEventType.Declined, entry.Record with { Address = address.ToString() }, $"in use by {host}");
        client.ReportConflict(address, _clock.Now);
        Reschedule(entry);
    }

    void IDhcp6ClientEffects.Send(Dhcp6Client client, Dhcp6Message message) => Send(_byClient[client], message);

    string? IDhcp6ClientEffects.RefuseAddress(Dhcp6Client client, IPv6Address address)
    {
        if (_byAddress.TryGetValue(address, out var other) && other.Client.Machine != client)
            return $"held by our own lease of {other.Record.Service}";
        if (client.State == Dhcp6ClientState.Soliciting && client.Attempt is { SolicitsSent: <= PassedOver } && _avoided.TryFind(address, _clock.Now, out var host))
            return $"in use by {host}";
        return _byClient[client].Link.RefuseAddress(address);
    }

    void IDhcp6ClientEffects.DetectDuplicate(Dhcp6Client client, IPv6Address address)
    {
        var entry = _byClient[client];
        Claim(entry, address);
        entry.Link.Wire6!.Detect(address);
    }

    // Told by the link already, with who it is.
    void IDhcp6ClientEffects.Conflict(Dhcp6Client client, IPv6Address address) => Unclaim(_byClient[client]);

    void IDhcp6ClientEffects.StateChanged(Dhcp6Client client, Dhcp6ClientState from, Dhcp6ClientState to)
    {
        var (before, after) = (LeaseClient6.Translate(from), LeaseClient6.Translate(to));
        if (before != after)
            StateChanged(client, before, after, client.Attempt?.Requested is { } requested ? requested : default(LeaseAddress?));
    }

    void IDhcp6ClientEffects.Bound(Dhcp6Client client, Dhcp6Lease lease) => Leased(client, lease, "bound");

    void IDhcp6ClientEffects.Renewed(Dhcp6Client client, Dhcp6Lease lease) => Leased(client, lease, "renewed");

    void IDhcp6ClientEffects.Recovered(Dhcp6Client client, Dhcp6Lease lease) => Leased(client, lease, "recovered");

    void IDhcp6ClientEffects.Changed(Dhcp6Client client, IPv6Address from, Dhcp6Lease lease)
    {
        Log.Changed(_logger, _byClient[client].Record.Service, from, lease.Address);
        Leased(client, lease, "changed", from.ToString());
    }

    void IDhcp6ClientEffects.Lost(Dhcp6Client client, Dhcp6Lease lease, Dhcp6LossReason reason) =>
        Lost(client, lease, reason == Dhcp6LossReason.Expired ? DhcpLossReason.Expired : DhcpLossReason.Refused);

    void IDhcp6ClientEffects.Released(Dhcp6Client client, Dhcp6Lease? lease) => Released(client);

    void IDhcp6ClientEffects.ReplyDropped(Dhcp6Client client, Dhcp6DropReason reason, string? detail)
    {
        Dropped(reason);
        if (detail is not null && _byClient.TryGetValue(client, out var entry))
            entry.LastError = $"an answer was refused: {detail}";
    }
}
