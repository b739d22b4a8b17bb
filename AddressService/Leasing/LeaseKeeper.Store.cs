using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;

namespace DynamicLb.AddressService.Leasing;

/// <summary>
/// What waits for the store. A store may take writes and make them durable later (<see cref="ILeaseStore.IsPending"/>); until then nothing goes out that
/// must not be known before the record is: no REQUEST of an identity, no RELEASE of a tombstone, no answer about a lease. All else goes on: a DISCOVER
/// binds nothing, so the first round trip runs beside the first write.
/// </summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>Tells that a record is durable as it was written last: what waited for it goes on.</summary>
    public void Stored(LeaseRecord record)
    {
        var entry = _byService.TryGetValue(new LeaseKey(record.Service, record.Family), out var live) && live.Record.Id == record.Id
            ? live
            : _releasing.Find(e => e.Record.Id == record.Id);
        if (entry is null || entry.IsGone || _store.IsPending(record.Id))
            return;
        SendUnsent(entry);
        TellUntold(entry);
        CompleteIfLeased(entry);
        Reschedule(entry);
    }

    private void Send(LeaseEntry entry, DhcpMessage message, in DhcpDestination destination)
    {
        DropUnsent(entry);
        if (message.Type == DhcpMessageType.Request && !MayBind(entry))
        {
            entry.Unsent = new UnsentRequest(message, destination);
            return;
        }
        _metrics.Sent(MetricLabel.Of(message.Type));
        entry.Link.Wire.Send(message, destination);
    }

    private void Send(LeaseEntry entry, Dhcp6Message message)
    {
        DropUnsent(entry);
        if (message.Type == Dhcp6MessageType.Request && !MayBind(entry))
        {
            entry.Unsent6 = message;
            return;
        }
        _metrics.Sent(MetricLabel.Of(message.Type), LeaseFamily.IPv6);
        entry.Link.Wire6!.Send(message);
    }

    private void SendUnsent(LeaseEntry entry)
    {
        if (!MayBind(entry))
            return;
        // Sending takes it out.
        if (entry.Unsent is { } unsent)
        {
            entry.Unsent = null;
            Send(entry, unsent.Message, unsent.Destination);
        }
        if (entry.Unsent6 is { } unsent6)
            Send(entry, unsent6);
    }

    /// <summary>The client is past it, or has sent it anew.</summary>
    private static void DropUnsent(LeaseEntry entry)
    {
        entry.Unsent?.Message.Recycle();
        entry.Unsent = null;
        entry.Unsent6 = null;
    }

    /// <summary>Whether a server may be asked to bind an address to the identity: it must not have one that nobody knows of after a crash.</summary>
    private bool MayBind(LeaseEntry entry) => entry.Record.State != LeaseRecordState.Requesting || !_store.IsPending(entry.Record.Id);

    /// <summary>Whether all has to wait. Where a server may bind at the first message, that is a REQUEST.</summary>
    private bool IsHeld(LeaseEntry entry) => entry.Record.State switch
    {
        LeaseRecordState.Releasing => _store.IsPending(entry.Record.Id),
        LeaseRecordState.Requesting => entry.Record.Family == LeaseFamily.IPv6 && entry.Link.Settings6.RapidCommit && _store.IsPending(entry.Record.Id),
        _ => false,
    };

    private bool IsStored(LeaseEntry entry) => entry.SaveAgainAt is null && !_store.IsPending(entry.Record.Id);
}
