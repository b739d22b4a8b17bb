using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Bgp;
using DynamicLb.Networking.Ndp;

namespace DynamicLb.Tests.Unit.Bgp;

public sealed class BgpTcpTests
{
    private static readonly BgpTransportSettings Settings = new(IPAddress.Loopback, 179);

    [Fact]
    public void Md5_option_has_the_kernels_form()
    {
        byte[] option = BgpTcp.Md5Option(Settings with { Key = "secret"u8.ToArray(), Peer = IPAddress.Parse("10.1.2.3") });
        Assert.Equal(216, option.Length);
        Assert.Equal([2, 0, 0, 0, 10, 1, 2, 3], option[..8]);
        Assert.Equal(6, BinaryPrimitives.ReadUInt16LittleEndian(option.AsSpan(130)));
        Assert.Equal("secret", Encoding.ASCII.GetString(option, 136, 6));
    }

    [Fact]
    public void Tcp_ao_option_has_the_kernels_form()
    {
        byte[] option = BgpTcp.AoOption(
            new BgpTransportSettings(IPAddress.Parse("2001:db8::7"), 179) { Key = "secret"u8.ToArray(), Authentication = BgpAuthentication.AoAesCmac, SendId = 5, ReceiveId = 6 });
        Assert.Equal(288, option.Length);
        Assert.Equal(10, option[0]);
        Assert.Equal(7, option[23]);
        Assert.Equal("cmac(aes128)", Encoding.ASCII.GetString(option, 128, 12));
        Assert.Equal(3u, BinaryPrimitives.ReadUInt32LittleEndian(option.AsSpan(196)));
        Assert.Equal([128, 5, 6, 12, 0, 6], option[202..208]);
        Assert.Equal("secret", Encoding.ASCII.GetString(option, 208, 6));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(81)]
    public void Key_of_a_wrong_length_is_refused_before_the_kernel_sees_it(int length)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Assert.Throws<NotSupportedException>(() => BgpTcp.Configure(socket, Settings with { Authentication = BgpAuthentication.Md5, Key = new byte[length] }));
    }

    [Fact]
    public void Socket_sends_with_ttl_255_and_is_bound_to_the_vrfs_device()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        BgpTcp.Configure(socket, Settings with { Device = "lo", MustBeConnected = true });
        Assert.Equal(255, socket.Ttl);
        Assert.Equal(1, (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.DontRoute)!);
        Span<byte> name = stackalloc byte[16];
        int length = socket.GetRawSocketOption(1, 25, name);
        Assert.Equal("lo", Encoding.ASCII.GetString(name[..(length - 1)]));
    }

    [Theory]
    [InlineData("127.0.0.1", 0, 21)]
    [InlineData("::1", 41, 73)]
    public void Socket_takes_nothing_with_a_ttl_below_that_of_a_neighbour(string peer, int level, int option)
    {
        var settings = new BgpTransportSettings(IPAddress.Parse(peer), 179) { LeastTimeToLive = 255 };
        using var socket = new Socket(settings.Peer.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        BgpTcp.Configure(socket, settings);
        Span<byte> least = stackalloc byte[4];
        socket.GetRawSocketOption(level, option, least);
        Assert.Equal(255, BinaryPrimitives.ReadInt32LittleEndian(least));
    }

    [Fact]
    public async Task Router_that_must_be_next_door_and_is_not_is_not_connected_to()
    {
        var settings = new BgpTransportSettings(IPAddress.Parse("2001:db8:77::1"), 179) { MustBeConnected = true };
        var fault = await Assert.ThrowsAsync<SocketException>(() => BgpTcp.ConnectAsync(settings, TestContext.Current.CancellationToken));
        Assert.Equal(SocketError.NetworkUnreachable, fault.SocketErrorCode);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Listener_takes_only_what_is_signed_once_a_peer_has_a_key(bool listensBefore)
    {
        using var listener = BgpListener.Open(AddressFamily.InterNetwork, 0, null);
        if (listensBefore)
            listener.Listen();
        var settings = new BgpTransportSettings(IPAddress.Loopback, listener.Port) { Authentication = BgpAuthentication.Md5, Key = "secret"u8.ToArray() };
        try
        {
            listener.SetKey(settings);
        }
        catch (NotSupportedException e)
        {
            Assert.Skip(e.Message);
        }
        if (!listensBefore)
            listener.Listen();
        using (var signed = await BgpTcp.ConnectAsync(settings, TestContext.Current.CancellationToken))
        using (var accepted = await listener.AcceptAsync(TestContext.Current.CancellationToken))
            Assert.Equal(signed.LocalEndPoint, accepted.RemoteEndPoint);
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(200), TimeProvider.System);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => BgpTcp.ConnectAsync(settings with { Authentication = BgpAuthentication.None }, patience.Token));
        listener.RemoveKey(IPAddress.Loopback);
        using var plain = await BgpTcp.ConnectAsync(settings with { Authentication = BgpAuthentication.None }, TestContext.Current.CancellationToken);
        using var last = await listener.AcceptAsync(TestContext.Current.CancellationToken);
        Assert.Equal(plain.LocalEndPoint, last.RemoteEndPoint);
    }

    [Fact]
    public void Device_that_does_not_exist_is_named()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var fault = Assert.Throws<NotSupportedException>(() => BgpTcp.Configure(socket, Settings with { Device = "vrf-none" }));
        Assert.Contains("vrf-none", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Router_advertisement_comes_back_and_a_changed_one_does_not()
    {
        var own = IPv6Address.Parse("fe80::ff:fe00:1");
        byte[] frame = RouterAdvertisement.Advertisement(MacAddress.Parse("02:00:00:00:00:01"), own);
        Assert.True(RouterAdvertisement.TryParse(frame, out var router));
        Assert.Equal(own, router);
        Assert.Equal(0, BinaryPrimitives.ReadUInt16BigEndian(frame.AsSpan(60)));
        Assert.False(RouterAdvertisement.TryParse(RouterAdvertisement.Solicitation(MacAddress.Parse("02:00:00:00:00:01"), own), out _));
        for (int i = 14; i < frame.Length; i++)
        {
            byte[] changed = [.. frame];
            changed[i] ^= 0x10;
            // Traffic class, flow label and the like are covered by no checksum.
            if (i is 14 or 15 or 16 or 17)
                continue;
            Assert.False(RouterAdvertisement.TryParse(changed, out _), $"byte {i}");
        }
        Assert.False(RouterAdvertisement.TryParse(frame.AsSpan(0, 60), out _));
    }
}
