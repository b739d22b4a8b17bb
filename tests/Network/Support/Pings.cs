using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Lab;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Network.Support;

/// <summary>A client that pings an address every 10 ms, with the system's own ping.</summary>
internal sealed partial class Pings
{
    /// <summary>The pause between two pings: no gap can be told that is shorter.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    private readonly string _file;

    private Pings(string file) => _file = file;

    public static async Task<Pings> StartAsync(SpeakerLab lab, string ip, CancellationToken cancellationToken, LabHost? from = null)
    {
        string log = $"ping{Guid.NewGuid():N}";
        lab.Network.Start(from ?? lab.Client, log, "ping", "-n", "-D", "-i", "0.01", ip);
        var pings = new Pings(Path.Combine(lab.Network.Folder, $"{log}.log"));
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(pings._file) && pings.Answers(default).Count > 10), TimeSpan.FromSeconds(10), $"{ip} to answer pings", cancellationToken);
        return pings;
    }

    /// <summary>The longest time without an answer since a moment; up to one <see cref="Interval"/> when none was lost.</summary>
    public TimeSpan LongestGap(DateTimeOffset since) => Gaps.Longest(Answers(since - TimeSpan.FromMilliseconds(100)));

    private List<DateTimeOffset> Answers(DateTimeOffset since)
    {
        using var reader = new StreamReader(new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var answers = new List<DateTimeOffset>();
        while (reader.ReadLine() is { } line)
        {
            if (Line().Match(line) is not { Success: true } match)
                continue;
            var at = DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(double.Parse(match.Groups["at"].Value, CultureInfo.InvariantCulture));
            if (at >= since)
                answers.Add(at);
        }
        return answers;
    }

    [GeneratedRegex(@"^\[(?<at>[0-9.]+)\] \d+ bytes from .* time=", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Line();
}
