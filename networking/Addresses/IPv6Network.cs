using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace DynamicLb.Networking.Addresses;

/// <summary>An IPv6 network as a value: an address and a prefix length, such as <c>2001:db8::/64</c>. Immutable and thread-safe.</summary>
public readonly record struct IPv6Network
{
    /// <summary>Creates a network; bits of <paramref name="address"/> beyond the prefix are cleared.</summary>
    /// <param name="address">Any address inside the network.</param>
    /// <param name="prefixLength">0 to 128.</param>
    /// <exception cref="ArgumentOutOfRangeException">The prefix length is not 0 to 128.</exception>
    public IPv6Network(IPv6Address address, int prefixLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(prefixLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefixLength, 128);
        PrefixLength = prefixLength;
        Address = Masked(address, prefixLength);
    }

    /// <summary>The lowest address of the network.</summary>
    public IPv6Address Address { get; }

    /// <summary>Number of leading bits that all its addresses share, 0 to 128.</summary>
    public int PrefixLength { get; }

    /// <summary>Whether <paramref name="address"/> lies inside.</summary>
    public bool Contains(IPv6Address address) => Masked(address, PrefixLength) == Address;

    /// <summary>Parses <c>2001:db8::/64</c>, or a single address as <c>/128</c>. Bits beyond the prefix are refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IPv6Network network)
    {
        network = default;
        if (text is null)
            return false;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        int prefixLength = 128;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefixLength) || prefixLength > 128))
            return false;
        if (!IPv6Address.TryParse(slash < 0 ? text : text[..slash], out var address) || Masked(address, prefixLength) != address)
            return false;
        network = new IPv6Network(address, prefixLength);
        return true;
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not an IPv6 network.</exception>
    public static IPv6Network Parse(string text) =>
        TryParse(text, out var network) ? network : throw new FormatException($"'{text}' is not an IPv6 network.");

    /// <summary>Address and prefix length: <c>2001:db8::/64</c>.</summary>
    public override string ToString() => $"{Address}/{PrefixLength}";

    // A shift by 64 would be a shift by 0.
    private static IPv6Address Masked(IPv6Address address, int prefixLength) => prefixLength switch
    {
        0 => default,
        <= 64 => new(address.High & (ulong.MaxValue << (64 - prefixLength)), 0),
        _ => new(address.High, address.Low & (ulong.MaxValue << (128 - prefixLength))),
    };
}
