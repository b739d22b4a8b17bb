using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Which node announces an address. The same function as MetalLB's (SHA-256 of <c>node#address</c>, lowest first), so that the addresses of a
/// cluster stay where they are when it changes over.
/// </summary>
internal static class Election
{
    /// <summary>The winner among the nodes, whatever their order; null when there is none.</summary>
    public static string? Winner(IEnumerable<string> nodes, IPv4Address address)
    {
        string? winner = null;
        Span<byte> best = stackalloc byte[SHA256.HashSizeInBytes];
        Span<byte> score = stackalloc byte[SHA256.HashSizeInBytes];
        foreach (var node in nodes)
        {
            SHA256.HashData(Encoding.UTF8.GetBytes($"{node}#{address}"), score);
            if (winner is null || score.SequenceCompareTo(best) < 0)
            {
                winner = node;
                score.CopyTo(best);
            }
        }
        return winner;
    }
}
