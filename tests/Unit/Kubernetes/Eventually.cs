namespace DynamicLb.Tests.Unit.Kubernetes;

/// <summary>Waits for what another thread is about to do.</summary>
internal static class Eventually
{
    /// <param name="condition">What is to become true.</param>
    /// <param name="meanwhile">What is done again and again while it is not.</param>
    public static async Task TrueAsync(Func<bool> condition, Action? meanwhile = null)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(60), "It did not happen within a minute.");
            meanwhile?.Invoke();
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, TestContext.Current.CancellationToken);
        }
    }
}
