using System.Text;

namespace DynamicLb.Networking.Addresses;

/// <summary>Names of hosts as labels with their lengths before them (RFC 1035 §3.1), not compressed.</summary>
public static class DomainName
{
    /// <summary>Longest name, dots included.</summary>
    public const int MaximumLength = 253;

    /// <summary>Whether a text is a host name: labels of 1 to 63 letters, digits and hyphens, none at a label's ends, separated by dots.</summary>
    public static bool IsValid(string name) => name.Length <= MaximumLength && name.Split('.').All(static label =>
        label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-' && label.All(static c => char.IsAsciiLetterOrDigit(c) || c == '-'));

    /// <summary>The labels of a valid name. One of more than one label ends with the root's empty one; a single label is left for the server to complete.</summary>
    /// <exception cref="ArgumentException">It is no host name.</exception>
    public static byte[] Encode(string name)
    {
        if (!IsValid(name))
            throw new ArgumentException($"'{name}' is not a host name.", nameof(name));
        bool isComplete = name.Contains('.', StringComparison.Ordinal);
        var bytes = new byte[name.Length + (isComplete ? 2 : 1)];
        int at = 0;
        foreach (var label in name.Split('.'))
        {
            bytes[at++] = (byte)label.Length;
            at += Encoding.ASCII.GetBytes(label, bytes.AsSpan(at));
        }
        return bytes;
    }
}
