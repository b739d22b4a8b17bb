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
    private readonly LinkInfo _found;
    private HashSet<IPv4Address> _addresses = [];
    private long? _addressesAt;

    internal DhcpLink(LinkInfo link, ILinkMonitor monitor, TimeProvider time)
    {
        _found = link;
        Monitor = monitor;
        _time = time;
    }

    /// <summary>Its name stays; index and hardware address may change when it is made anew.</summary>
    public LinkInfo Info => Channel?.Link ?? _found;

    /// <summary>Follows the interfaces; <see cref="LinkWatch"/> runs it.</summary>
    public ILinkMonitor Monitor { get; }

    /// <summary>Its frames, once <see cref="Open"/> was called.</summary>
    public FollowingLinkChannel? Channel { get; private set; }

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
        return new DhcpLink(state.Link, new LinkMonitor(time), time);
    }

    /// <exception cref="UnusableException">The packet socket cannot be opened.</exception>
    public IDhcpTransport Open(TransportMode mode, int vlan)
    {
        try
        {
            Channel = new FollowingLinkChannel(_found, Monitor, link => PacketLinkChannel.Open(link, DhcpFilter.For((ushort)vlan)));
            ILinkChannel channel = vlan == 0 ? Channel : new TaggedLinkChannel(Channel, (ushort)vlan);
            return new PacketDhcpTransport(channel, mode == TransportMode.ChAddr ? DhcpFrameSource.ChAddr : DhcpFrameSource.Nic, _time);
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
