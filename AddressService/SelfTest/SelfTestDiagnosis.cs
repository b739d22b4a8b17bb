using DynamicLb.Contracts.AddressServices;

namespace DynamicLb.AddressService.SelfTest;

/// <summary>What the outcomes of a self-test say about the network, in plain words. Pure.</summary>
internal static class SelfTestDiagnosis
{
    /// <summary>The likely cause of a mode's failure, seen beside the others; null where it works or was not tried.</summary>
    /// <param name="mode">One of <see cref="SelfTestModes"/>.</param>
    /// <param name="reports">What was tried, by mode.</param>
    public static string? Cause(string mode, IReadOnlyDictionary<string, SelfTestReport> reports)
    {
        var report = reports[mode];
        switch (report.Outcome)
        {
            case SelfTestOutcome.Works or SelfTestOutcome.NotTried or SelfTestOutcome.CannotSend:
                return null;
            case SelfTestOutcome.Refused:
                return "the server offers only addresses that are in use here or outside the configured cidrs";
            case SelfTestOutcome.NotConfirmed:
                return "another client was quicker, or the range has no address left: servers that do not reserve what they offer refuse it then";
            case SelfTestOutcome.IgnoresClientIds:
                return "the server ignores client identifiers and tells clients apart by MAC alone (udhcpd always; ISC dhcpd with ignore-client-uids, "
                    + "Kea with match-client-id false, dnsmasq with dhcp-ignore-clid)";
        }
        if (!reports.Values.Any(Answered))
            return "no DHCP server is heard at all: none on this link or VLAN, its range is exhausted (servers are silent then), or a filter drops DHCP between it and this host";
        bool nic = IsHeard(reports, SelfTestModes.Nic), chAddr = IsHeard(reports, SelfTestModes.ChAddr), clientId = IsHeard(reports, SelfTestModes.ClientId);
        return mode switch
        {
            SelfTestModes.ChAddr when nic || clientId =>
                "the port lets only the interface's own MAC through: port security or 802.1X on the switch, a virtual switch with forged transmits rejected "
                + "or without promiscuous mode or MAC learning, or wifi. With Kea, a switch that floods no unknown unicast does it, too",
            SelfTestModes.Nic when chAddr || clientId =>
                "the switch compares the MAC in the message with the frame's: DHCP snooping with MAC verification",
            SelfTestModes.Relay when nic || chAddr || clientId =>
                "the server serves no relay at this address (no subnet for it), is not reached on UDP port 67 (firewall, route), "
                + "or the port is untrusted for DHCP snooping, which drops what relays send",
            SelfTestModes.ClientId when nic || chAddr =>
                "the server does not serve this host's own MAC (denied, or known only under another client identifier), or its range has just run out",
            _ => "no server on this link, and no relay agent (IP helper) that passes broadcasts on; the server itself is there",
        };
    }

    /// <summary>What to do.</summary>
    /// <param name="configured">The mode in force.</param>
    /// <param name="reports">What was tried, by mode.</param>
    /// <param name="settings">The settings to choose; empty when no mode works.</param>
    public static IReadOnlyList<string> Advise(
        string configured, IReadOnlyDictionary<string, SelfTestReport> reports, out IReadOnlyDictionary<string, string> settings)
    {
        var advice = new List<string>();
        string? best = Is(reports, configured) ? configured : s_preference.FirstOrDefault(mode => Is(reports, mode));
        settings = best is null ? new Dictionary<string, string>(StringComparer.Ordinal) : Settings(best);
        if (best is null)
        {
            advice.Add(reports.Values.Any(Answered)
                ? "A server answers, but no way to lease works: see the causes."
                : "No way to lease works here: look for the server first, from another machine on the same port, then at the filters between.");
        }
        else if (best == configured)
        {
            advice.Add($"Nothing needs to change: {Describe(best)} works, and is what is configured.");
        }
        else
        {
            string how = string.Join(" and ", settings.Select(setting => $"{setting.Key}: {setting.Value}"));
            advice.Add($"Set {how}: {Describe(best)} works{(reports.ContainsKey(configured) ? $", {Describe(configured)}, as configured, does not" : "")}.");
        }
        if (best == SelfTestModes.ClientId)
            advice.Add("Leases then depend on client identifiers alone: the server must not be told to ignore them.");
        if (best == SelfTestModes.ChAddr)
            advice.Add("Switches bound the MACs of a port: set mac-budget to what the port may have.");
        if (reports.TryGetValue(SelfTestModes.Relay, out var relay) && relay.Outcome == SelfTestOutcome.NotTried && best is null)
            advice.Add("Where the network's administrators agree, transport: relay with relay-servers needs neither broadcasts nor MACs: nothing but UDP to the server.");
        return advice;
    }

    /// <summary>The settings of a mode.</summary>
    public static IReadOnlyDictionary<string, string> Settings(string mode) => new SortedDictionary<string, string>(StringComparer.Ordinal)
    {
        ["transport"] = mode == SelfTestModes.ClientId ? SelfTestModes.Nic : mode,
        ["identity"] = mode == SelfTestModes.ClientId ? "client-id" : "mac",
    };

    // With a MAC per service every server can tell services apart; the fewer foreign MACs the network sees, the better.
    private static readonly string[] s_preference = [SelfTestModes.Nic, SelfTestModes.Relay, SelfTestModes.ChAddr, SelfTestModes.ClientId];

    private static string Describe(string mode) => mode switch
    {
        SelfTestModes.Nic => "a MAC per service in frames of the interface's own MAC",
        SelfTestModes.ChAddr => "a MAC per service in frames of that MAC",
        SelfTestModes.ClientId => "one MAC with a client identifier per service",
        _ => "the relay",
    };

    private static bool Is(IReadOnlyDictionary<string, SelfTestReport> reports, string mode) =>
        reports.TryGetValue(mode, out var report) && report.Outcome == SelfTestOutcome.Works;

    private static bool IsHeard(IReadOnlyDictionary<string, SelfTestReport> reports, string mode) =>
        reports.TryGetValue(mode, out var report) && Answered(report);

    private static bool Answered(SelfTestReport report) => report.Outcome
        is SelfTestOutcome.Works or SelfTestOutcome.NotConfirmed or SelfTestOutcome.Refused or SelfTestOutcome.IgnoresClientIds;
}
