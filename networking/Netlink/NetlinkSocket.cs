using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace DynamicLb.Networking.Netlink;

/// <summary>
/// Opens sockets of netlink(7), mostly of rtnetlink(7). The base class library refuses the address family, so socket(2) and bind(2) are called directly; all the rest is an
/// ordinary <see cref="Socket"/> over the handle, asynchronous operations and cancellation included.
/// </summary>
internal static partial class NetlinkSocket
{
    /// <summary>Changes of interfaces (RTMGRP_LINK).</summary>
    public const uint LinkGroup = 0x1;

    /// <summary>Changes of IPv4 addresses (RTMGRP_IPV4_IFADDR).</summary>
    public const uint IPv4AddressGroup = 0x10;

    /// <summary>Changes of IPv6 addresses (RTMGRP_IPV6_IFADDR).</summary>
    public const uint IPv6AddressGroup = 0x100;

    private const int AddressFamilyNetlink = 16;
    private const int SocketRaw = 3;
    private const int CloseOnExec = 0x80000;
    private const int NetlinkRoute = 0;

    /// <summary>Opens a socket that hears of the given groups.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="protocol">Which part of the kernel it speaks to: NETLINK_ROUTE unless told otherwise.</param>
    /// <exception cref="Win32Exception">The kernel refused.</exception>
    public static Socket Open(uint groups, int protocol = NetlinkRoute)
    {
        int handle = OpenSocket(AddressFamilyNetlink, SocketRaw | CloseOnExec, protocol);
        if (handle < 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        var owned = new SafeSocketHandle(handle, ownsHandle: true);
        var address = new NetlinkAddress { Family = AddressFamilyNetlink, Groups = groups };
        if (Bind(handle, in address, Marshal.SizeOf<NetlinkAddress>()) < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            owned.Dispose();
            throw new Win32Exception(error);
        }
        return new Socket(owned);
    }

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int OpenSocket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "bind", SetLastError = true)]
    private static partial int Bind(int handle, in NetlinkAddress address, int length);

    /// <summary>struct sockaddr_nl. Process id 0: the kernel chooses.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NetlinkAddress
    {
        public ushort Family;
        public ushort Padding;
        public uint ProcessId;
        public uint Groups;
    }
}
