using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.PacketSocket;

/// <summary>A raw packet socket (packet(7), AF_PACKET/SOCK_RAW), bound to one interface and one Ethernet type. Needs CAP_NET_RAW.</summary>
public sealed class PacketLinkChannel : ILinkChannel
{
    private const int SolSocket = 1;
    private const int SoAttachFilter = 26;
    private const int SolPacket = 263;
    private const int PacketAddMembership = 1;
    private const int PacketDropMembership = 2;
    private const int PacketStatistics = 6;
    private const ushort PacketMrMulticast = 0;
    private const ushort PacketMrUnicast = 3;
    private const int LinkLayerAddressLength = 20;

    private readonly Socket _socket;

    // Sends on a socket of its own, which receives nothing: one that is waited on for frames wakes us for each that has left, too.
    private readonly Socket _sender;
    private readonly SocketAddress _destination;

    private PacketLinkChannel(LinkInfo link, Socket socket, Socket sender, SocketAddress destination)
    {
        Link = link;
        _socket = socket;
        _sender = sender;
        _destination = destination;
    }

    /// <inheritdoc/>
    public LinkInfo Link { get; }

    /// <summary>Opens sockets on an interface. Frames that it sends pass the filter as those of any other program of the host: it should not take outgoing ones.</summary>
    /// <exception cref="SocketException">Not permitted (CAP_NET_RAW), or the interface is gone.</exception>
    public static PacketLinkChannel Open(LinkInfo link, BpfProgram filter)
    {
        var (socket, address) = OpenSocket(link, filter);
        try
        {
            return new PacketLinkChannel(link, socket, new Socket(AddressFamily.Packet, SocketType.Raw, ProtocolType.Unspecified), address);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Opens a socket for who drives it by itself, and says where it sends to.</summary>
    /// <exception cref="SocketException">Not permitted (CAP_NET_RAW), or the interface is gone.</exception>
    internal static (Socket Socket, SocketAddress Destination) OpenSocket(LinkInfo link, BpfProgram filter)
    {
        // Protocol 0 receives nothing: no stray frame is queued before the filter is in place and the socket is bound.
        var socket = new Socket(AddressFamily.Packet, SocketType.Raw, ProtocolType.Unspecified);
        try
        {
            Attach(socket, filter);
            var address = LinkLayerAddress(link, filter.EtherType);
            socket.Bind(new RawEndPoint(address));
            return (socket, address);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken) =>
        await _sender.SendToAsync(frame, SocketFlags.None, _destination, cancellationToken);

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) =>
        _socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);

    /// <inheritdoc/>
    public void JoinUnicast(MacAddress address) => Membership(PacketAddMembership, address);

    /// <inheritdoc/>
    public void LeaveUnicast(MacAddress address) => Membership(PacketDropMembership, address);

    /// <inheritdoc/>
    public bool HasPending => _socket.Available > 0;

    /// <inheritdoc/>
    public uint TakeDropped()
    {
        // struct tpacket_stats: frames, drops. Reading sets both to zero.
        Span<byte> statistics = stackalloc byte[8];
        _socket.GetRawSocketOption(SolPacket, PacketStatistics, statistics);
        return BinaryPrimitives.ReadUInt32LittleEndian(statistics[4..]);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        _sender.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Membership(int option, MacAddress address)
    {
        // struct packet_mreq: interface index, type, length of the address, address.
        Span<byte> request = stackalloc byte[16];
        request.Clear();
        BinaryPrimitives.WriteInt32LittleEndian(request, Link.Index);
        BinaryPrimitives.WriteUInt16LittleEndian(request[4..], address.IsMulticast ? PacketMrMulticast : PacketMrUnicast);
        BinaryPrimitives.WriteUInt16LittleEndian(request[6..], MacAddress.Length);
        address.Write(request[8..]);
        _socket.SetRawSocketOption(SolPacket, option, request);
    }

    private static void Attach(Socket socket, BpfProgram filter)
    {
        // struct sock_fprog: number of instructions, pointer to them.
        var code = GCHandle.Alloc(filter.ToBytes(), GCHandleType.Pinned);
        try
        {
            Span<byte> program = stackalloc byte[16];
            program.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(program, (ushort)filter.Count);
            BinaryPrimitives.WriteInt64LittleEndian(program[8..], code.AddrOfPinnedObject());
            socket.SetRawSocketOption(SolSocket, SoAttachFilter, program);
        }
        finally
        {
            code.Free();
        }
    }

    /// <summary>struct sockaddr_ll. The family is written by the constructor; the Ethernet type is in network order, the index in host order.</summary>
    private static SocketAddress LinkLayerAddress(LinkInfo link, ushort etherType)
    {
        var address = new SocketAddress(AddressFamily.Packet, LinkLayerAddressLength);
        address[2] = (byte)(etherType >> 8);
        address[3] = (byte)etherType;
        Span<byte> index = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(index, link.Index);
        for (int i = 0; i < index.Length; i++)
            address[4 + i] = index[i];
        return address;
    }

    private sealed class RawEndPoint(SocketAddress address) : EndPoint
    {
        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize() => address;

        public override EndPoint Create(SocketAddress socketAddress) => new RawEndPoint(socketAddress);
    }
}
