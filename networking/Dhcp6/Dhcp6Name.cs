using System.Text;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>The client's name as option 39 carries it (RFC 4704 §4): flags, then labels.</summary>
internal static class Dhcp6Name
{
    // S: the server shall make the AAAA record.
    private const byte ServerUpdates = 1;

    /// <exception cref="ArgumentException">A label is empty, longer than 63 characters or has others than letters, digits and hyphens.</exception>
    public static ReadOnlyMemory<byte> Encode(string? name)
    {
        if (name is null)
            return default;
        var labels = name.Split('.');
        if (name.Length > 253 || labels.Any(label => label.Length is 0 or > 63 || !label.All(letter => char.IsAsciiLetterOrDigit(letter) || letter == '-')))
            throw new ArgumentException($"'{name}' is not a host name.", nameof(name));
        var bytes = new List<byte> { ServerUpdates };
        foreach (string label in labels)
        {
            bytes.Add((byte)label.Length);
            bytes.AddRange(Encoding.ASCII.GetBytes(label));
        }
        // Without the root's empty label the server completes the name.
        if (labels.Length > 1)
            bytes.Add(0);
        return bytes.ToArray();
    }
}
