using System.Globalization;
using System.Text;
using DynamicLb.Contracts.Explanations;

namespace DynamicLb.Cli.Bgp;

/// <summary>BGP sessions for people.</summary>
internal static class BgpReport
{
    public static bool IsUp(ExplainedPeer peer) => peer.State == "Established";

    public static string Write(BgpExplanation explanation, bool routes)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{explanation.Node}: {(explanation.Peers.Count == 0 ? "no peers" : $"{explanation.Peers.Count(IsUp)} of {explanation.Peers.Count} sessions established")}\n");
        foreach (var peer in explanation.Peers)
            Write(text, peer, routes);
        return PlainText.Lines(text.ToString()).TrimEnd();
    }

    /// <summary>State and last error of a session.</summary>
    /// <param name="text">Where to.</param>
    /// <param name="peer">The session.</param>
    /// <param name="isGood">Whether what is asked about is well.</param>
    public static void WriteSession(StringBuilder text, ExplainedPeer peer, bool isGood)
    {
        string vrf = peer.Vrf is "" or "default" ? "" : $" in VRF {peer.Vrf}";
        text.Append(CultureInfo.InvariantCulture, $"  {(isGood ? "+" : "-")} {peer.Name}  {(peer.Peer.Length == 0 ? "no session" : peer.Peer)}{vrf}  {peer.State}");
        if (peer.Since is { } since)
            text.Append(CultureInfo.InvariantCulture, $" since {since.UtcDateTime:yyyy-MM-dd HH:mm:ss'Z'} from {peer.Local}");
        text.Append('\n');
        if (peer.LastError.Length > 0)
            text.Append(CultureInfo.InvariantCulture, $"      last error: {PlainText.Of(peer.LastError)}\n");
    }

    private static void Write(StringBuilder text, ExplainedPeer peer, bool routes)
    {
        WriteSession(text, peer, IsUp(peer));
        string pending = peer.Pending > 0 ? $", {peer.Pending} to be told" : "";
        string notCarried = peer.NotCarried > 0 ? $", {peer.NotCarried} of a family that the session does not carry" : "";
        text.Append(CultureInfo.InvariantCulture, $"      routes: {peer.Told} told{pending}{notCarried}\n");
        foreach (var bfd in peer.Bfd)
        {
            string echo = bfd.EchoMilliseconds > 0 ? $", echo every {bfd.EchoMilliseconds:0} ms" : "";
            text.Append(CultureInfo.InvariantCulture, $"      BFD: {bfd.State} ({bfd.Cause}), a packet every {bfd.TransmitMilliseconds:0} ms, down after {bfd.DetectionMilliseconds:0} ms of silence{echo}\n");
        }
        if (!routes)
            return;
        foreach (string route in peer.Routes)
            text.Append(CultureInfo.InvariantCulture, $"      {route}\n");
    }
}
