using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Who announces an address: every speaker works it out alone, from the same candidates, without state. The order is MetalLB's (speaker/layer2_controller.go): SHA-256 of
/// node name, '#', address, ascending, so that a fleet of both agrees.
/// </summary>
internal static class Election
{
    /// <summary>The candidates in order of preference; the first announces.</summary>
    public static IReadOnlyList<string> Order(IEnumerable<string> nodes, IPAddress address) =>
        [.. nodes
            .Select(node => (Node: node, Hash: SHA256.HashData(Encoding.UTF8.GetBytes($"{node}#{address}"))))
            .OrderBy(static candidate => candidate.Hash, ByteOrder.Instance)
            .Select(static candidate => candidate.Node)];

    private sealed class ByteOrder : IComparer<byte[]>
    {
        public static readonly ByteOrder Instance = new();

        public int Compare(byte[]? x, byte[]? y) => x.AsSpan().SequenceCompareTo(y);
    }
}
