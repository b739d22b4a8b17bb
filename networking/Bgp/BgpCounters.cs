namespace DynamicLb.Networking.Bgp;

/// <summary>Messages of a session since the program began. Read by any thread.</summary>
public sealed class BgpCounters
{
    private readonly long[] _sent = new long[6];
    private readonly long[] _received = new long[6];
    private long _treatedAsWithdraw;

    /// <summary>Messages sent of a type.</summary>
    public long Sent(BgpMessageType type) => Interlocked.Read(ref _sent[(int)type]);

    /// <summary>Messages received of a type.</summary>
    public long Received(BgpMessageType type) => Interlocked.Read(ref _received[(int)type]);

    /// <summary>All messages sent.</summary>
    public long TotalSent => _sent.Sum();

    /// <summary>All messages received.</summary>
    public long TotalReceived => _received.Sum();

    /// <summary>UPDATEs received whose routes were taken for withdrawn (RFC 7606).</summary>
    public long TreatedAsWithdraw => Interlocked.Read(ref _treatedAsWithdraw);

    internal void CountSent(BgpMessageType type) => Interlocked.Increment(ref _sent[(int)type]);

    internal void CountReceived(BgpMessageType type) => Interlocked.Increment(ref _received[(int)type]);

    internal void CountFaulty() => Interlocked.Increment(ref _treatedAsWithdraw);
}
