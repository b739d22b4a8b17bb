using DynamicLb.Networking.Dhcp4;

namespace DynamicLb.AddressService.Leasing;

/// <summary>How many exchanges go on at once, and what happens when the link is back.</summary>
internal sealed partial class LeaseKeeper
{
    /// <summary>
    /// A server's socket buffer holds some 166 messages, and what exceeds it is lost: no new exchange begins while so many await their first answer.
    /// One that was repeated in vain does not count any more, so that a server that is silent to some holds nobody else up for longer than the
    /// first pause.
    /// </summary>
    internal const int MaxUnanswered = 64;

    private int _unanswered;

    /// <summary>The link is back: everything is verified or asked for again, paced, the lease that ends first before the others.</summary>
    public void LinkReturned()
    {
        var now = _clock.Now;
        foreach (var entry in _byService.Values.Concat(_releasing))
        {
            entry.Client.Hurry(now);
            Reschedule(entry);
        }
    }

    // What begins an exchange stands in a queue of its own: when it has to wait, repetitions and renewals go on.
    private readonly PriorityQueue<LeaseEntry, (int Class, TimeSpan Expiry)> _ready = new();
    private readonly PriorityQueue<LeaseEntry, (int Class, TimeSpan Expiry)> _starting = new();

    private bool MayStart => _starting.Count > 0 && _unanswered < MaxUnanswered;

    private bool HasReady => _ready.Count > 0 || MayStart;

    private void Enqueue(LeaseEntry entry)
    {
        entry.InReady = true;
        var lease = entry.Restored ?? entry.Client.Lease;
        var queue = entry.Pending is PendingStart.Acquire or PendingStart.Resume ? _starting : _ready;
        queue.Enqueue(entry, (lease is null ? 1 : 0, lease?.ExpiresAt ?? entry.StartedAt));
    }

    /// <summary>The most urgent one: leases before searches, the one that ends first before the others.</summary>
    private LeaseEntry DequeueReady()
    {
        bool start = MayStart && (!_ready.TryPeek(out _, out var ready) || (_starting.TryPeek(out _, out var starting) && starting.CompareTo(ready) < 0));
        var entry = (start ? _starting : _ready).Dequeue();
        entry.InReady = false;
        return entry;
    }

    private void CountUnanswered(LeaseEntry entry)
    {
        var client = entry.Client;
        bool counts = !entry.IsGone && !entry.IsReleasing && client.IsFirstTransmission
            && client.State is DhcpClientState.Selecting or DhcpClientState.Requesting or DhcpClientState.Rebooting;
        if (counts == entry.IsUnanswered)
            return;
        entry.IsUnanswered = counts;
        _unanswered += counts ? 1 : -1;
    }
}
