using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>An OFFER that was not taken.</summary>
/// <param name="Server">Its option 54, or 0.0.0.0 without one.</param>
/// <param name="Address">The address offered.</param>
/// <param name="Reason">Why not, in a few words.</param>
public readonly record struct RefusedOffer(IPv4Address Server, IPv4Address Address, string Reason);

/// <summary>
/// What happened since a client began to look for an address: silence, too, must be explainable. Read it on the owner's loop.
/// </summary>
public sealed class DhcpAttempt
{
    private const int MaximumRefusals = 8;
    private List<RefusedOffer>? _refusals;

    internal DhcpAttempt(TimeSpan startedAt) => StartedAt = startedAt;

    /// <summary>When it began, on the owner's clock.</summary>
    public TimeSpan StartedAt { get; }

    /// <summary>DISCOVERs sent.</summary>
    public int DiscoversSent { get; internal set; }

    /// <summary>DISCOVERs sent since the last usable OFFER.</summary>
    public int UnansweredDiscovers { get; internal set; }

    /// <summary>Selecting REQUESTs sent.</summary>
    public int RequestsSent { get; internal set; }

    /// <summary>NAKs that counted.</summary>
    public int NaksReceived { get; internal set; }

    /// <summary>Addresses granted that another host uses.</summary>
    public int Declines { get; private set; }

    /// <summary>The OFFER requested last.</summary>
    public (IPv4Address Server, IPv4Address Address)? Requested { get; internal set; }

    /// <summary>OFFERs refused, each distinct one once, the first eight.</summary>
    public IReadOnlyList<RefusedOffer> Refusals => _refusals ?? (IReadOnlyList<RefusedOffer>)[];

    internal void Refuse(in RefusedOffer refusal)
    {
        _refusals ??= [];
        if (_refusals.Count < MaximumRefusals && !_refusals.Contains(refusal))
            _refusals.Add(refusal);
    }

    internal void Decline(DhcpLease lease, MacAddress host)
    {
        Declines++;
        Requested = null;
        Refuse(new RefusedOffer(lease.ServerId, lease.Address, $"in use by {DhcpClient.NameOf(host)}"));
    }

    /// <summary>Why there is no lease yet, in one line.</summary>
    public string Describe()
    {
        var text = new StringBuilder();
        if (Requested is { } requested)
        {
            text.Append($"{requested.Server} offered {requested.Address}, ");
            text.Append(NaksReceived > 0 ? $"then refused it ({Count(NaksReceived, "NAK")})" : $"but did not confirm it ({Count(RequestsSent, "REQUEST")})");
        }
        else if (Refusals.Count == 0)
        {
            text.Append($"no OFFER from any server ({Count(DiscoversSent, "DISCOVER")})");
        }
        for (int i = 0; i < _refusals?.Count; i++)
        {
            text.Append(i > 0 ? ", " : text.Length > 0 ? "; offers refused: " : "offers refused: ");
            text.Append($"{_refusals[i].Address} from {_refusals[i].Server} ({_refusals[i].Reason})");
        }
        return text.ToString();
    }

    private static string Count(int count, string noun) => count == 1 ? $"1 {noun}" : $"{count} {noun}s";
}
