using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Lab.Networks;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>What perfdhcp(8) says of a run.</summary>
/// <param name="Exchanges">Complete exchanges: DISCOVER, OFFER, REQUEST, ACK.</param>
/// <param name="Duration">How long they took.</param>
/// <param name="Offer">Mean time from DISCOVER to OFFER.</param>
/// <param name="Ack">Mean time from REQUEST to ACK.</param>
internal sealed record PerfdhcpResult(int Exchanges, TimeSpan Duration, TimeSpan Offer, TimeSpan Ack);

/// <summary>Kea's own load generator.</summary>
internal static partial class Perfdhcp
{
    private const int ExitWait = 50_000;
    private static int _runs;

    /// <summary>All clients at once; each repeats itself until it has its lease.</summary>
    public static async Task<PerfdhcpResult> AvalancheAsync(LabHost host, int clients, CancellationToken cancellationToken)
    {
        string output = await RunAsync(host, cancellationToken, "--scenario", "avalanche", "-R", Text(clients));
        return Read(output, TimeSpan.Parse(Provisioned().Match(output).Groups["time"].Value, CultureInfo.InvariantCulture));
    }

    /// <summary>At a rate; what is lost is not repeated.</summary>
    public static async Task<PerfdhcpResult> AtRateAsync(LabHost host, int exchanges, int perSecond, CancellationToken cancellationToken)
    {
        var watch = Stopwatch.StartNew();
        string output = await RunAsync(host, cancellationToken, "-R", "100000", "-n", Text(exchanges), "-r", Text(perSecond), "-W", Text(ExitWait));
        return Read(output, watch.Elapsed - TimeSpan.FromMicroseconds(ExitWait));
    }

    private static async Task<string> RunAsync(LabHost host, CancellationToken cancellationToken, params IReadOnlyList<string> arguments)
    {
        // Clients of its own in every run: an old one's renewal costs the server less. It ends with 3 when some exchanges were lost.
        string mac = $"mac=00:0c:{Interlocked.Increment(ref _runs):x2}:00:00:00";
        return await host.Namespace.RunAsync("sh", ["-c", "\"$@\" || test $? = 3", "sh", "perfdhcp", "-4", "-l", "eth0", "-b", mac, .. arguments, "all"], cancellationToken);
    }

    private static PerfdhcpResult Read(string output, TimeSpan duration)
    {
        var received = Received().Matches(output);
        var delays = Delay().Matches(output);
        // Where a server is asked more than it can do, no exchange may come to its end.
        if (received.Count == 2 && received[1].Groups["n"].Value == "0")
            return new PerfdhcpResult(0, duration, TimeSpan.Zero, TimeSpan.Zero);
        return received.Count == 2 && delays.Count == 2
            ? new PerfdhcpResult(int.Parse(received[1].Groups["n"].Value, CultureInfo.InvariantCulture), duration, Milliseconds(delays[0]), Milliseconds(delays[1]))
            : throw new InvalidOperationException($"perfdhcp printed something else: {output}");
    }

    private static TimeSpan Milliseconds(Match match) => TimeSpan.FromMilliseconds(double.Parse(match.Groups["ms"].Value, CultureInfo.InvariantCulture));

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex("It took (?<time>[0-9:.]+) to provision", RegexOptions.ExplicitCapture)]
    private static partial Regex Provisioned();

    [GeneratedRegex("received packets: (?<n>[0-9]+)", RegexOptions.ExplicitCapture)]
    private static partial Regex Received();

    [GeneratedRegex("avg delay: (?<ms>[0-9.]+) ms", RegexOptions.ExplicitCapture)]
    private static partial Regex Delay();
}
