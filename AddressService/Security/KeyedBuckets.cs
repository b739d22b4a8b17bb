using DynamicLb.AddressService.Leasing;

namespace DynamicLb.AddressService.Security;

/// <summary>A <see cref="TokenBucket"/> for each key, such as a caller; of so many at most, so that keys that others choose cannot fill the memory. Thread-safe.</summary>
/// <param name="perSecond">How often each may, in the long run.</param>
/// <param name="burst">How often at once after a pause.</param>
/// <param name="maxKeys">From so many keys on, further ones share a bucket.</param>
internal sealed class KeyedBuckets(double perSecond, int burst, int maxKeys = 4096)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, TokenBucket> _buckets = new(StringComparer.Ordinal);

    /// <summary>Takes one.</summary>
    /// <param name="key">Whose.</param>
    /// <param name="now">The time.</param>
    /// <param name="retryAfter">When it would succeed, otherwise.</param>
    public bool TryTake(string key, TimeSpan now, out TimeSpan retryAfter)
    {
        lock (_gate)
        {
            var bucket = Find(key, now);
            retryAfter = TimeSpan.Zero;
            if (bucket.TryTake(now))
                return true;
            retryAfter = bucket.NextAt(now) - now;
            return false;
        }
    }

    /// <summary>Whether one is left; takes none.</summary>
    public bool IsEmpty(string key, TimeSpan now, out TimeSpan retryAfter)
    {
        lock (_gate)
        {
            retryAfter = _buckets.TryGetValue(key, out var bucket) ? bucket.NextAt(now) - now : TimeSpan.Zero;
            return retryAfter > TimeSpan.Zero;
        }
    }

    private TokenBucket Find(string key, TimeSpan now)
    {
        if (_buckets.TryGetValue(key, out var bucket))
            return bucket;
        if (_buckets.Count >= maxKeys)
        {
            foreach (string idle in _buckets.Where(b => b.Value.IsFull(now)).Select(b => b.Key).ToList())
                _buckets.Remove(idle);
        }
        if (_buckets.Count >= maxKeys)
            key = "";
        if (!_buckets.TryGetValue(key, out bucket))
            _buckets[key] = bucket = new TokenBucket(perSecond, burst);
        return bucket;
    }
}
