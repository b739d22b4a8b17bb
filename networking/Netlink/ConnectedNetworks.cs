using System.Net;
using DynamicLb.Networking.Addresses;

namespace DynamicLb.Networking.Netlink;

/// <summary>The networks that this network namespace has an interface in, as the kernel tells now. Thread-safe.</summary>
public static class ConnectedNetworks
{
    /// <summary>Whether an address lies in one of them. Interfaces of VRFs count.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The kernel does not answer.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The kernel refuses rtnetlink.</exception>
    public static bool Contain(IPAddress address)
    {
        if (IPv4Address.TryFrom(address, out var four))
            return NetworkInterfaces.Read().Any(link => link.Addresses.Any(own => own.Contains(four)));
        return IPv6Address.TryFrom(address, out var six)
            && LocalIPv6Addresses.Read().Any(own => (((own.Address.High ^ six.High) & Mask(own.PrefixLength)) | ((own.Address.Low ^ six.Low) & Mask(own.PrefixLength - 64))) == 0);
    }

    private static ulong Mask(int bits) => bits <= 0 ? 0 : bits >= 64 ? ulong.MaxValue : ~(ulong.MaxValue >> bits);
}
