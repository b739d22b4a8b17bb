using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Arp;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.Icmp;

namespace DynamicLb.Tests.Unit.Icmp;

/// <summary>Echo requests, and who answers them.</summary>
public sealed class IcmpProberTests
{
    [Fact]
    public void A_request_has_a_right_checksum_and_its_reply_is_known_by_the_token()
    {
        var bytes = new byte[IcmpEcho.Length];
        IcmpEcho.WriteRequest(bytes, 7, 0x0123_4567_89ab_cdef);
        Assert.Equal([8, 0], bytes[..2]);
        Assert.Equal([0, 7, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef], bytes[6..]);
        Assert.False(IcmpEcho.TryReadReply(bytes, false, out _));

        var reply = ReplyTo(bytes);
        Assert.True(IcmpEcho.TryReadReply(reply, false, out ulong token));
        Assert.Equal(0x0123_4567_89ab_cdefUL, token);
        byte[] packet = [0x46, .. new byte[23], .. reply];
        Assert.True(IcmpEcho.TryReadReply(packet, true, out token));
        Assert.Equal(0x0123_4567_89ab_cdefUL, token);
    }

    [Fact]
    public void Damaged_replies_of_any_length_never_throw_and_are_not_read()
    {
        var request = new byte[IcmpEcho.Length];
        IcmpEcho.WriteRequest(request, 1, 42);
        byte[] reply = ReplyTo(request), packet = [0x45, .. new byte[19], .. reply];
        for (int length = 0; length < packet.Length; length++)
        {
            Assert.False(IcmpEcho.TryReadReply(reply.AsSpan(0, Math.Min(length, reply.Length - 1)), false, out _));
            Assert.False(IcmpEcho.TryReadReply(packet.AsSpan(0, length), true, out _));
        }
        for (int at = 0; at < reply.Length; at++)
        {
            byte[] damaged = [.. reply];
            damaged[at] ^= 0x10;
            Assert.False(IcmpEcho.TryReadReply(damaged, false, out _));
        }
        packet[0] = 0x65;
        Assert.False(IcmpEcho.TryReadReply(packet, true, out _));
        packet[0] = 0x41;
        Assert.False(IcmpEcho.TryReadReply(packet, true, out _));
    }

    [Fact]
    public async Task An_address_that_answers_is_told_and_only_when_it_was_asked_for()
    {
        var loopback = IPv4Address.Parse("127.0.0.1");
        IcmpProber prober;
        try
        {
            prober = IcmpProber.Open(loopback, DhcpRandom.Seeded(1), TimeProvider.System);
        }
        catch (SocketException)
        {
            Assert.Skip("ICMP is not allowed to this user");
            return;
        }
        await using var _ = prober;
        var hearer = new Hearer();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var running = prober.RunAsync(hearer, stop.Token);
        var asked = IPv4Address.Parse("127.0.0.9");
        await prober.ProbeAsync(asked, stop.Token);
        Assert.Equal((asked, MacAddress.Zero), await hearer.First.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System, stop.Token));
        Assert.Equal("a host that answers ping", DhcpClient.NameOf(MacAddress.Zero));
        await stop.CancelAsync();
        await running;
    }

    private static byte[] ReplyTo(byte[] request)
    {
        byte[] reply = [.. request];
        reply[0] = 0;
        // Type 8 became 0: the checksum rises by as much.
        int sum = (reply[2] << 8) + reply[3] + 0x0800;
        sum = (sum & 0xffff) + (sum >> 16);
        (reply[2], reply[3]) = ((byte)(sum >> 8), (byte)sum);
        return reply;
    }

    private sealed class Hearer : IArpReceiver
    {
        public TaskCompletionSource<(IPv4Address, MacAddress)> First { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Heard(IPv4Address address, MacAddress host) => First.TrySetResult((address, host));

        public void Used(IPv4Address address, MacAddress host) => throw new InvalidOperationException("nothing is watched");
    }
}
