using System.Buffers.Binary;
using System.Text;

namespace DynamicLb.Networking.Nftables;

/// <summary>
/// Writes a transaction of nf_tables (linux/netfilter/nfnetlink.h, nf_tables.h): messages between a beginning and an end, which the kernel does all or none of. Numbers in headers
/// are in host order, those in attributes big-endian. Grows as needed. Not thread-safe.
/// </summary>
internal sealed class NftMessageWriter
{
    /// <summary>NFPROTO_NETDEV: the hooks of interfaces.</summary>
    public const byte FamilyNetdev = 5;

    private const ushort BatchBegin = 0x10;
    private const ushort BatchEnd = 0x11;
    private const ushort SubsystemNfTables = 10;
    private const ushort FlagRequest = 0x1;
    private const ushort FlagAck = 0x4;
    private const ushort Nested = 0x8000;
    private const int HeaderLength = 16;
    private const int MessageHeaderLength = HeaderLength + 4;

    private byte[] _buffer = new byte[4096];
    private int _length;
    private int _message = -1;

    /// <param name="sequence">Number of the transaction's first message.</param>
    public NftMessageWriter(uint sequence)
    {
        LastSequence = sequence;
        Begin(BatchBegin, FlagRequest, 0, SubsystemNfTables, sequence);
    }

    /// <summary>Number of the last message, whose acknowledgement is that of the whole.</summary>
    public uint LastSequence { get; private set; }

    /// <summary>Messages in it.</summary>
    public int Count { get; private set; }

    /// <summary>Begins a message; what follows are its attributes.</summary>
    /// <param name="type">NFT_MSG_….</param>
    /// <param name="flags">NLM_F_CREATE and the like.</param>
    public void Message(byte type, ushort flags = 0)
    {
        Count++;
        Begin((ushort)((SubsystemNfTables << 8) | type), (ushort)(FlagRequest | flags), FamilyNetdev, 0, ++LastSequence);
    }

    public void Text(ushort type, string value)
    {
        int start = Open(type);
        Reserve(Encoding.ASCII.GetByteCount(value) + 1);
        _length += Encoding.ASCII.GetBytes(value, _buffer.AsSpan(_length));
        _buffer[_length++] = 0;
        Close(start);
    }

    public void Number(ushort type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        Bytes(type, bytes);
    }

    public void Bytes(ushort type, ReadOnlySpan<byte> value)
    {
        int start = Open(type);
        Reserve(value.Length);
        value.CopyTo(_buffer.AsSpan(_length));
        _length += value.Length;
        Close(start);
    }

    /// <summary>Opens an attribute that holds attributes.</summary>
    /// <returns>To be given to <see cref="Close"/>.</returns>
    public int Nest(ushort type) => Open((ushort)(type | Nested));

    /// <summary>Closes an attribute.</summary>
    public void Close(int start)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(start), checked((ushort)(_length - start)));
        Pad();
    }

    /// <summary>Ends the transaction: what to send. The last message asks for an acknowledgement.</summary>
    public ReadOnlySpan<byte> End()
    {
        EndMessage();
        var flags = _buffer.AsSpan(_message + 6);
        BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | FlagAck));
        Begin(BatchEnd, FlagRequest, 0, SubsystemNfTables, LastSequence + 1);
        EndMessage();
        return _buffer.AsSpan(0, _length);
    }

    private void Begin(ushort type, ushort flags, byte family, ushort resource, uint sequence)
    {
        EndMessage();
        _message = _length;
        Reserve(MessageHeaderLength);
        var header = _buffer.AsSpan(_length, MessageHeaderLength);
        header.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(header[4..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(header[6..], flags);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], sequence);
        header[HeaderLength] = family;
        BinaryPrimitives.WriteUInt16BigEndian(header[(HeaderLength + 2)..], resource);
        _length += MessageHeaderLength;
    }

    private void EndMessage()
    {
        if (_message >= 0)
            BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(_message), _length - _message);
    }

    private int Open(ushort type)
    {
        Reserve(4);
        int start = _length;
        BinaryPrimitives.WriteUInt16LittleEndian(_buffer.AsSpan(start + 2), type);
        _length += 4;
        return start;
    }

    private void Pad()
    {
        int padding = -_length & 3;
        Reserve(padding);
        _buffer.AsSpan(_length, padding).Clear();
        _length += padding;
    }

    private void Reserve(int bytes)
    {
        if (_buffer.Length - _length < bytes)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + bytes));
    }
}
