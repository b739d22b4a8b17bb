using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Speaker.Layer2;

/// <summary>
/// Who announces an address: every speaker works it out alone, from the same candidates, without state. The order is MetalLB's (speaker/layer2_controller.go): SHA-256 of
/// node name, '#', address, ascending, so that a fleet of both agrees.
/// </summary>
internal static class Election
{
    /// <summary>The candidates in order of preference; the first announces.</summary>
    public static IReadOnlyList<string> Order(IEnumerable<string> nodes, IPAddress address)
    {
        string text = Text(address);
        return [.. nodes.Select(node => (Node: node, Hash: Hash(node, text))).OrderBy(static candidate => candidate.Hash).Select(static candidate => candidate.Node)];
    }

    /// <summary>The candidate that announces; null without candidates.</summary>
    public static string? Winner(IEnumerable<string> nodes, IPAddress address)
    {
        string text = Text(address);
        string? winner = null;
        (UInt128, UInt128) lowest = default;
        foreach (string node in nodes)
        {
            var hash = Hash(node, text);
            if (winner is null || hash.CompareTo(lowest) < 0)
                (winner, lowest) = (node, hash);
        }
        return winner;
    }

    // Go's form, which is that of RFC 5952; the base class library writes some IPv6 addresses otherwise.
    private static string Text(IPAddress address) => HostAddress.TryFrom(address, out var host) ? host.ToString() : address.ToString();

    private static (UInt128 High, UInt128 Low) Hash(string node, string address)
    {
        // A node's name has at most 253 characters, an address 45.
        Span<byte> text = stackalloc byte[Encoding.UTF8.GetMaxByteCount(node.Length + 1 + address.Length)];
        int length = Encoding.UTF8.GetBytes(node, text);
        text[length++] = (byte)'#';
        length += Encoding.UTF8.GetBytes(address, text[length..]);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text[..length], hash);
        return (BinaryPrimitives.ReadUInt128BigEndian(hash), BinaryPrimitives.ReadUInt128BigEndian(hash[16..]));
    }
}
