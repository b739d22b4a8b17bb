using System.Globalization;
using System.Text.RegularExpressions;
using DynamicLb.Lab;

namespace DynamicLb.Tests.Network.Support;

/// <summary>An ARP packet that somebody sent for an address.</summary>
/// <param name="At">When.</param>
/// <param name="Node">The node that sent it.</param>
/// <param name="IsGratuitous">Whether it went to all, unasked.</param>
internal sealed record SeenArp(DateTimeOffset At, string Node, bool IsGratuitous);

/// <summary>tcpdump's text.</summary>
internal sealed partial class ArpCapture(string file, IReadOnlyDictionary<string, string> macs)
{
    /// <summary>What the nodes said about an address, in order.</summary>
    public IReadOnlyList<SeenArp> Of(string ip) => Of(ip, DateTimeOffset.MinValue);

    /// <summary>What the nodes said about an address after a moment, in order.</summary>
    public IReadOnlyList<SeenArp> Of(string ip, DateTimeOffset since)
    {
        var seen = new List<SeenArp>();
        foreach (string line in File.ReadAllLines(file))
        {
            var match = Line().Match(line);
            if (!match.Success || !macs.TryGetValue(match.Groups["source"].Value, out var node))
                continue;
            bool reply = line.Contains($"Reply {ip} is-at", StringComparison.Ordinal);
            bool announcement = line.Contains($"who-has {ip}", StringComparison.Ordinal) && line.Contains($"tell {ip}", StringComparison.Ordinal)
                || line.Contains($"Announcement {ip}", StringComparison.Ordinal);
            if (reply || announcement)
            {
                var at = DateTimeOffset.UnixEpoch + TimeSpan.FromSeconds(double.Parse(match.Groups["at"].Value, CultureInfo.InvariantCulture));
                if (at <= since)
                    continue;
                seen.Add(new SeenArp(
                    at, node,
                    announcement || match.Groups["destination"].Value is "ff:ff:ff:ff:ff:ff" or "Broadcast"));
            }
        }
        return seen;
    }

    /// <summary>Waits until another node than before tells the LAN that it has an address: when it did.</summary>
    public async Task<DateTimeOffset> FirstClaimAsync(SpeakerLab lab, string ip, string before, DateTimeOffset since) => (await Wait.ForAsync(
        () => Task.FromResult(Of(ip, since).FirstOrDefault(arp => arp.IsGratuitous && arp.Node != before)), TimeSpan.FromSeconds(60),
        () => $"a gratuitous ARP of another node than {before} for {ip}\n{lab.Logs()}", TestContext.Current.CancellationToken)).At;

    [GeneratedRegex("^(?<at>[0-9.]+) (?<source>[0-9a-f:]{17}) > (?<destination>[0-9a-fA-Z:a-z]+),", RegexOptions.ExplicitCapture)]
    private static partial Regex Line();
}
