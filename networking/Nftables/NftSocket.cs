using System.Buffers.Binary;
using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.Networking.Nftables;

/// <summary>Has the kernel do transactions of nf_tables. Not thread-safe.</summary>
internal interface INftSocket : IDisposable
{
    /// <summary>Begins a transaction.</summary>
    NftMessageWriter Begin();

    /// <summary>Has the kernel do a transaction.</summary>
    /// <exception cref="Win32Exception">The kernel refused it with this error, and nothing has changed.</exception>
    /// <exception cref="SocketException">The kernel does not answer.</exception>
    void Do(NftMessageWriter transaction);
}

/// <summary>
/// A socket of nfnetlink. A table that is made through it with the owner flag belongs to it: nobody else can change or flush that table, and it goes with the socket, however the
/// process ends. Not thread-safe.
/// </summary>
internal sealed class NftSocket : INftSocket
{
    private const int NetlinkNetfilter = 12;
    private const int TimeoutMilliseconds = 5000;
    private const int HeaderLength = 16;
    private const ushort Error = 2;

    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[32 * 1024];
    private uint _sequence;

    /// <exception cref="Win32Exception">The kernel has no nfnetlink, or refuses it.</exception>
    public NftSocket()
    {
        _socket = NetlinkSocket.Open(0, NetlinkNetfilter);
        _socket.ReceiveTimeout = TimeoutMilliseconds;
        // A transaction is one datagram.
        _socket.SendBufferSize = 1024 * 1024;
    }

    /// <inheritdoc/>
    public NftMessageWriter Begin() => new(_sequence += 0x10000);

    /// <inheritdoc/>
    public void Do(NftMessageWriter transaction)
    {
        _socket.Send(transaction.End());
        while (true)
        {
            int length = _socket.Receive(_buffer);
            for (var rest = _buffer.AsSpan(0, length); rest.Length >= HeaderLength + 4;)
            {
                int size = BinaryPrimitives.ReadInt32LittleEndian(rest);
                uint sequence = BinaryPrimitives.ReadUInt32LittleEndian(rest[8..]);
                // What followed the first error of another transaction is passed over.
                if (BinaryPrimitives.ReadUInt16LittleEndian(rest[4..]) == Error && sequence - _sequence <= transaction.LastSequence - _sequence)
                {
                    int error = -BinaryPrimitives.ReadInt32LittleEndian(rest[HeaderLength..]);
                    if (error != 0)
                        throw new Win32Exception(error);
                    if (sequence == transaction.LastSequence)
                        return;
                }
                if (size < HeaderLength || size > rest.Length)
                    break;
                rest = rest[Math.Min((size + 3) & ~3, rest.Length)..];
            }
        }
    }

    public void Dispose() => _socket.Dispose();
}
