using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>The client's name as option 39 carries it (RFC 4704 §4): flags, then labels.</summary>
internal static class Dhcp6Name
{
    // S: the server shall make the AAAA record.
    private const byte ServerUpdates = 1;

    /// <exception cref="ArgumentException">A label is empty, longer than 63 characters or has others than letters, digits and hyphens.</exception>
    public static ReadOnlyMemory<byte> Encode(string? name) => name is null ? default : (byte[])[ServerUpdates, .. DomainName.Encode(name)];
}
