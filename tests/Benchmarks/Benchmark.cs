using System.Globalization;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>Something that is measured against a target.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="About">What it does, in one line.</param>
/// <param name="NeedsRoot">Whether it makes network namespaces.</param>
/// <param name="RunAsync">Does it and reports each number.</param>
internal sealed record Benchmark(string Name, string About, bool NeedsRoot, Func<Report, CancellationToken, Task> RunAsync);

/// <summary>One number.</summary>
/// <param name="Benchmark">Name of the benchmark.</param>
/// <param name="What">What was measured.</param>
/// <param name="Value">The number with its unit.</param>
/// <param name="Target">What it must be; null when there is no target.</param>
/// <param name="IsMet">Whether it is.</param>
internal sealed record Measurement(string Benchmark, string What, string Value, string? Target, bool IsMet)
{
    public string Verdict => Target is null ? "" : IsMet ? "ok" : "MISSED";
}

/// <summary>Takes the numbers of a run.</summary>
/// <param name="isShort">Fewer leases and less time, to see that the benchmarks work: times are shown, but not judged.</param>
internal sealed class Report(bool isShort)
{
    private readonly List<Measurement> _measurements = [];

    public bool IsShort => isShort;

    public IReadOnlyList<Measurement> Measurements => _measurements;

    /// <summary>The benchmark that is running.</summary>
    public string Current { get; set; } = "";

    /// <summary>A number without a target.</summary>
    public void Tell(string what, string value) => Add(new Measurement(Current, what, value, null, IsMet: true));

    /// <summary>A number that says whether the program does what it should.</summary>
    public void Require(string what, string value, string target, bool isMet) => Add(new Measurement(Current, what, value, target, isMet));

    /// <summary>A number that depends on the machine.</summary>
    public void Time(string what, string value, string target, bool isMet)
    {
        if (isShort)
            Tell(what, value);
        else
            Require(what, value, target, isMet);
    }

    public static string Number(double value, string format = "0.##") => value.ToString(format, CultureInfo.InvariantCulture);

    public static string Milliseconds(TimeSpan time) => $"{Number(time.TotalMilliseconds)} ms";

    private void Add(Measurement measurement)
    {
        _measurements.Add(measurement);
        string target = measurement.Target is null ? "" : $" (target {measurement.Target}: {measurement.Verdict})";
        Console.WriteLine($"MEASURED {measurement.Benchmark}: {measurement.What} {measurement.Value}{target}");
    }
}
