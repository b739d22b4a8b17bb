using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace DynamicLb.Networking.Addresses;

/// <summary>An IPv4 network as a value: an address and a prefix length, such as <c>10.20.0.0/24</c>. Immutable and thread-safe.</summary>
public readonly record struct IPv4Network
{
    /// <summary>Creates a network; bits of <paramref name="address"/> beyond the prefix are cleared.</summary>
    /// <param name="address">Any address inside the network.</param>
    /// <param name="prefixLength">0 to 32.</param>
    /// <exception cref="ArgumentOutOfRangeException">The prefix length is not 0 to 32.</exception>
    public IPv4Network(IPv4Address address, int prefixLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(prefixLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(prefixLength, 32);
        PrefixLength = prefixLength;
        Address = new IPv4Address(address.Value & MaskOf(prefixLength));
    }

    /// <summary>The lowest address of the network.</summary>
    public IPv4Address Address { get; }

    /// <summary>Number of leading bits that all its addresses share, 0 to 32.</summary>
    public int PrefixLength { get; }

    /// <summary>The network mask, such as 255.255.255.0.</summary>
    public IPv4Address Mask => new(MaskOf(PrefixLength));

    /// <summary>The highest address of the network: its broadcast address, where the prefix is shorter than 31 bits.</summary>
    public IPv4Address Last => new(Address.Value | ~MaskOf(PrefixLength));

    /// <summary>Whether <paramref name="address"/> lies inside.</summary>
    public bool Contains(IPv4Address address) => (address.Value & MaskOf(PrefixLength)) == Address.Value;

    /// <summary>Parses <c>10.20.0.0/24</c>, or a single address as <c>/32</c>. Bits beyond the prefix are refused.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out IPv4Network network)
    {
        network = default;
        if (text is null)
            return false;
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        int prefixLength = 32;
        if (slash >= 0 && (!int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out prefixLength) || prefixLength > 32))
            return false;
        if (!IPv4Address.TryParse(slash < 0 ? text : text[..slash], out var address) || (address.Value & ~MaskOf(prefixLength)) != 0)
            return false;
        network = new IPv4Network(address, prefixLength);
        return true;
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not an IPv4 network.</exception>
    public static IPv4Network Parse(string text) =>
        TryParse(text, out var network) ? network : throw new FormatException($"'{text}' is not an IPv4 network.");

    /// <summary>Address and prefix length: <c>10.20.0.0/24</c>.</summary>
    public override string ToString() => $"{Address}/{PrefixLength}";

    private static uint MaskOf(int prefixLength) => prefixLength == 0 ? 0 : uint.MaxValue << (32 - prefixLength);
}
