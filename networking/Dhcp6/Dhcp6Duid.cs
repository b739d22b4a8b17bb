using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>A DHCP unique identifier (RFC 8415 §11): opaque but for its two-byte type. Immutable and thread-safe.</summary>
public readonly struct Dhcp6Duid : IEquatable<Dhcp6Duid>
{
    /// <summary>Longest identifier, in bytes: the type and 128 more.</summary>
    public const int MaximumLength = 130;

    private const int MinimumLength = 3;
    private const ushort TypeUuid = 4;
    private readonly byte[]? _bytes;

    private Dhcp6Duid(byte[] bytes) => _bytes = bytes;

    /// <summary>Whether there is none.</summary>
    public bool IsEmpty => _bytes is null;

    /// <summary>The bytes as they are sent.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <summary>A DUID-UUID (RFC 6355): type 4 and the sixteen bytes of the UUID in network order.</summary>
    public static Dhcp6Duid FromUuid(Guid uuid)
    {
        var bytes = new byte[18];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, TypeUuid);
        _ = uuid.TryWriteBytes(bytes.AsSpan(2), bigEndian: true, out _);
        return new Dhcp6Duid(bytes);
    }

    /// <summary>Copies an identifier of 3 to 130 bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out Dhcp6Duid duid)
    {
        duid = default;
        if (source.Length is < MinimumLength or > MaximumLength)
            return false;
        duid = new Dhcp6Duid(source.ToArray());
        return true;
    }

    /// <summary>Parses what <see cref="ToString"/> writes.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Dhcp6Duid duid)
    {
        duid = default;
        if (text is null || text.Length % 2 != 0 || text.Length > 2 * MaximumLength)
            return false;
        Span<byte> bytes = stackalloc byte[MaximumLength];
        return Convert.FromHexString(text, bytes, out _, out int written) == System.Buffers.OperationStatus.Done && TryRead(bytes[..written], out duid);
    }

    /// <inheritdoc/>
    public bool Equals(Dhcp6Duid other) => Bytes.SequenceEqual(other.Bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Dhcp6Duid other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.AddBytes(Bytes);
        return hash.ToHashCode();
    }

    /// <summary>Whether the bytes are the same.</summary>
    public static bool operator ==(Dhcp6Duid left, Dhcp6Duid right) => left.Equals(right);

    /// <summary>Whether the bytes differ.</summary>
    public static bool operator !=(Dhcp6Duid left, Dhcp6Duid right) => !left.Equals(right);

    /// <summary>Hexadecimal digits, lower case, without separators.</summary>
    public override string ToString() => Convert.ToHexStringLower(Bytes);
}
