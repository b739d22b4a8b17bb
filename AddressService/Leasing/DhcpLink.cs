using System.Net.NetworkInformation;
using System.Net.Sockets;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The interface that is leased on.</summary>
internal sealed class DhcpLink
{
    private static readonly TimeSpan AddressesAge = TimeSpan.FromSeconds(10);
    private readonly TimeProvider _time;
    private HashSet<IPv4Address> _addresses = [];
    private long? _addressesAt;

    internal DhcpLink(LinkInfo link, TimeProvider time)
    {
        Info = link;
        _time = time;
    }

    public LinkInfo Info { get; }

    /// <exception cref="UnusableException">There is no such interface.</exception>
    public static DhcpLink Find(AddressServiceOptions options, TimeProvider time)
    {
        string? name = options.Interface;
        if (name == "auto")
        {
            name = DefaultRoute.FindInterface()
                ?? throw new UnusableException("No interface has an IPv4 default route: name one by --interface.");
        }
        var state = NetworkInterfaces.TryRead(name)
            ?? throw new UnusableException($"There is no Ethernet interface '{name}': name another by --interface.");
        return new DhcpLink(state.Link, time);
    }

    /// <exception cref="UnusableException">The packet socket cannot be opened.</exception>
    public IDhcpTransport Open(TransportMode mode)
    {
        try
        {
            return new PacketDhcpTransport(
                PacketLinkChannel.Open(Info, DhcpFilter.Program), mode == TransportMode.ChAddr ? DhcpFrameSource.ChAddr : DhcpFrameSource.Nic, _time);
        }
        catch (SocketException e)
        {
            throw new UnusableException($"No packet socket on {Info.Name}: {e.Message}. It takes the capability NET_RAW.", e);
        }
    }

    /// <summary>Whether this host itself has the address. Called on the loop only.</summary>
    public bool IsOwnAddress(IPv4Address address)
    {
        if (_addressesAt is not { } at || _time.GetElapsedTime(at) > AddressesAge)
        {
            _addressesAt = _time.GetTimestamp();
            try
            {
                _addresses = [.. NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
                    .Select(a => IPv4Address.TryFrom(a.Address, out var own) ? own : default)];
            }
            catch (NetworkInformationException)
            {
                // An interface vanished meanwhile: what was read last still holds.
            }
        }
        return _addresses.Contains(address);
    }
}
