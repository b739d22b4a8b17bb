using System.ComponentModel;
using System.Net.Sockets;

namespace DynamicLb.Networking.Netlink;

/// <summary>
/// The interfaces of this network namespace, by rtnetlink. Not from sysfs: that shows the namespace in which it was mounted, which is another one under
/// <c>unshare -n</c> and in some containers.
/// </summary>
public static class NetworkInterfaces
{
    internal const int ReceiveBufferLength = 64 * 1024;
    private const int Attempts = 5;
    private const int TimeoutMilliseconds = 2000;

    /// <summary>All Ethernet interfaces with a hardware address, by index.</summary>
    /// <exception cref="SocketException">The kernel does not answer.</exception>
    /// <exception cref="Win32Exception">The kernel refuses rtnetlink.</exception>
    public static IReadOnlyList<InterfaceState> Read()
    {
        for (int attempt = 1; ; attempt++)
        {
            var tables = new RouteTables();
            using var socket = NetlinkSocket.Open(0);
            socket.ReceiveTimeout = TimeoutMilliseconds;
            bool complete = Dump(socket, RouteMessages.GetLink, 1, tables) && Dump(socket, RouteMessages.GetAddress, 2, tables);
            // A namespace that changes all the time yields no consistent picture; the last one is as good as any.
            if (complete || attempt == Attempts)
                return tables.ToStates();
        }
    }

    /// <summary>One interface by name; null when there is none, it has no 48-bit hardware address, or the kernel does not tell.</summary>
    public static InterfaceState? TryRead(string name)
    {
        try
        {
            return Read().FirstOrDefault(state => state.Link.Name == name);
        }
        catch (Exception e) when (e is SocketException or Win32Exception)
        {
            return null;
        }
    }

    private static bool Dump(Socket socket, ushort kind, uint sequence, RouteTables tables)
    {
        Span<byte> request = stackalloc byte[RouteMessages.RequestLength];
        socket.Send(request[..RouteMessages.WriteDump(request, kind, sequence)]);
        var buffer = new byte[ReceiveBufferLength];
        while (true)
        {
            int length = socket.Receive(buffer);
            switch (RouteMessages.Read(buffer.AsSpan(0, length), sequence, tables))
            {
                case DumpProgress.Done:
                    return true;
                case DumpProgress.Broken:
                    return false;
            }
        }
    }
}
