namespace DynamicLb.AddressService.Metrics;

/// <summary>Names of enumerations as labels, in lower case, made once: messages are counted by them.</summary>
internal static class MetricLabel
{
    /// <summary>The label of a value.</summary>
    public static string Of<T>(T value)
        where T : struct, Enum =>
        Names<T>.All.TryGetValue(value, out string? name) ? name : "other";

    private static class Names<T>
        where T : struct, Enum
    {
        public static readonly Dictionary<T, string> All = Enum.GetValues<T>().Distinct().ToDictionary(value => value, value => value.ToString().ToLowerInvariant());
    }
}
