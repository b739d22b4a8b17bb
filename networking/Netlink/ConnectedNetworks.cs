using System.Net;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Netlink;

/// <summary>The networks that this network namespace has an interface in, as the kernel tells now. Thread-safe.</summary>
public static class ConnectedNetworks
{
    /// <summary>Whether an address lies in one of them. Interfaces of VRFs count.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The kernel does not answer.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The kernel refuses rtnetlink.</exception>
    public static bool Contain(IPAddress address) =>
        HostAddress.TryFrom(address, out var host) && NetworkInterfaces.Read().Any(link => link.IsOnLink(host));
}
