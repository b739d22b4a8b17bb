using System.Net.Sockets;
using DynamicLb.AddressService.Configuration;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.AddressService.Leasing;

/// <summary>The addresses that are relayed from, each with the one socket that there can be. Thread-safe.</summary>
internal sealed class RelaySockets(TimeProvider time) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<IPv4Address, RelaySocket> _sockets = [];

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

    public async ValueTask DisposeAsync()
    {
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
