using System.Diagnostics;
using System.Text.Json;

namespace DynamicLb.Lab.Demo;

/// <summary>One line for each step, with its time.</summary>
internal sealed class StepLog
{
    private readonly List<(string Name, double Seconds)> _timings = [];
    private readonly List<(string Name, double Milliseconds)> _gaps = [];
    private string? _current;

    /// <summary>Runs a step; the line it prints is what <paramref name="step"/> says was observed.</summary>
    public async Task RunAsync(string name, Func<Task<string>> step)
    {
        _current = name;
        var watch = Stopwatch.StartNew();
        using var progress = new Timer(_ => Console.WriteLine($"         ... {name}: {watch.Elapsed.TotalSeconds:0} s"), null, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(5));
        var observed = await step();
        _timings.Add((name, watch.Elapsed.TotalSeconds));
        Console.WriteLine($"{watch.Elapsed.TotalSeconds,6:0.00} s  {observed}");
        _current = null;
    }

    /// <summary>A duration beside those of the steps, for the last line.</summary>
    public void Measured(string name, TimeSpan time) => _gaps.Add(($"{name}Milliseconds", time.TotalMilliseconds));

    /// <summary>Says which step failed.</summary>
    public void Failed(string why) => Console.WriteLine($"FAILED   {_current ?? "cleaning up"}: {why}");

    /// <summary>The last line of a check.</summary>
    public string ToJson(bool passed, DemoOptions options, TimeSpan total)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteBoolean("passed", passed);
            if (options.UsesBgp)
                json.WriteString("protocol", "bgp");
            else
                json.WriteString("dhcp", options.Dhcp);
            json.WriteString("kube", options.Kube.ToString().ToLowerInvariant());
            json.WriteString("config", options.UsesResources ? "resources" : "file");
            if (_current is not null)
            {
                json.WriteString("failed", _current);
            }

            foreach (var (name, milliseconds) in _gaps)
                json.WriteNumber(name, Math.Round(milliseconds));
            json.WriteNumber("totalSeconds", Math.Round(total.TotalSeconds, 2));
            json.WriteStartObject("steps");
            foreach (var (name, seconds) in _timings)
            {
                json.WriteNumber(name, Math.Round(seconds, 2));
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }
}
