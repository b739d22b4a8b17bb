using System.Buffers.Binary;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Dhcp4;

/// <summary>
/// The options of one DHCP message: code to bytes, in the order of first appearance. Options that appear more than once, or are continued in
/// <c>file</c> and <c>sname</c>, are already joined (RFC 3396); options of a fixed size that have another size are left out.
/// Codes nobody knows survive. Not thread-safe.
/// </summary>
public sealed class DhcpOptions
{
    private const int LongestKept = 2048;
    private byte[] _bytes = [];
    private int _used;
    private Entry[] _entries = [];
    private int _count;

    /// <summary>Number of options.</summary>
    public int Count => _count;

    /// <summary>The codes, in the order of first appearance.</summary>
    public IEnumerable<DhcpOptionCode> Codes
    {
        get
        {
            for (int i = 0; i < _count; i++)
                yield return _entries[i].Code;
        }
    }

    /// <summary>Whether the option is there, be it empty.</summary>
    public bool Contains(DhcpOptionCode code) => IndexOf(code) >= 0;

    /// <summary>The option's value; false when it is absent. The span is valid until the next change.</summary>
    public bool TryGet(DhcpOptionCode code, out ReadOnlySpan<byte> value)
    {
        int index = IndexOf(code);
        value = index < 0 ? default : _bytes.AsSpan(_entries[index].Offset, _entries[index].Length);
        return index >= 0;
    }

    /// <summary>A one-byte option; false when it is absent or has another size.</summary>
    public bool TryGetByte(DhcpOptionCode code, out byte value)
    {
        bool found = TryGet(code, out var bytes) && bytes.Length == 1;
        value = found ? bytes[0] : (byte)0;
        return found;
    }

    /// <summary>A four-byte number; false when it is absent or has another size.</summary>
    public bool TryGetUInt32(DhcpOptionCode code, out uint value)
    {
        bool found = TryGet(code, out var bytes) && bytes.Length == 4;
        value = found ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : 0;
        return found;
    }

    /// <summary>The first address of an option that holds one or more; false when it is absent or not a multiple of four bytes.</summary>
    public bool TryGetAddress(DhcpOptionCode code, out IPv4Address value)
    {
        bool found = TryGet(code, out var bytes) && bytes.Length >= 4 && bytes.Length % 4 == 0;
        value = found ? IPv4Address.Read(bytes) : default;
        return found;
    }

    /// <summary>Whether an option that lists addresses holds this one.</summary>
    public bool ContainsAddress(DhcpOptionCode code, IPv4Address address)
    {
        if (!TryGet(code, out var bytes))
            return false;
        for (; bytes.Length >= 4; bytes = bytes[4..])
        {
            if (IPv4Address.Read(bytes) == address)
                return true;
        }
        return false;
    }

    /// <summary>A text option without trailing NULs, safe to log: whatever is not printable ASCII becomes '?'. Null when absent or empty.</summary>
    public string? GetText(DhcpOptionCode code)
    {
        if (!TryGet(code, out var bytes))
            return null;
        bytes = bytes.TrimEnd((byte)0);
        return bytes.IsEmpty ? null : string.Create(bytes.Length, bytes, static (text, source) =>
        {
            for (int i = 0; i < text.Length; i++)
                text[i] = source[i] is >= 0x20 and < 0x7f ? (char)source[i] : '?';
        });
    }

    /// <summary>The same, but <paramref name="known"/> itself where that is the text.</summary>
    public string? GetText(DhcpOptionCode code, string? known) =>
        known is not null && TryGet(code, out var bytes) && Ascii.Equals(bytes.TrimEnd((byte)0), known) ? known : GetText(code);

    /// <summary>Sets an option, replacing what it was.</summary>
    public DhcpOptions Set(DhcpOptionCode code, ReadOnlySpan<byte> value)
    {
        EnsureRoom(value.Length);
        value.CopyTo(_bytes.AsSpan(_used));
        Put(code, value.Length);
        return this;
    }

    /// <summary>Sets a one-byte option.</summary>
    public DhcpOptions SetByte(DhcpOptionCode code, byte value) => Set(code, [value]);

    /// <summary>Sets a two-byte number, such as option 57.</summary>
    public DhcpOptions SetUInt16(DhcpOptionCode code, ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16BigEndian(bytes, value);
        return Set(code, bytes);
    }

    /// <summary>Sets a four-byte number, such as option 51.</summary>
    public DhcpOptions SetUInt32(DhcpOptionCode code, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return Set(code, bytes);
    }

    /// <summary>Sets an option that is one address.</summary>
    public DhcpOptions SetAddress(DhcpOptionCode code, IPv4Address value) => SetUInt32(code, value.Value);

    /// <summary>Sets a text option, in UTF-8, without a terminating NUL.</summary>
    public DhcpOptions SetText(DhcpOptionCode code, string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        EnsureRoom(length);
        Encoding.UTF8.GetBytes(value, _bytes.AsSpan(_used));
        Put(code, length);
        return this;
    }

    /// <summary>Bytes that <see cref="Write"/> will write, END included.</summary>
    internal int EncodedLength
    {
        get
        {
            int length = 1;
            for (int i = 0; i < _count; i++)
                length += _entries[i].Length + (2 * Math.Max(1, (_entries[i].Length + 254) / 255));
            return length;
        }
    }

    /// <summary>
    /// Writes all options and END: 53 first, 82 last (RFC 3046 §2.1), the others in the order they were set; a value above 255 bytes is split.
    /// </summary>
    /// <returns>Bytes written.</returns>
    internal int Write(Span<byte> destination)
    {
        int at = 0;
        WriteOne(destination, ref at, IndexOf(DhcpOptionCode.MessageType));
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Code is not (DhcpOptionCode.MessageType or DhcpOptionCode.RelayAgentInformation))
                WriteOne(destination, ref at, i);
        }
        WriteOne(destination, ref at, IndexOf(DhcpOptionCode.RelayAgentInformation));
        destination[at++] = (byte)DhcpOptionCode.End;
        return at;
    }

    /// <summary>Removes all options.</summary>
    internal void Clear()
    {
        (_used, _count) = (0, 0);
        // What a message without bounds has grown is not kept.
        if (_bytes.Length > LongestKept)
            _bytes = [];
    }

    /// <summary>
    /// Decodes the option field, then <c>file</c> and <c>sname</c> where option 52 says so, in this order (RFC 2131 §4.1, RFC 3396 §5), in place of
    /// what was there.
    /// </summary>
    /// <returns>False when an option ends outside its field: then none of the message can be trusted.</returns>
    internal bool TryDecode(ReadOnlySpan<byte> options, ReadOnlySpan<byte> file, ReadOnlySpan<byte> sname)
    {
        Clear();
        Span<int> lengths = stackalloc int[256];
        lengths.Clear();
        Span<byte> order = stackalloc byte[256];
        Span<bool> seen = stackalloc bool[256];
        seen.Clear();
        var measured = new Measure { Lengths = lengths, Order = order, Seen = seen };

        byte overload = 0;
        if (!measured.Add(options, ref overload))
            return false;
        byte ignored = 3;
        if ((overload & 1) != 0 && !measured.Add(file, ref ignored))
            return false;
        if ((overload & 2) != 0 && !measured.Add(sname, ref ignored))
            return false;

        EnsureRoom(measured.Total);
        if (_entries.Length < measured.Codes)
            _entries = new Entry[measured.Codes];
        _used = measured.Total;
        Span<int> cursors = stackalloc int[256];
        int offset = 0;
        for (int i = 0; i < measured.Codes; i++)
        {
            byte code = order[i];
            cursors[code] = offset;
            if (IsSizeRight((DhcpOptionCode)code, lengths[code]))
                _entries[_count++] = new Entry((DhcpOptionCode)code, offset, lengths[code]);
            offset += lengths[code];
        }
        Gather(options, _bytes, cursors);
        if ((overload & 1) != 0)
            Gather(file, _bytes, cursors);
        if ((overload & 2) != 0)
            Gather(sname, _bytes, cursors);
        return true;
    }

    private static void Gather(ReadOnlySpan<byte> field, byte[] target, Span<int> cursors)
    {
        var reader = new DhcpOptionReader(field);
        while (reader.MoveNext())
        {
            if (reader.Code == DhcpOptionCode.Overload)
                continue;
            reader.Value.CopyTo(target.AsSpan(cursors[(int)reader.Code]));
            cursors[(int)reader.Code] += reader.Value.Length;
        }
    }

    private static bool IsSizeRight(DhcpOptionCode code, int length) => code switch
    {
        DhcpOptionCode.MessageType => length == 1,
        DhcpOptionCode.InterfaceMtu or DhcpOptionCode.MaximumMessageSize => length == 2,
        DhcpOptionCode.SubnetMask or DhcpOptionCode.BroadcastAddress or DhcpOptionCode.RequestedAddress or DhcpOptionCode.LeaseTime
            or DhcpOptionCode.ServerId or DhcpOptionCode.RenewalTime or DhcpOptionCode.RebindingTime => length == 4,
        DhcpOptionCode.Router or DhcpOptionCode.DomainNameServer => length > 0 && length % 4 == 0,
        _ => true,
    };

    private void WriteOne(Span<byte> destination, ref int at, int index)
    {
        if (index < 0)
            return;
        var value = _bytes.AsSpan(_entries[index].Offset, _entries[index].Length);
        do
        {
            var part = value[..Math.Min(255, value.Length)];
            destination[at++] = (byte)_entries[index].Code;
            destination[at++] = (byte)part.Length;
            part.CopyTo(destination[at..]);
            at += part.Length;
            value = value[part.Length..];
        }
        while (!value.IsEmpty);
    }

    private int IndexOf(DhcpOptionCode code)
    {
        for (int i = 0; i < _count; i++)
        {
            if (_entries[i].Code == code)
                return i;
        }
        return -1;
    }

    private void EnsureRoom(int length)
    {
        if (_used + length > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(128, Math.Max(_used + length, _bytes.Length * 2)));
    }

    private void Put(DhcpOptionCode code, int length)
    {
        int index = IndexOf(code);
        if (index < 0)
        {
            if (_count == _entries.Length)
                Array.Resize(ref _entries, Math.Max(12, _count * 2));
            index = _count++;
        }
        _entries[index] = new Entry(code, _used, length);
        _used += length;
    }

    private readonly record struct Entry(DhcpOptionCode Code, int Offset, int Length);

    /// <summary>First pass over the fields: how long each option becomes once joined.</summary>
    private ref struct Measure
    {
        public Span<int> Lengths;
        public Span<byte> Order;
        public Span<bool> Seen;
        public int Codes;
        public int Total;

        /// <param name="field">The field to walk.</param>
        /// <param name="overload">Zero: option 52 is wanted; the first valid one is stored. Option 52 elsewhere, or again, is ignored.</param>
        public bool Add(ReadOnlySpan<byte> field, ref byte overload)
        {
            var reader = new DhcpOptionReader(field);
            while (reader.MoveNext())
            {
                if (reader.Code == DhcpOptionCode.Overload)
                {
                    if (overload == 0 && reader.Value.Length == 1 && reader.Value[0] is 1 or 2 or 3)
                        overload = reader.Value[0];
                    continue;
                }
                int code = (int)reader.Code;
                if (!Seen[code])
                {
                    Seen[code] = true;
                    Order[Codes++] = (byte)code;
                }
                Lengths[code] += reader.Value.Length;
                Total += reader.Value.Length;
            }
            return !reader.IsMalformed;
        }
    }
}
