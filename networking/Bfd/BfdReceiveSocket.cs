using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Bfd;

/// <summary>What comes to one of BFD's ports.</summary>
internal enum BfdPort
{
    /// <summary>Control packets over one hop (RFC 5881 §4).</summary>
    SingleHop = 3784,

    /// <summary>Echo packets (RFC 5881 §4).</summary>
    Echo = 3785,

    /// <summary>Control packets over several hops (RFC 5883 §5).</summary>
    MultiHop = 4784,
}

/// <summary>One port of this host, for all peers of a family; tells with each datagram to which address, by which interface and with which TTL it came. Not thread-safe.</summary>
internal sealed class BfdReceiveSocket : IDisposable
{
    internal const int LevelIPv4 = 0;
    internal const int LevelIPv6 = 41;
    private const int LevelSocket = 1;
    private const int BindToDevice = 25;
    private const int IPv4PacketInfo = 8;
    private const int IPv4Ttl = 2;
    private const int IPv4ReceiveTtl = 12;
    private const int IPv6Only = 26;
    private const int IPv6ReceivePacketInfo = 49;
    private const int IPv6PacketInfo = 50;
    private const int IPv6ReceiveHopLimit = 51;
    private const int IPv6HopLimit = 52;
    private const short EchoTimeToLive = 254;
    private const int ReceiveBuffer = 1 << 20;

    private readonly Socket _socket;

    private BfdReceiveSocket(Socket socket, BfdPort port, string? device) => (_socket, Port, Device, Handle) = (socket, port, device, (int)socket.Handle);

    public AddressFamily Family => _socket.AddressFamily;

    public BfdPort Port { get; }

    public string? Device { get; }

    public int Handle { get; }

    /// <summary>Binds the port.</summary>
    /// <exception cref="SocketException">Another program has the port, or the family or the device is not there.</exception>
    public static BfdReceiveSocket Open(AddressFamily family, BfdPort port, string? device)
    {
        var socket = new Socket(family, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            if (family == AddressFamily.InterNetwork)
            {
                Set(socket, LevelIPv4, IPv4PacketInfo, 1);
                Set(socket, LevelIPv4, IPv4ReceiveTtl, 1);
            }
            else
            {
                Set(socket, LevelIPv6, IPv6Only, 1);
                Set(socket, LevelIPv6, IPv6ReceivePacketInfo, 1);
                Set(socket, LevelIPv6, IPv6ReceiveHopLimit, 1);
            }
            if (device is not null)
                Bind(socket, device);
            // What is sent from here is what was sent to us and has been forwarded once.
            if (port == BfdPort.Echo)
                socket.Ttl = EchoTimeToLive;
            socket.Blocking = false;
            socket.ReceiveBufferSize = ReceiveBuffer;
            socket.Bind(new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, (int)port));
            return new BfdReceiveSocket(socket, port, device);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Binds a socket to a device, such as a VRF's (SO_BINDTODEVICE).</summary>
    public static void Bind(Socket socket, string device) => socket.SetRawSocketOption(LevelSocket, BindToDevice, Encoding.ASCII.GetBytes(device + '\0'));

    public static void Set(Socket socket, int level, int option, int value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        socket.SetRawSocketOption(level, option, bytes);
    }

    /// <summary>Takes the next datagram that waits; one that is longer than the buffer is cut.</summary>
    /// <returns>Its length; -1 when none waits.</returns>
    public unsafe int TryReceive(Span<byte> buffer, out BfdArrival arrival)
    {
        const int NameLength = 28;
        const int ControlLength = 256;
        byte* name = stackalloc byte[NameLength];
        byte* control = stackalloc byte[ControlLength];
        fixed (byte* data = buffer)
        {
            var vector = new BfdSystemCalls.Vector { Base = data, Length = (nuint)buffer.Length };
            var message = new BfdSystemCalls.MessageHeader
            {
                Name = name,
                NameLength = NameLength,
                Vectors = &vector,
                VectorCount = 1,
                Control = control,
                ControlLength = ControlLength,
            };
            int length = (int)BfdSystemCalls.ReceiveMessage(Handle, &message, BfdSystemCalls.DontWait);
            arrival = default;
            if (length < 0)
                return -1;
            arrival = Read(new ReadOnlySpan<byte>(name, (int)message.NameLength), new ReadOnlySpan<byte>(control, (int)message.ControlLength));
            return length;
        }
    }

    /// <summary>Sends from this port.</summary>
    public void Send(ReadOnlySpan<byte> datagram, IPEndPoint to) => _socket.SendTo(datagram, SocketFlags.None, to);

    public void Dispose() => _socket.Dispose();

    private BfdArrival Read(ReadOnlySpan<byte> name, ReadOnlySpan<byte> control)
    {
        // struct sockaddr_in: family, port, address; struct sockaddr_in6: family, port, flow, address, scope.
        var source = name.Length >= 24 ? IPv6Address.Read(name[8..]) : name.Length >= 8 ? BfdPath.Key(IPv4Address.Read(name[4..])) : default;
        IPv6Address destination = default;
        int link = 0;
        int timeToLive = -1;
        // struct cmsghdr: length with this header, level, type; each begins at a multiple of 8.
        while (control.Length >= 16)
        {
            int length = (int)BinaryPrimitives.ReadInt64LittleEndian(control);
            if (length < 16 || length > control.Length)
                break;
            int level = BinaryPrimitives.ReadInt32LittleEndian(control[8..]);
            int type = BinaryPrimitives.ReadInt32LittleEndian(control[12..]);
            var value = control[16..length];
            switch (level, type)
            {
                case (LevelIPv4, IPv4PacketInfo) when value.Length >= 12:
                    link = BinaryPrimitives.ReadInt32LittleEndian(value);
                    destination = BfdPath.Key(IPv4Address.Read(value[8..]));
                    break;
                case (LevelIPv6, IPv6PacketInfo) when value.Length >= 20:
                    destination = IPv6Address.Read(value);
                    link = BinaryPrimitives.ReadInt32LittleEndian(value[16..]);
                    break;
                case (LevelIPv4, IPv4Ttl) or (LevelIPv6, IPv6HopLimit) when value.Length >= 4:
                    timeToLive = BinaryPrimitives.ReadInt32LittleEndian(value);
                    break;
            }
            control = control[Math.Min(control.Length, (length + 7) & ~7)..];
        }
        return new BfdArrival(source, destination, link, timeToLive, Port == BfdPort.MultiHop, Device);
    }
}
