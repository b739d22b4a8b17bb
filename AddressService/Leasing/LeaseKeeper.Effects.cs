using DynamicLb.AddressService.Store;
using DynamicLb.Contracts.AddressServices;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>What the DHCP clients tell: it is stored first, then told on.</summary>
internal sealed partial class LeaseKeeper
{
    void IDhcpClientEffects.Send(DhcpClient client, DhcpMessage message, in DhcpDestination destination) => Send(_byClient[client], message, destination);

    string? IDhcpClientEffects.RefuseAddress(DhcpClient client, IPv4Address address, in DhcpReply reply) =>
        Refuse(_byClient[client], address) ?? RefuseAvoided(client, address);

    void IDhcpClientEffects.StateChanged(DhcpClient client, DhcpClientState from, DhcpClientState to) =>
        StateChanged(client, from, to, client.Attempt?.Requested is { } requested ? requested.Address : default(LeaseAddress?));

    private void StateChanged(object client, DhcpClientState from, DhcpClientState to, LeaseAddress? asked)
    {
        if (!_byClient.TryGetValue(client, out var entry))
            return;
        Log.StateChanged(_logger, entry.Record.Service, from, to);
        CountExchange(entry, to);
        if (to == DhcpClientState.Requesting && asked is { } address)
            Claim(entry, address);
        else if (from is DhcpClientState.Requesting or DhcpClientState.Probing && to is not (DhcpClientState.Bound or DhcpClientState.Probing) && !entry.IsReleasing && entry.Client.Lease is null)
            Unclaim(entry);
        if (from == DhcpClientState.Probing)
            EndProbing(entry);
        // Unanswered once is enough to be ready; the lease stands until it ends.
        if (from == DhcpClientState.Rebooting)
            Settle(entry);
    }

    void IDhcpClientEffects.Bound(DhcpClient client, DhcpLease lease) => Leased(client, lease, "bound");

    void IDhcpClientEffects.Recovered(DhcpClient client, DhcpLease lease) => Leased(client, lease, "recovered");

    void IDhcpClientEffects.Renewed(DhcpClient client, DhcpLease lease) => Leased(client, lease, "renewed");

    void IDhcpClientEffects.Changed(DhcpClient client, IPv4Address from, DhcpLease lease)
    {
        Log.Changed(_logger, _byClient[client].Record.Service, from, lease.Address);
        Leased(client, lease, "changed", from.ToString());
    }

    void IDhcpClientEffects.Suspect(DhcpClient client, DhcpLease lease)
    {
        Note(client, "suspect", $"the server refused {lease.Address}");
        var entry = _byClient[client];
        Tell(entry, LeaseEventType.Suspect, entry.Record, entry.LastError);
    }

    void IDhcpClientEffects.Lost(DhcpClient client, DhcpLease lease, DhcpLossReason reason) => Lost(client, lease, reason);

    private void Lost(object client, HeldLease lease, DhcpLossReason reason)
    {
        var entry = _byClient[client];
        string cause = reason == DhcpLossReason.Expired ? "nobody extended it in time" : "its server refused it";
        Note(client, "lost", $"{lease.Address} was lost: {cause}");
        Log.Lost(_logger, entry.Record.Service, lease.Address, reason);
        if (entry.Client.Lease is null)
        {
            Unclaim(entry);
            Save(entry, entry.Record with { State = LeaseRecordState.Lost });
            // There is nothing to keep any more.
            if (IsRetained(entry))
                entry.RetainUntil = _clock.Now;
        }
        Tell(entry, LeaseEventType.Lost, entry.Record, cause);
    }

    void IDhcpClientEffects.Released(DhcpClient client, DhcpLease? lease) => Released(client);

    private void Released(object client)
    {
        if (!_byClient.TryGetValue(client, out var entry) || !entry.IsReleasing)
            return;
        _metrics.Event("released");
        Log.Released(_logger, entry.Record.Service, entry.Record.Address ?? "no address", entry.Identity);
        Retire(entry);
        if (entry.Record.Address is null)
        {
            Forget(entry);
            Tell(entry, LeaseEventType.Released, entry.Record);
            return;
        }
        entry.ForgetAt = _clock.Now + RememberReleased;
        Save(entry, entry.Record with { State = LeaseRecordState.Released, ReleasedAt = _clock.UtcNow });
        Tell(entry, LeaseEventType.Released, entry.Record);
    }

    void IDhcpClientEffects.NakReceived(DhcpClient client, IPv4Address server, string? text)
    {
        Note(client, "nak", $"{server} answered NAK{(text is null ? "" : $": {text}")}");
        if (!_byClient.TryGetValue(client, out var entry))
            return;
        entry.WasRefused = true;
        entry.History.Nak(_clock.UtcNow, server.ToString(), entry.Record.Address, text);
        _servers.Nak(server.ToString(), _clock.UtcNow);
    }

    void IDhcpClientEffects.ReplyDropped(DhcpClient client, DhcpDropReason reason, string? detail, in DhcpReply reply)
    {
        Dropped(reason);
        if (detail is not null && _byClient.TryGetValue(client, out var entry))
            entry.LastError = $"{reply.Message.YourAddress} from {reply.Message.ServerId} refused: {detail}";
    }

    // Of a shorter one a second is much: a crash must not find it ended.
    private const int ShortLease = 60;
    private LeaseRecord? _latest;

    private void Leased(object client, HeldLease lease, string what, string? from = null)
    {
        var entry = _byClient[client];
        bool renewed = what == "renewed" && entry.Record.State == LeaseRecordState.Bound;
        _metrics.Event(what);
        Claim(entry, lease.Address);
        entry.AbandonAt = null;
        entry.LastError = null;
        Settle(entry);
        // The client moves the times of a lease in place, and makes another where more has changed.
        var record = lease.IsOne(entry.Recorded) ? LeaseRecords.Extended(entry.Record, lease, _clock) : LeaseRecords.With(entry.Record, lease, _clock, _latest);
        entry.Recorded = lease;
        _latest = record;
        var told = Note(entry, what, record, from: from);
        if (renewed && IsNotWorthSaving(entry.Record, record))
        {
            Tell(entry, told);
            return;
        }
        if (entry.Record.ObtainedAt is null)
            _metrics.Acquired(_clock.Now - entry.StartedAt);
        if (!renewed)
            Log.Leased(_logger, entry.Record.Service, lease.Address, entry.Identity, lease.Server, lease.Seconds);
        bool saved = Save(entry, record, later: renewed && lease.Seconds >= ShortLease && entry.Waiters.Count == 0);
        Tell(entry, told);
        if (saved)
            CompleteIfLeased(entry);
    }

    /// <summary>
    /// A plain renewal is written when the end moved by a tenth of the lease or by half a minute: on the clock that only runs forward, for the wall clock
    /// may have gone back since the last one.
    /// </summary>
    private static bool IsNotWorthSaving(LeaseRecord before, LeaseRecord after) =>
        before.ServerId == after.ServerId && before.LeaseSeconds == after.LeaseSeconds && after.ExpiresAt is not null
        && before.BootId == after.BootId && after.SentAtBoot - before.SentAtBoot < Math.Min(30, after.LeaseSeconds / 10.0);

    private void Note(object client, string what, string error)
    {
        _metrics.Event(what);
        if (_byClient.TryGetValue(client, out var entry))
        {
            entry.LastError = error;
            Log.Noted(_logger, entry.Record.Service, error);
        }
    }

    private void Claim(LeaseEntry entry, LeaseAddress address)
    {
        if (entry.Claimed == address)
            return;
        Unclaim(entry);
        entry.Claimed = address;
        entry.Conflict = null;
        _byAddress[address] = entry;
        entry.Link.Watch(address);
    }

    private void Unclaim(LeaseEntry entry)
    {
        if (entry.Claimed is { } held && _byAddress.TryGetValue(held, out var holder) && holder == entry)
        {
            _byAddress.Remove(held);
            entry.Link.Unwatch(held);
        }
        entry.Claimed = null;
    }
}
