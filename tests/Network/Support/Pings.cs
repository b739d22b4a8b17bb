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
        await Wait.UntilAsync(() => Task.FromResult(File.Exists(pings._file) && pings.Answers(default).Count > 10), TimeSpan.FromSeconds(60), $"{ip} to answer pings", cancellationToken);
        return pings;
    }

    /// <summary>Waits until a ping is answered after a moment.</summary>
    public Task WaitForAnswerAsync(DateTimeOffset since, CancellationToken cancellationToken) =>
        Wait.UntilAsync(() => Task.FromResult(Answers(since).Count > 0), TimeSpan.FromSeconds(60), "a ping to be answered", cancellationToken);

    /// <summary>
    /// The longest time without an answer since a moment; up to one <see cref="Interval"/> when none was lost. Where no ping was lost between two answers, the pause between them is
    /// the client's own, which a busy machine holds up: there counts how long the answer took.
    /// </summary>
    public TimeSpan LongestGap(DateTimeOffset since)
    {
        var answers = Answers(since - TimeSpan.FromMilliseconds(100)).OrderBy(static answer => answer.At).ToList();
        return answers.Zip(answers.Skip(1), static (before, after) => (ushort)(before.Number + 1) == after.Number ? Longer(after.Took, Interval) : after.At - before.At)
            .DefaultIfEmpty(TimeSpan.MaxValue).Max();
    }

    private static TimeSpan Longer(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private List<Answer> Answers(DateTimeOffset since)
    {
        using var reader = new StreamReader(new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var answers = new List<Answer>();
        while (reader.ReadLine() is { } line)
        {
            if (Line().Match(line) is not { Success: true } match)
                continue;
            var at = DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(double.Parse(match.Groups["at"].Value, CultureInfo.InvariantCulture));
            if (at >= since)
                answers.Add(new Answer(
                    at, (ushort)int.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture),
                    TimeSpan.FromMilliseconds(double.Parse(match.Groups["took"].Value, CultureInfo.InvariantCulture))));
        }
        return answers;
    }

    [GeneratedRegex(@"^\[(?<at>[0-9.]+)\] \d+ bytes from .* icmp_seq=(?<number>[0-9]+) .*time=(?<took>[0-9.]+) ms", RegexOptions.ExplicitCapture)]
    private static partial Regex Line();

    /// <param name="At">When it came.</param>
    /// <param name="Number">Of the ping, in 16 bits.</param>
    /// <param name="Took">From the ping to its answer.</param>
    private readonly record struct Answer(DateTimeOffset At, ushort Number, TimeSpan Took);
}
