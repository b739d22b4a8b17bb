namespace DynamicLb.Networking.Dhcp4;

public sealed partial class DhcpMessage
{
    // As many as a burst of answers brings; what exceeds it is left to the garbage collector.
    private static readonly DhcpMessage[] _free = new DhcpMessage[256];
    private static readonly Lock _freeLock = new();
    private static int _freeCount;
    private bool _isFree;

    /// <summary>An empty message, used before if there is one. Thread-safe.</summary>
    public static DhcpMessage Rent()
    {
        DhcpMessage? message = null;
        lock (_freeLock)
        {
            if (_freeCount > 0)
                message = _free[--_freeCount];
        }
        if (message is null)
            return new DhcpMessage();
        message._isFree = false;
        return message;
    }

    /// <summary>
    /// Gives the message up to be used again: nobody may know it any more. Never necessary; a message that is kept somewhere is simply not recycled.
    /// Thread-safe.
    /// </summary>
    public void Recycle()
    {
        lock (_freeLock)
        {
            if (_isFree || _freeCount == _free.Length)
                return;
            Clear();
            _isFree = true;
            _free[_freeCount++] = this;
        }
    }

    private void Clear()
    {
        IsReply = false;
        Hops = 0;
        TransactionId = 0;
        Seconds = 0;
        Broadcast = false;
        ClientAddress = default;
        YourAddress = default;
        NextServer = default;
        RelayAddress = default;
        HardwareAddress = default;
        Options.Clear();
    }
}
