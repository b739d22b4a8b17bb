namespace DynamicLb.AddressService.Leasing;

/// <summary>Paces what is sent: DHCP servers lose what exceeds their receive buffer, about 166 messages at once.</summary>
/// <param name="perSecond">Messages a second in the long run; 0 for no limit.</param>
/// <param name="burst">Messages at once after a pause.</param>
internal sealed class TokenBucket(double perSecond, int burst)
{
    private double _tokens = burst;
    private TimeSpan? _filledAt;

    public bool TryTake(TimeSpan now)
    {
        Fill(now);
        if (_tokens < 1)
            return false;
        _tokens--;
        return true;
    }

    /// <summary>When <see cref="TryTake"/> succeeds next.</summary>
    public TimeSpan NextAt(TimeSpan now)
    {
        Fill(now);
        // A microsecond late rather than early: rounding must not leave the caller asking in vain.
        return _tokens >= 1 ? now : now + TimeSpan.FromSeconds((1 - _tokens) / perSecond) + TimeSpan.FromMicroseconds(1);
    }

    /// <summary>Whether nothing was taken lately.</summary>
    public bool IsFull(TimeSpan now)
    {
        Fill(now);
        return _tokens >= burst;
    }

    private void Fill(TimeSpan now)
    {
        if (_filledAt is { } at && now > at)
            _tokens = Math.Min(burst, _tokens + ((now - at).TotalSeconds * perSecond));
        if (perSecond == 0)
            _tokens = Math.Max(1, burst);
        _filledAt = now;
    }
}
