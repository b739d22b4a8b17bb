using DynamicLb.Lab;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>The table of docs/benchmarks.md: the rows of the benchmarks that ran are replaced, those of the others stay.</summary>
internal static class MeasuredTable
{
    private const string Begin = "<!-- measured -->";
    private const string End = "<!-- end -->";

    public static void Replace(IReadOnlyList<Measurement> measurements)
    {
        string path = Path.Combine(Repository.Root, "docs", "benchmarks.md");
        string text = File.ReadAllText(path);
        int begin = text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length;
        int end = text.IndexOf(End, StringComparison.Ordinal);
        var rows = text[begin..end].Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1)
            .GroupBy(line => line.Split('|')[1].Trim(), StringComparer.Ordinal).ToDictionary(rows => rows.Key, rows => rows.ToList(), StringComparer.Ordinal);
        foreach (var measured in measurements.GroupBy(m => m.Benchmark, StringComparer.Ordinal))
            rows[measured.Key] = [.. measured.Select(m => $"| {m.Benchmark} | {m.What} | {m.Value} | {m.Target} | {m.Verdict} |")];
        var lines = new[] { "| benchmark | measured | value | target | |", "|---|---|---|---|---|" }.Concat(rows.SelectMany(row => row.Value));
        File.WriteAllText(path, $"{text[..begin]}\n{string.Join('\n', lines)}\n{text[end..]}");
        Console.WriteLine($"recorded in {path}");
    }
}
