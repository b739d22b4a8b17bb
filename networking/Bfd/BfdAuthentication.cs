using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace DynamicLb.Networking.Bfd;

/// <summary>How packets are authenticated (RFC 5880 §4.2 to §4.4).</summary>
public enum BfdAuthenticationType : byte
{
    /// <summary>A password in clear text, of 1 to 16 bytes.</summary>
    SimplePassword = 1,

    /// <summary>MD5 over packet and key, of 1 to 16 bytes; the sequence number rises now and then.</summary>
    KeyedMd5 = 2,

    /// <summary>As <see cref="KeyedMd5"/>; the sequence number rises with each packet.</summary>
    MeticulousKeyedMd5 = 3,

    /// <summary>SHA-1 over packet and key, of 1 to 20 bytes; the sequence number rises now and then.</summary>
    KeyedSha1 = 4,

    /// <summary>As <see cref="KeyedSha1"/>; the sequence number rises with each packet.</summary>
    MeticulousKeyedSha1 = 5,
}

/// <summary>The authentication that both sides of a session agree on: type, key's number, and key. Immutable and thread-safe.</summary>
public sealed class BfdAuthentication
{
    internal const int MaxSectionLength = 28;
    private const int Md5SectionLength = 24;
    private const int Sha1SectionLength = 28;
    private const int PasswordHeader = 3;
    private const int DigestHeader = 8;
    private const int LongestMd5Key = 16;
    private const int LongestSha1Key = 20;

    private readonly byte[] _key;

    /// <param name="type">How.</param>
    /// <param name="keyId">The key's number.</param>
    /// <param name="key">The key, as UTF-8 text of 1 to 16 bytes, 1 to 20 for SHA-1.</param>
    /// <exception cref="ArgumentException">The type is unknown, or the key is empty or too long.</exception>
    public BfdAuthentication(BfdAuthenticationType type, byte keyId, string key)
    {
        if (!Enum.IsDefined(type))
            throw new ArgumentException("Unknown type of authentication.", nameof(type));
        int longest = type is BfdAuthenticationType.KeyedSha1 or BfdAuthenticationType.MeticulousKeyedSha1 ? LongestSha1Key : LongestMd5Key;
        byte[] bytes = Encoding.UTF8.GetBytes(key);
        if (bytes.Length is 0 || bytes.Length > longest)
            throw new ArgumentException($"The key must have 1 to {longest} bytes.", nameof(key));
        Type = type;
        KeyId = keyId;
        // Shorter keys are filled with zeros where the digest goes (§6.7.3, §6.7.4); a password is as long as it is.
        _key = type == BfdAuthenticationType.SimplePassword ? bytes : [.. bytes, .. new byte[longest - bytes.Length]];
    }

    /// <summary>How.</summary>
    public BfdAuthenticationType Type { get; }

    /// <summary>The key's number.</summary>
    public byte KeyId { get; }

    /// <summary>Whether packets bear a sequence number.</summary>
    public bool HasSequence => Type != BfdAuthenticationType.SimplePassword;

    /// <summary>Whether each packet must have a higher sequence number than the one before.</summary>
    public bool IsMeticulous => Type is BfdAuthenticationType.MeticulousKeyedMd5 or BfdAuthenticationType.MeticulousKeyedSha1;

    private bool IsMd5 => Type is BfdAuthenticationType.KeyedMd5 or BfdAuthenticationType.MeticulousKeyedMd5;

    /// <summary>Adds the section to a packet whose mandatory section is written, and corrects its length field.</summary>
    /// <param name="packet">Room for <see cref="BfdPacket.MaxLength"/> bytes.</param>
    /// <param name="sequence">The sequence number, if there is one.</param>
    /// <returns>The packet's length.</returns>
    public int Write(Span<byte> packet, uint sequence)
    {
        var section = packet[BfdPacket.Length..];
        int length = Type == BfdAuthenticationType.SimplePassword ? PasswordHeader + _key.Length : DigestHeader + _key.Length;
        packet[3] = (byte)(BfdPacket.Length + length);
        section[0] = (byte)Type;
        section[1] = (byte)length;
        section[2] = KeyId;
        if (Type == BfdAuthenticationType.SimplePassword)
        {
            _key.CopyTo(section[PasswordHeader..]);
            return BfdPacket.Length + length;
        }
        section[3] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(section[4..], sequence);
        Span<byte> digest = stackalloc byte[_key.Length];
        Digest(packet[..(BfdPacket.Length + length)], digest);
        digest.CopyTo(section[DigestHeader..]);
        return BfdPacket.Length + length;
    }

    /// <summary>Whether a packet's section is of this type and key and fits. The sequence number is for the caller to judge.</summary>
    /// <param name="packet">The whole packet, as long as its length field says.</param>
    /// <param name="sequence">Its sequence number; 0 where there is none.</param>
    public bool Verify(ReadOnlySpan<byte> packet, out uint sequence)
    {
        sequence = 0;
        var section = packet[BfdPacket.Length..];
        if (section.Length < PasswordHeader || section[0] != (byte)Type || section[1] != section.Length || section[2] != KeyId)
            return false;
        if (Type == BfdAuthenticationType.SimplePassword)
            return CryptographicOperations.FixedTimeEquals(section[PasswordHeader..], _key);
        if (section.Length != (IsMd5 ? Md5SectionLength : Sha1SectionLength))
            return false;
        sequence = BinaryPrimitives.ReadUInt32BigEndian(section[4..]);
        Span<byte> digest = stackalloc byte[_key.Length];
        Digest(packet, digest);
        return CryptographicOperations.FixedTimeEquals(section[DigestHeader..], digest);
    }

    /// <summary>The digest over the packet with the key in the digest's place.</summary>
    private void Digest(ReadOnlySpan<byte> packet, Span<byte> digest)
    {
        Span<byte> covered = stackalloc byte[packet.Length];
        packet.CopyTo(covered);
        _key.CopyTo(covered[(BfdPacket.Length + DigestHeader)..]);
        // The protocol names these functions; there is no other to agree on (RFC 5880 §6.7).
        if (IsMd5)
            MD5.HashData(covered, digest);
        else
            SHA1.HashData(covered, digest);
    }
}
