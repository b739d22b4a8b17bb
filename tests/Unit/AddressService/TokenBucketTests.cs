using DynamicLb.AddressService.Leasing;

namespace DynamicLb.Tests.Unit.AddressService;

public sealed class TokenBucketTests
{
    [Fact]
    public void Takes_a_burst_then_its_rate()
    {
        var bucket = new TokenBucket(perSecond: 10, burst: 2);
        var now = TimeSpan.FromSeconds(5);
        Assert.True(bucket.TryTake(now));
        Assert.True(bucket.TryTake(now));
        Assert.False(bucket.TryTake(now));
        var next = bucket.NextAt(now);
        Assert.InRange((next - now).TotalMilliseconds, 100, 101);
        Assert.True(bucket.TryTake(next));
        Assert.False(bucket.TryTake(next));
    }

    [Fact]
    public void Without_a_rate_it_never_runs_dry()
    {
        var bucket = new TokenBucket(perSecond: 0, burst: 1);
        var now = TimeSpan.FromSeconds(5);
        for (int i = 0; i < 1000; i++)
        {
            Assert.Equal(now, bucket.NextAt(now));
            Assert.True(bucket.TryTake(now));
        }
    }
}
