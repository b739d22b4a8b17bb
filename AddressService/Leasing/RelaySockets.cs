using System.Net.Sockets;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Dhcp6;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The addresses that are relayed from, each with the one socket that there can be. Thread-safe.</summary>
internal sealed class RelaySockets(TimeProvider time) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<IPv4Address, RelaySocket> _sockets = [];
    private readonly Dictionary<IPv6Address, Relay6Socket> _sockets6 = [];

    /// <summary>A transport whose socket stays.</summary>
    /// <exception cref="UnusableException">There is no address to relay from, or its port cannot be had.</exception>
    public RelayDhcpTransport Open(InterfaceOptions options, string device)
    {
        var address = AddressOf(options, device);
        lock (_lock)
        {
            if (!_sockets.TryGetValue(address, out var socket))
                _sockets[address] = socket = Bind(address);
            return new RelayDhcpTransport(socket, Settings(options));
        }
    }

    /// <summary>A transport for a while: by the socket that is there, or by one that is closed with it.</summary>
    /// <exception cref="UnusableException">There is no address to relay from, or its port cannot be had.</exception>
    public RelayDhcpTransport OpenForAWhile(InterfaceOptions options, string device)
    {
        var address = AddressOf(options, device);
        lock (_lock)
        {
            return _sockets.TryGetValue(address, out var socket)
                ? new RelayDhcpTransport(socket, Settings(options))
                : new RelayDhcpTransport(Bind(address), Settings(options), ownsSocket: true);
        }
    }

    /// <summary>A transport for DHCPv6 whose socket stays.</summary>
    /// <exception cref="UnusableException">There is no address to relay from, or its port cannot be had.</exception>
    public RelayDhcp6Transport Open6(InterfaceOptions options, LinkInfo link)
    {
        var address = AddressOf(options, link);
        // The server sends nothing there: it only gives it back.
        var peer = IPv6Address.LinkLocalOf(link.Mac);
        lock (_lock)
        {
            if (!_sockets6.TryGetValue(address, out var socket))
                _sockets6[address] = socket = Bind(address);
            return new RelayDhcp6Transport(socket, new Dhcp6RelayHeader(options.Relay6Link ?? address, peer, default), options.Relay6Servers);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var socket in _sockets6.Values)
            await socket.DisposeAsync();
        foreach (var socket in _sockets.Values)
            await socket.DisposeAsync();
    }

    private static DhcpRelaySettings Settings(InterfaceOptions options) => new()
    {
        Servers = options.RelayServers,
        LinkSelection = options.LinkSelection,
        SubnetSelection = options.SubnetSelection,
    };

    private static IPv4Address AddressOf(InterfaceOptions options, string device) =>
        options.RelayAddress ?? (NetworkInterfaces.TryRead(device)?.Addresses is [var first, ..] ? first.Address
            : throw new UnusableException($"There is no interface '{device}', or it has no IPv4 address to relay from: name one by --relay-address."));

    private static IPv6Address AddressOf(InterfaceOptions options, LinkInfo link)
    {
        if (options.Relay6Address is { } address)
            return address;
        foreach (var own in LocalIPv6Addresses.Read())
        {
            if (own.InterfaceIndex == link.Index && own is { IsUsable: true, Address.IsLinkLocal: false })
                return own.Address;
        }
        throw new UnusableException($"There is no interface '{link.Name}', or it has no IPv6 address to relay from but its link-local one: name one by --relay6-address.");
    }

    private Relay6Socket Bind(IPv6Address address)
    {
        try
        {
            return new Relay6Socket(address, time);
        }
        catch (SocketException e)
        {
            throw new UnusableException(
                $"No relay at {address} port 547: {e.Message}. It takes an address of this host, the capability NET_BIND_SERVICE, and no DHCPv6 server or other relay there.", e);
        }
    }

    private RelaySocket Bind(IPv4Address address)
    {
        try
        {
            return new RelaySocket(address, time);
        }
        catch (SocketException e)
        {
            throw new UnusableException(
                $"No relay at {address} port 67: {e.Message}. It takes an address of this host, the capability NET_BIND_SERVICE, and no other DHCP server or relay there.", e);
        }
    }
}
