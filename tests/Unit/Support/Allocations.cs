namespace DynamicLb.Tests.Unit.Support;

/// <summary>What code allocates once it runs as it will go on running.</summary>
internal static class Allocations
{
    /// <summary>
    /// Bytes that the least of five rounds allocates on this thread. The runtime has work of its own now and then, such as compiling better what is called often, on whatever thread calls
    /// it; what the code itself allocates, it allocates in each round.
    /// </summary>
    public static long LeastOf(Action round)
    {
        long least = long.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            round();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return least;
    }
}
