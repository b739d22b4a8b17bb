namespace DynamicLb.Lab.Networks;

/// <summary>How long nobody answered, from the moments at which somebody did.</summary>
public static class Gaps
{
    /// <summary>The longest time between two answers; for ever when there are fewer than two.</summary>
    /// <param name="answers">When there was an answer, in any order.</param>
    public static TimeSpan Longest(IEnumerable<DateTimeOffset> answers)
    {
        var ordered = answers.Order().ToArray();
        return ordered.Zip(ordered.Skip(1)).Select(static pair => pair.Second - pair.First).DefaultIfEmpty(TimeSpan.MaxValue).Max();
    }
}
