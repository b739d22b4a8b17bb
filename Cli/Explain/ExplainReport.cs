using System.Globalization;
using System.Text;
using DynamicLb.Cli.Bgp;
using DynamicLb.Contracts.Explanations;

namespace DynamicLb.Cli.Explain;

/// <summary>An explanation for people.</summary>
internal static class ExplainReport
{
    public static string Write(ServiceExplanation explanation)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{explanation.Service}: {explanation.Verdict}\n\nAllocation (as the speaker of {explanation.Node} sees it)\n");
        if (explanation.Addresses.Count == 0)
            text.Append("  no address\n");
        foreach (var address in explanation.Addresses)
            text.Append(CultureInfo.InvariantCulture, $"  {address.Address} from {(explanation.Source is { } source ? PlainText.Of(source) : "a source that is not told")}\n");
        if (explanation.UnreadableEnd is { } unreadable)
            text.Append(CultureInfo.InvariantCulture, $"  lease: its end cannot be read, so that nothing is announced: '{PlainText.Of(unreadable)}'\n");
        else if (explanation.Addresses.Count > 0)
            text.Append(CultureInfo.InvariantCulture, $"  lease: {(explanation.ValidUntil is { } end ? $"until {Time(end)}" : "none, the address does not end")}\n");
        // What is announced by BGP alone has no election, and no neighbour asks for it.
        if (explanation.Bgp is null || explanation.Reason != "UnsupportedProtocol")
            WriteLayer2(text, explanation);
        if (explanation.Bgp is { } bgp)
            WriteBgp(text, explanation.Node, bgp);
        text.Append("\nEndpoints\n");
        if (explanation.Endpoints.Count == 0)
            text.Append("  none\n");
        Table(text, explanation.Endpoints.Select(static endpoint => (endpoint.IsUsable ? "+" : "-", endpoint.Address, endpoint.Node ?? "on no node")));
        return PlainText.Lines(text.ToString()).TrimEnd();
    }

    private static void WriteLayer2(StringBuilder text, ServiceExplanation explanation)
    {
        text.Append(CultureInfo.InvariantCulture, $"  L2Advertisements: {(explanation.Advertisements.Count == 0 ? "none" : string.Join(", ", explanation.Advertisements))}\n");

        text.Append("\nElection\n");
        Table(text, explanation.Nodes.Select(node => (node.Node == explanation.Owner ? "*" : node.IsCandidate ? "+" : "-", node.Node, node.Why)));
        text.Append(CultureInfo.InvariantCulture, $"  ServiceL2Status: {(explanation.Announcers.Count == 0 ? "nobody says that it announces" : string.Join(", ", explanation.Announcers))}\n");
        text.Append(CultureInfo.InvariantCulture, $"\nInterfaces of {explanation.Node}\n");
        Table(text, explanation.Interfaces.Select(static link => (link.IsUsed ? "+" : "-", $"{link.Name} {link.Mac}", link.Why)));

        text.Append(CultureInfo.InvariantCulture, $"\nNeighbours of {explanation.Node}\n");
        foreach (var address in explanation.Addresses)
        {
            text.Append(CultureInfo.InvariantCulture, $"  {address.Address}: ");
            text.Append(!address.IsAnswered ? $"not answered here{(address.Silence is { } silence ? $": {silence}" : "")}"
                : address.LastAsked is not { } asked ? "answered here, nobody has asked yet"
                : $"last asked {Time(asked)} by {address.LastAsker}, last answered {(address.LastAnswered is { } answered ? Time(answered) : "never")}");
            if (address.Mac is { } mac)
                text.Append(CultureInfo.InvariantCulture, $"; with the MAC of its lease, {mac}");
            if (address.Conflict is { } other)
                text.Append(CultureInfo.InvariantCulture, $"; {other} says that it has the address");
            text.Append('\n');
        }
    }

    private static void WriteBgp(StringBuilder text, string node, ExplainedBgp bgp)
    {
        text.Append(CultureInfo.InvariantCulture, $"\nBGP\n  BGPAdvertisements: {(bgp.Advertisements.Count == 0 ? "none" : string.Join(", ", bgp.Advertisements))}\n");
        Table(text, bgp.Nodes.Select(static item => (item.IsAnnouncer ? "+" : "-", item.Node, item.Why)));
        text.Append(CultureInfo.InvariantCulture, $"\nBGP peers of {node}\n");
        if (bgp.Peers.Count == 0)
            text.Append("  none\n");
        foreach (var peer in bgp.Peers)
        {
            if (peer.Session is { } session)
            {
                BgpReport.WriteSession(text, session, peer.IsTold);
                text.Append(CultureInfo.InvariantCulture, $"      {peer.Why}\n");
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $"  {(peer.IsTold ? "+" : "-")} {peer.Name}  {peer.Why}\n");
            }
            foreach (var route in peer.Routes)
            {
                string preference = route.LocalPref is { } localPref ? $", localPref {localPref}" : "";
                string communities = route.Communities.Count == 0 ? "" : $", communities {string.Join(' ', route.Communities)}";
                text.Append(CultureInfo.InvariantCulture, $"      {(route.IsTold ? "+" : "-")} {route.Prefix}{preference}{communities}\n");
            }
        }
    }

    private static void Table(StringBuilder text, IEnumerable<(string Sign, string What, string Why)> rows)
    {
        var all = rows.ToList();
        int width = all.Count == 0 ? 0 : all.Max(static row => row.What.Length);
        foreach (var (sign, what, why) in all)
            text.Append(CultureInfo.InvariantCulture, $"  {sign} {what.PadRight(width)}  {why}\n");
    }

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
