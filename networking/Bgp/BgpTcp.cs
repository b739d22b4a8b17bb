using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DynamicLb.Networking.Netlink;

namespace DynamicLb.Networking.Bgp;

/// <summary>How TCP tells that its segments are the peer's.</summary>
public enum BgpAuthentication
{
    /// <summary>Not at all.</summary>
    None = 0,

    /// <summary>MD5 signatures (RFC 2385).</summary>
    Md5,

    /// <summary>TCP-AO with HMAC-SHA-1-96 (RFC 5925, 5926).</summary>
    AoHmacSha1,

    /// <summary>TCP-AO with AES-128-CMAC-96 (RFC 5925, 5926).</summary>
    AoAesCmac,
}

/// <summary>Where a session runs. Immutable.</summary>
/// <param name="Peer">The router's address, with its zone when it is link-local.</param>
/// <param name="Port">Its port.</param>
public sealed record BgpTransportSettings(IPAddress Peer, int Port)
{
    /// <summary>Our address; null for what the routing table says.</summary>
    public IPAddress? Source { get; init; }

    /// <summary>Device that the socket is bound to: a VRF, or an interface; null for none (SO_BINDTODEVICE).</summary>
    public string? Device { get; init; }

    /// <summary>Whether the router must be on a network of ours, as those of other ASs must without multihop.</summary>
    public bool MustBeConnected { get; init; }

    /// <summary>Least TTL that the router's segments must arrive with, 1 to 255: 255 for a neighbour (GTSM, RFC 5082); 0 for any.</summary>
    public int LeastTimeToLive { get; init; }

    /// <summary>How segments are signed.</summary>
    public BgpAuthentication Authentication { get; init; }

    /// <summary>The key, at most 80 bytes; empty for none. A secret.</summary>
    public ReadOnlyMemory<byte> Key { get; init; }

    /// <summary>TCP-AO: the identifier that we send.</summary>
    public byte SendId { get; init; }

    /// <summary>TCP-AO: the identifier that the peer sends.</summary>
    public byte ReceiveId { get; init; }
}

/// <summary>TCP sockets for BGP: the options that are ours to set (tcp(7), linux/tcp.h). Thread-safe.</summary>
public static class BgpTcp
{
    /// <summary>Longest key that the kernel takes.</summary>
    public const int LongestKey = 80;

    /// <summary>
    /// What we send with: a router that checks for 255 (GTSM, RFC 5082) takes it, as does one that does not.
    /// </summary>
    public const int TimeToLive = 255;

    private const int SolSocket = 1;
    private const int SoBindToDevice = 25;
    private const int IpProtocolIP = 0;
    private const int IpTtl = 2;
    private const int IpProtocolIPv6 = 41;
    private const int IPv6UnicastHops = 16;
    private const int IpMinTtl = 21;
    private const int IPv6MinHopCount = 73;
    private const int IpProtocolTcp = 6;
    private const int TcpMd5Sig = 14;
    private const int TcpAoAddKey = 38;
    private const int NoSuchOption = 92;
    private const int SocketAddressStorage = 128;

    /// <summary>Connects.</summary>
    /// <exception cref="SocketException">It failed; the message says how.</exception>
    /// <exception cref="NotSupportedException">The kernel lacks what the settings ask for; the message names it.</exception>
    public static async Task<Socket> ConnectAsync(BgpTransportSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(settings);
        var socket = new Socket(settings.Peer.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            Configure(socket, settings);
            RequireConnected(settings);
            if (settings.Source is { } source)
                socket.Bind(new IPEndPoint(source, 0));
            await socket.ConnectAsync(new IPEndPoint(settings.Peer, settings.Port), cancellationToken);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sets the options of a connection that the peer made; its key and device came with the listening socket.</summary>
    /// <exception cref="SocketException">It is not to be taken: the peer must be on a network of ours and is not.</exception>
    public static void ConfigureAccepted(Socket socket, BgpTransportSettings settings)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentNullException.ThrowIfNull(settings);
        Bound(socket, settings);
        RequireConnected(settings);
    }

    /// <summary>Sets the options of a socket that is to connect to the peer, or to take connections.</summary>
    /// <exception cref="NotSupportedException">The kernel lacks what the settings ask for; the message names it.</exception>
    public static void Configure(Socket socket, BgpTransportSettings settings)
    {
        ArgumentNullException.ThrowIfNull(socket);
        ArgumentNullException.ThrowIfNull(settings);
        bool isV4 = settings.Peer.AddressFamily == AddressFamily.InterNetwork;
        Span<byte> hops = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(hops, TimeToLive);
        socket.SetRawSocketOption(isV4 ? IpProtocolIP : IpProtocolIPv6, isV4 ? IpTtl : IPv6UnicastHops, hops);
        Bound(socket, settings);
        if (settings.Device is { Length: > 0 } device)
        {
            try
            {
                socket.SetRawSocketOption(SolSocket, SoBindToDevice, Encoding.UTF8.GetBytes(device + '\0'));
            }
            catch (SocketException e)
            {
                throw new NotSupportedException($"the socket cannot be bound to the device {device}: {e.Message}", e);
            }
        }
        if (settings.Authentication != BgpAuthentication.None)
            SetKey(socket, settings);
    }

    /// <summary>Has the peer's segments signed. On a listening socket this goes for the connections of that peer.</summary>
    /// <exception cref="NotSupportedException">The kernel lacks what the settings ask for, or refuses the key; the message says so.</exception>
    internal static void SetKey(Socket socket, BgpTransportSettings settings)
    {
        byte[] option = settings.Authentication == BgpAuthentication.Md5 ? Md5Option(settings) : AoOption(settings);
        try
        {
            socket.SetRawSocketOption(IpProtocolTcp, settings.Authentication == BgpAuthentication.Md5 ? TcpMd5Sig : TcpAoAddKey, option);
        }
        catch (SocketException e)
        {
            string what = settings.Authentication == BgpAuthentication.Md5 ? "TCP MD5 signatures (CONFIG_TCP_MD5SIG)" : "TCP-AO (CONFIG_TCP_AO, Linux 6.7)";
            throw new NotSupportedException(
                e.NativeErrorCode == NoSuchOption || e.SocketErrorCode == SocketError.ProtocolOption
                    ? $"this kernel has no {what}" : $"the kernel refuses the key for {what}: {e.Message}", e);
        }
    }

    /// <summary>Takes the key of a peer off a listening socket, if there is one.</summary>
    internal static void RemoveMd5Key(Socket socket, IPAddress peer)
    {
        var option = new byte[SocketAddressStorage + 8 + LongestKey];
        WriteAddress(option, peer);
        try
        {
            // A key of no length is none.
            socket.SetRawSocketOption(IpProtocolTcp, TcpMd5Sig, option);
        }
        catch (SocketException)
        {
            // There was none.
        }
    }

    // Routes by a gateway are out of the question; the option is for IPv4 only, and IPv6 is looked up.
    private static void Bound(Socket socket, BgpTransportSettings settings)
    {
        bool isV4 = settings.Peer.AddressFamily == AddressFamily.InterNetwork;
        if (settings.MustBeConnected)
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.DontRoute, true);
        if (settings.LeastTimeToLive == 0)
            return;
        Span<byte> least = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(least, settings.LeastTimeToLive);
        socket.SetRawSocketOption(isV4 ? IpProtocolIP : IpProtocolIPv6, isV4 ? IpMinTtl : IPv6MinHopCount, least);
    }

    private static void RequireConnected(BgpTransportSettings settings)
    {
        if (settings.MustBeConnected && settings.Peer is { AddressFamily: AddressFamily.InterNetworkV6, IsIPv6LinkLocal: false } && !ConnectedNetworks.Contain(settings.Peer))
            throw new SocketException((int)SocketError.NetworkUnreachable);
    }

    /// <summary>struct tcp_md5sig: address (sockaddr_storage), flags, prefix length, length of the key, interface, key.</summary>
    internal static byte[] Md5Option(BgpTransportSettings settings)
    {
        var option = new byte[SocketAddressStorage + 8 + LongestKey];
        WriteAddress(option, settings.Peer);
        BinaryPrimitives.WriteUInt16LittleEndian(option.AsSpan(SocketAddressStorage + 2), (ushort)CheckedKey(settings).Length);
        settings.Key.Span.CopyTo(option.AsSpan(SocketAddressStorage + 8));
        return option;
    }

    /// <summary>struct tcp_ao_add: address (sockaddr_storage), name of the algorithm, interface, flags, reserved, prefix length, identifiers, lengths, key.</summary>
    internal static byte[] AoOption(BgpTransportSettings settings)
    {
        const int AlgorithmAt = SocketAddressStorage, FlagsAt = AlgorithmAt + 64 + 4, PrefixAt = FlagsAt + 4 + 2, KeyAt = PrefixAt + 6;
        const uint SetCurrent = 1, SetNext = 2;
        const byte MacLength = 12;
        var option = new byte[KeyAt + LongestKey];
        WriteAddress(option, settings.Peer);
        Encoding.ASCII.GetBytes(settings.Authentication == BgpAuthentication.AoHmacSha1 ? "hmac(sha1)" : "cmac(aes128)", option.AsSpan(AlgorithmAt));
        BinaryPrimitives.WriteUInt32LittleEndian(option.AsSpan(FlagsAt), SetCurrent | SetNext);
        option[PrefixAt] = (byte)(settings.Peer.AddressFamily == AddressFamily.InterNetwork ? 32 : 128);
        option[PrefixAt + 1] = settings.SendId;
        option[PrefixAt + 2] = settings.ReceiveId;
        option[PrefixAt + 3] = MacLength;
        option[PrefixAt + 5] = (byte)CheckedKey(settings).Length;
        settings.Key.Span.CopyTo(option.AsSpan(KeyAt));
        return option;
    }

    private static ReadOnlyMemory<byte> CheckedKey(BgpTransportSettings settings) =>
        settings.Key.Length is > 0 and <= LongestKey ? settings.Key : throw new NotSupportedException($"a password has 1 to {LongestKey} bytes, not {settings.Key.Length}");

    private static void WriteAddress(Span<byte> destination, IPAddress address)
    {
        bool isV4 = address.AddressFamily == AddressFamily.InterNetwork;
        const ushort Inet = 2, Inet6 = 10;
        BinaryPrimitives.WriteUInt16LittleEndian(destination, isV4 ? Inet : Inet6);
        _ = address.TryWriteBytes(destination[(isV4 ? 4 : 8)..], out _);
        if (!isV4 && address.IsIPv6LinkLocal)
            BinaryPrimitives.WriteUInt32LittleEndian(destination[24..], (uint)address.ScopeId);
    }
}
