using System.Buffers.Binary;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp6;

/// <summary>A status option; <see cref="Dhcp6StatusCode.Success"/> when there was none.</summary>
/// <param name="Code">The code.</param>
/// <param name="Text">The server's words, printable ASCII and at most 128 characters; null without any.</param>
public readonly record struct Dhcp6Status(Dhcp6StatusCode Code, string? Text = null);

/// <summary>An address within an identity association (RFC 8415 §21.6). Lifetimes are in seconds; 0xffffffff is without end.</summary>
public readonly record struct Dhcp6Address(IPv6Address Address, uint Preferred, uint Valid, Dhcp6Status Status = default);

/// <summary>An identity association (RFC 8415 §21.4). T1 and T2 are in seconds; 0 leaves them to the client, 0xffffffff is never.</summary>
public sealed record Dhcp6Association(uint Iaid, uint T1, uint T2, IReadOnlyList<Dhcp6Address> Addresses, Dhcp6Status Status = default);

/// <summary>
/// A DHCPv6 message between client and server (RFC 8415 §8), reduced to what a client of addresses needs; other options are skipped, the obsolete
/// Server Unicast among them. Not thread-safe while it is being filled in.
/// </summary>
public sealed class Dhcp6Message
{
    private const int HeaderLength = 4;
    private const int OptionHeaderLength = 4;
    private const int MaximumStatusText = 128;

    /// <summary>What kind of message it is.</summary>
    public Dhcp6MessageType Type { get; set; }

    /// <summary>24 bits that lead from an answer to its question.</summary>
    public uint TransactionId { get; set; }

    /// <summary>Option 1; empty when missing.</summary>
    public Dhcp6Duid ClientId { get; set; }

    /// <summary>Option 2; empty when missing.</summary>
    public Dhcp6Duid ServerId { get; set; }

    /// <summary>Option 3, any number of times.</summary>
    public IReadOnlyList<Dhcp6Association> Associations { get; set; } = [];

    /// <summary>Option 6.</summary>
    public IReadOnlyList<Dhcp6OptionCode> RequestedOptions { get; set; } = [];

    /// <summary>Option 7; 0 when missing, as the standard has it.</summary>
    public byte Preference { get; set; }

    /// <summary>Option 8, in hundredths of a second.</summary>
    public ushort? ElapsedTime { get; set; }

    /// <summary>Option 13 of the message itself.</summary>
    public Dhcp6Status Status { get; set; }

    /// <summary>Option 14.</summary>
    public bool RapidCommit { get; set; }

    /// <summary>Option 39: flags and the name on the wire; empty when missing.</summary>
    public ReadOnlyMemory<byte> Fqdn { get; set; }

    /// <summary>Option 82, in seconds; null when missing.</summary>
    public uint? SolMaxRt { get; set; }

    /// <summary>Bytes that <see cref="Write"/> needs.</summary>
    public int EncodedLength
    {
        get
        {
            int length = HeaderLength + Sized(ClientId.Bytes.Length) + Sized(ServerId.Bytes.Length) + Sized(Fqdn.Length) + Sized(2 * RequestedOptions.Count);
            length += (ElapsedTime is null ? 0 : 6) + (Preference == 0 ? 0 : 5) + (RapidCommit ? 4 : 0) + (SolMaxRt is null ? 0 : 8) + LengthOf(Status);
            foreach (var association in Associations)
                length += OptionHeaderLength + LengthOf(association);
            return length;
        }
    }

    /// <summary>Reads the payload of a datagram. Every length is checked; what does not fit exactly makes the whole message unusable.</summary>
    /// <returns>Whether it could be read; otherwise <paramref name="reason"/> says why not. Never throws.</returns>
    public static bool TryParse(ReadOnlySpan<byte> source, out Dhcp6Message message, out Dhcp6DropReason reason)
    {
        message = new Dhcp6Message();
        reason = Dhcp6DropReason.TooShort;
        if (source.Length < HeaderLength)
            return false;
        message.Type = (Dhcp6MessageType)source[0];
        message.TransactionId = BinaryPrimitives.ReadUInt32BigEndian(source) & 0xff_ffff;
        reason = Dhcp6DropReason.MalformedOptions;
        List<Dhcp6Association>? associations = null;
        // Options 1 to 14 that may be there but once, as bits; the two higher ones by bits that are free.
        uint seen = 0;
        var rest = source[HeaderLength..];
        while (!rest.IsEmpty)
        {
            if (!TryTake(ref rest, out var code, out var value))
                return false;
            if (code == Dhcp6OptionCode.IaNa)
            {
                if (!TryParseAssociation(value, out var association))
                    return false;
                (associations ??= []).Add(association);
            }
            else if (!message.TryTakeOption(code, value, ref seen))
            {
                return false;
            }
        }
        message.Associations = associations ?? message.Associations;
        reason = Dhcp6DropReason.None;
        return true;
    }

    /// <summary>Writes the message.</summary>
    /// <returns>The number of bytes written, <see cref="EncodedLength"/>.</returns>
    /// <exception cref="ArgumentException">Too little room.</exception>
    public int Write(Span<byte> destination)
    {
        int length = EncodedLength;
        if (destination.Length < length)
            throw new ArgumentException($"The message needs {length} bytes, not {destination.Length}.", nameof(destination));
        BinaryPrimitives.WriteUInt32BigEndian(destination, ((uint)Type << 24) | (TransactionId & 0xff_ffff));
        var rest = destination[HeaderLength..];
        PutBytes(ref rest, Dhcp6OptionCode.ClientId, ClientId.Bytes);
        PutBytes(ref rest, Dhcp6OptionCode.ServerId, ServerId.Bytes);
        if (ElapsedTime is { } elapsed)
            BinaryPrimitives.WriteUInt16BigEndian(Put(ref rest, Dhcp6OptionCode.ElapsedTime, 2), elapsed);
        if (RequestedOptions.Count > 0)
        {
            var codes = Put(ref rest, Dhcp6OptionCode.OptionRequest, 2 * RequestedOptions.Count);
            for (int i = 0; i < RequestedOptions.Count; i++)
                BinaryPrimitives.WriteUInt16BigEndian(codes[(2 * i)..], (ushort)RequestedOptions[i]);
        }
        if (Preference != 0)
            Put(ref rest, Dhcp6OptionCode.Preference, 1)[0] = Preference;
        if (RapidCommit)
            Put(ref rest, Dhcp6OptionCode.RapidCommit, 0);
        PutStatus(ref rest, Status);
        foreach (var association in Associations)
            WriteAssociation(Put(ref rest, Dhcp6OptionCode.IaNa, LengthOf(association)), association);
        PutBytes(ref rest, Dhcp6OptionCode.Fqdn, Fqdn.Span);
        if (SolMaxRt is { } seconds)
            BinaryPrimitives.WriteUInt32BigEndian(Put(ref rest, Dhcp6OptionCode.SolMaxRt, 4), seconds);
        return length;
    }

    private bool TryTakeOption(Dhcp6OptionCode code, ReadOnlySpan<byte> value, ref uint seen)
    {
        int bit = code switch { Dhcp6OptionCode.Fqdn => 30, Dhcp6OptionCode.SolMaxRt => 31, <= Dhcp6OptionCode.RapidCommit => (int)code, _ => 0 };
        if (bit == 0)
            return true;
        if ((seen & (1u << bit)) != 0)
            return false;
        seen |= 1u << bit;
        switch (code)
        {
            case Dhcp6OptionCode.ClientId:
                bool hasClient = Dhcp6Duid.TryRead(value, out var client);
                ClientId = client;
                return hasClient;
            case Dhcp6OptionCode.ServerId:
                bool hasServer = Dhcp6Duid.TryRead(value, out var server);
                ServerId = server;
                return hasServer;
            case Dhcp6OptionCode.OptionRequest:
                if (value.Length % 2 != 0)
                    return false;
                var codes = new Dhcp6OptionCode[value.Length / 2];
                for (int i = 0; i < codes.Length; i++)
                    codes[i] = (Dhcp6OptionCode)BinaryPrimitives.ReadUInt16BigEndian(value[(2 * i)..]);
                RequestedOptions = codes;
                return true;
            case Dhcp6OptionCode.Preference:
                if (value.Length != 1)
                    return false;
                Preference = value[0];
                return true;
            case Dhcp6OptionCode.ElapsedTime:
                if (value.Length != 2)
                    return false;
                ElapsedTime = BinaryPrimitives.ReadUInt16BigEndian(value);
                return true;
            case Dhcp6OptionCode.StatusCode:
                bool hasStatus = TryParseStatus(value, out var status);
                Status = status;
                return hasStatus;
            case Dhcp6OptionCode.RapidCommit:
                RapidCommit = true;
                return value.IsEmpty;
            case Dhcp6OptionCode.Fqdn:
                Fqdn = value.ToArray();
                return true;
            case Dhcp6OptionCode.SolMaxRt:
                if (value.Length != 4)
                    return false;
                SolMaxRt = BinaryPrimitives.ReadUInt32BigEndian(value);
                return true;
            default:
                return true;
        }
    }

    private static bool TryParseAssociation(ReadOnlySpan<byte> value, out Dhcp6Association association)
    {
        association = null!;
        if (value.Length < 12)
            return false;
        var addresses = new List<Dhcp6Address>(1);
        Dhcp6Status status = default;
        var rest = value[12..];
        while (!rest.IsEmpty)
        {
            if (!TryTake(ref rest, out var code, out var inner))
                return false;
            if (code == Dhcp6OptionCode.StatusCode && !TryParseStatus(inner, out status))
                return false;
            if (code != Dhcp6OptionCode.IaAddress)
                continue;
            if (!TryParseAddress(inner, out var address))
                return false;
            addresses.Add(address);
        }
        association = new Dhcp6Association(
            BinaryPrimitives.ReadUInt32BigEndian(value), BinaryPrimitives.ReadUInt32BigEndian(value[4..]), BinaryPrimitives.ReadUInt32BigEndian(value[8..]),
            addresses, status);
        return true;
    }

    private static bool TryParseAddress(ReadOnlySpan<byte> value, out Dhcp6Address address)
    {
        address = default;
        if (value.Length < 24)
            return false;
        Dhcp6Status status = default;
        var rest = value[24..];
        while (!rest.IsEmpty)
        {
            if (!TryTake(ref rest, out var code, out var inner) || (code == Dhcp6OptionCode.StatusCode && !TryParseStatus(inner, out status)))
                return false;
        }
        address = new Dhcp6Address(
            IPv6Address.Read(value), BinaryPrimitives.ReadUInt32BigEndian(value[16..]), BinaryPrimitives.ReadUInt32BigEndian(value[20..]), status);
        return true;
    }

    private static bool TryParseStatus(ReadOnlySpan<byte> value, out Dhcp6Status status)
    {
        status = default;
        if (value.Length < 2)
            return false;
        var text = new StringBuilder();
        foreach (byte letter in value[2..][..Math.Min(value.Length - 2, MaximumStatusText)])
            text.Append(letter is >= 0x20 and < 0x7f ? (char)letter : '?');
        status = new Dhcp6Status((Dhcp6StatusCode)BinaryPrimitives.ReadUInt16BigEndian(value), text.Length == 0 ? null : text.ToString());
        return true;
    }

    internal static bool TryTake(ref ReadOnlySpan<byte> rest, out Dhcp6OptionCode code, out ReadOnlySpan<byte> value)
    {
        code = default;
        value = default;
        if (rest.Length < OptionHeaderLength)
            return false;
        int length = BinaryPrimitives.ReadUInt16BigEndian(rest[2..]);
        if (length > rest.Length - OptionHeaderLength)
            return false;
        code = (Dhcp6OptionCode)BinaryPrimitives.ReadUInt16BigEndian(rest);
        value = rest.Slice(OptionHeaderLength, length);
        rest = rest[(OptionHeaderLength + length)..];
        return true;
    }

    internal static Span<byte> Put(ref Span<byte> rest, Dhcp6OptionCode code, int length)
    {
        BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)code);
        BinaryPrimitives.WriteUInt16BigEndian(rest[2..], checked((ushort)length));
        var value = rest.Slice(OptionHeaderLength, length);
        rest = rest[(OptionHeaderLength + length)..];
        return value;
    }

    private static void PutBytes(ref Span<byte> rest, Dhcp6OptionCode code, ReadOnlySpan<byte> value)
    {
        if (!value.IsEmpty)
            value.CopyTo(Put(ref rest, code, value.Length));
    }

    private static void PutStatus(ref Span<byte> rest, Dhcp6Status status)
    {
        if (LengthOf(status) == 0)
            return;
        var value = Put(ref rest, Dhcp6OptionCode.StatusCode, LengthOf(status) - OptionHeaderLength);
        BinaryPrimitives.WriteUInt16BigEndian(value, (ushort)status.Code);
        Encoding.ASCII.GetBytes(status.Text ?? "", value[2..]);
    }

    private static void WriteAssociation(Span<byte> value, Dhcp6Association association)
    {
        BinaryPrimitives.WriteUInt32BigEndian(value, association.Iaid);
        BinaryPrimitives.WriteUInt32BigEndian(value[4..], association.T1);
        BinaryPrimitives.WriteUInt32BigEndian(value[8..], association.T2);
        var rest = value[12..];
        foreach (var address in association.Addresses)
        {
            var inner = Put(ref rest, Dhcp6OptionCode.IaAddress, 24 + LengthOf(address.Status));
            address.Address.Write(inner);
            BinaryPrimitives.WriteUInt32BigEndian(inner[16..], address.Preferred);
            BinaryPrimitives.WriteUInt32BigEndian(inner[20..], address.Valid);
            var status = inner[24..];
            PutStatus(ref status, address.Status);
        }
        PutStatus(ref rest, association.Status);
    }

    private static int Sized(int length) => length == 0 ? 0 : OptionHeaderLength + length;

    private static int LengthOf(Dhcp6Status status) =>
        status == default ? 0 : OptionHeaderLength + 2 + Encoding.ASCII.GetByteCount(status.Text ?? "");

    private static int LengthOf(Dhcp6Association association)
    {
        int length = 12 + LengthOf(association.Status);
        foreach (var address in association.Addresses)
            length += OptionHeaderLength + 24 + LengthOf(address.Status);
        return length;
    }
}
