using System.Net;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.Networking.Bgp;

/// <summary>A connection to a router. One sender and one receiver at a time.</summary>
public interface IBgpConnection : IDisposable
{
    /// <summary>Our end, for people.</summary>
    string Local { get; }

    /// <summary>Our BGP identifier on it.</summary>
    uint RouterId { get; }

    /// <summary>Fills in the next hops of routes that are announced on it.</summary>
    BgpEncoding WithNextHops(BgpEncoding encoding);

    /// <summary>Receives some bytes; none at the end.</summary>
    ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken);

    /// <summary>Sends all bytes.</summary>
    ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>Says that nothing more will be sent.</summary>
    void Finish();
}

/// <summary>A connection by TCP. The next hops are our addresses on the interface that it runs on.</summary>
public sealed class BgpTcpConnection : IBgpConnection
{
    private readonly Socket _socket;
    private readonly bool _isOnLink;
    private readonly IPv4Address? _v4;
    private readonly IPv6Address? _v6;
    private readonly IPv6Address? _linkLocal;

    /// <summary>Takes over a connected socket.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="routerId">Our BGP identifier, or null to take an IPv4 address of the interface.</param>
    /// <param name="fallbackRouterId">Our BGP identifier when there is no such address.</param>
    public BgpTcpConnection(Socket socket, uint? routerId, uint fallbackRouterId)
    {
        ArgumentNullException.ThrowIfNull(socket);
        _socket = socket;
        var end = (IPEndPoint)socket.LocalEndPoint!;
        var address = end.Address.IsIPv4MappedToIPv6 ? end.Address.MapToIPv4() : end.Address;
        Local = new IPEndPoint(address, end.Port).ToString();
        (_v4, _v6, _linkLocal, _isOnLink) = Surroundings(address);
        RouterId = routerId ?? _v4?.Value ?? fallbackRouterId;
    }

    /// <inheritdoc/>
    public string Local { get; }

    /// <inheritdoc/>
    public uint RouterId { get; }

    /// <inheritdoc/>
    public BgpEncoding WithNextHops(BgpEncoding encoding)
    {
        ArgumentNullException.ThrowIfNull(encoding);
        return encoding with { NextHopV4 = _isOnLink && encoding.ExtendedNextHop ? null : _v4, NextHopV6 = _v6 ?? _linkLocal, LinkLocal = _isOnLink ? _linkLocal : null };
    }

    /// <inheritdoc/>
    public ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken) => _socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);

    /// <inheritdoc/>
    public async ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[await _socket.SendAsync(bytes, SocketFlags.None, cancellationToken)..];
    }

    /// <inheritdoc/>
    public void Finish()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The other side was faster.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    /// <summary>Our addresses on the interface that has one of them.</summary>
    private static (IPv4Address? V4, IPv6Address? V6, IPv6Address? LinkLocal, bool IsOnLink) Surroundings(IPAddress local)
    {
        var v6 = LocalIPv6Addresses.Read();
        IReadOnlyList<InterfaceState> interfaces;
        try
        {
            interfaces = NetworkInterfaces.Read();
        }
        catch (Exception e) when (e is SocketException or System.ComponentModel.Win32Exception)
        {
            interfaces = [];
        }
        if (IPv4Address.TryFrom(local, out var v4))
        {
            int index = interfaces.FirstOrDefault(state => state.Addresses.Any(own => own.Address == v4))?.Link.Index ?? 0;
            return (v4, Global(index), null, false);
        }
        _ = IPv6Address.TryFrom(local, out var own);
        bool isLinkLocal = own.IsLinkLocal;
        int at = isLinkLocal ? (int)local.ScopeId : v6.FirstOrDefault(address => address.Address == own).InterfaceIndex;
        var addresses = interfaces.FirstOrDefault(state => state.Link.Index == at)?.Addresses;
        IPv4Address? first = addresses is { Count: > 0 } ? addresses[0].Address : null;
        return (first, isLinkLocal ? Global(at) : own, isLinkLocal ? own : null, isLinkLocal);

        IPv6Address? Global(int index) => v6.Where(address => index != 0 && address.InterfaceIndex == index && address.IsUsable && !address.Address.IsLinkLocal)
            .Select(static address => (IPv6Address?)address.Address).FirstOrDefault();
    }
}
