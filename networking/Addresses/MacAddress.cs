using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace DynamicLb.Networking.Addresses;

/// <summary>A 48-bit IEEE 802 MAC address, kept in the low 48 bits with the first octet highest. Immutable and thread-safe.</summary>
public readonly record struct MacAddress : IComparable<MacAddress>
{
    /// <summary>Length on the wire, in bytes.</summary>
    public const int Length = 6;

    private readonly ulong _value;

    /// <summary>Creates an address from the low 48 bits of <paramref name="value"/>; the first octet is the most significant one.</summary>
    public MacAddress(ulong value) => _value = value & 0xffff_ffff_ffff;

    /// <summary>ff:ff:ff:ff:ff:ff.</summary>
    public static MacAddress Broadcast { get; } = new(0xffff_ffff_ffff);

    /// <summary>00:00:00:00:00:00.</summary>
    public static MacAddress Zero => default;

    /// <summary>The 48 bits as a number.</summary>
    public ulong Value => _value;

    /// <summary>Whether the I/G bit is set (IEEE 802): a group address, broadcast included, that no station may own.</summary>
    public bool IsMulticast => ((_value >> 40) & 1) != 0;

    /// <summary>Whether the U/L bit is set (IEEE 802): locally administered, as generated addresses are.</summary>
    public bool IsLocallyAdministered => ((_value >> 40) & 2) != 0;

    /// <summary>Reads the first six bytes of <paramref name="source"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than six bytes.</exception>
    public static MacAddress Read(ReadOnlySpan<byte> source) =>
        new(((ulong)BinaryPrimitives.ReadUInt16BigEndian(source) << 32) | BinaryPrimitives.ReadUInt32BigEndian(source[2..]));

    /// <summary>Writes six bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Room for fewer than six bytes.</exception>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(destination, (ushort)(_value >> 32));
        BinaryPrimitives.WriteUInt32BigEndian(destination[2..], (uint)_value);
    }

    /// <summary>
    /// Parses the usual spellings, upper or lower case: <c>02:4c:42:00:00:01</c>, <c>02-4C-42-00-00-01</c>, <c>02.4c.42.00.00.01</c>
    /// and Cisco's <c>024c.4200.0001</c>. One spelling at a time: mixed separators are refused.
    /// </summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out MacAddress address)
    {
        address = default;
        if (text is null)
            return false;
        int digits = text.Length switch { 17 => 2, 14 => 4, _ => 0 };
        if (digits == 0)
            return false;
        char separator = text[digits];
        if (digits == 4 ? separator != '.' : separator is not (':' or '-' or '.'))
            return false;

        ulong value = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (i % (digits + 1) == digits)
            {
                if (text[i] != separator)
                    return false;
                continue;
            }
            if (!char.IsAsciiHexDigit(text[i]))
                return false;
            value = (value << 4) | (uint)int.Parse(text.AsSpan(i, 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        }
        address = new MacAddress(value);
        return true;
    }

    /// <summary>Parses as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException">Not a MAC address.</exception>
    public static MacAddress Parse(string text) =>
        TryParse(text, out var address) ? address : throw new FormatException($"'{text}' is not a MAC address.");

    /// <inheritdoc/>
    public int CompareTo(MacAddress other) => _value.CompareTo(other._value);

    /// <summary>Whether the left address sorts before the right one, octet by octet.</summary>
    public static bool operator <(MacAddress left, MacAddress right) => left._value < right._value;

    /// <summary>Whether the left address sorts after the right one, octet by octet.</summary>
    public static bool operator >(MacAddress left, MacAddress right) => left._value > right._value;

    /// <summary>Whether the left address does not sort after the right one.</summary>
    public static bool operator <=(MacAddress left, MacAddress right) => left._value <= right._value;

    /// <summary>Whether the left address does not sort before the right one.</summary>
    public static bool operator >=(MacAddress left, MacAddress right) => left._value >= right._value;

    /// <summary>Lower-case, separated by colons: <c>02:4c:42:00:00:01</c>.</summary>
    public override string ToString() => string.Create(17, _value, static (span, value) =>
    {
        const string Hex = "0123456789abcdef";
        for (int i = 0; i < Length; i++)
        {
            int octet = (int)(value >> (40 - (8 * i))) & 0xff;
            span[i * 3] = Hex[octet >> 4];
            span[(i * 3) + 1] = Hex[octet & 15];
            if (i < Length - 1)
                span[(i * 3) + 2] = ':';
        }
    });
}
