namespace DynamicLb.Tests.Unit.Support;

/// <summary>Mutated messages, the same in each run. A short run, unless DYNAMICLB_FUZZ_MESSAGES says how many, such as 10000000.</summary>
internal static class Fuzzing
{
    /// <summary>How many messages there are to be.</summary>
    public static int Rounds { get; } = int.TryParse(Environment.GetEnvironmentVariable("DYNAMICLB_FUZZ_MESSAGES"), out int wanted) ? wanted : 200_000;

    /// <summary>Makes a message of another one: some bytes changed, sometimes cut or made longer.</summary>
    /// <param name="seed">The other one.</param>
    /// <param name="into">Room for it and 20 bytes more.</param>
    /// <param name="from">The first byte that may change; no fewer stay.</param>
    /// <param name="random">Chance.</param>
    /// <returns>How long it is.</returns>
    public static int Mutate(ReadOnlySpan<byte> seed, Span<byte> into, int from, Random random)
    {
        int length = random.Next(4) == 0 ? random.Next(from, seed.Length + 20) : seed.Length;
        into.Clear();
        seed.CopyTo(into);
        for (int change = random.Next(1, 5); change > 0; change--)
            into[random.Next(from, Math.Max(length, from + 1))] = (byte)random.Next(256);
        return length;
    }
}
