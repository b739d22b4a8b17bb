using System.Buffers.Binary;
using System.Net.Sockets;
using System.Threading.Channels;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Networking.PacketSocket;

namespace DynamicLb.Tests.Unit.Dhcp4;

public sealed class PacketDhcpTransportTests : IAsyncDisposable
{
    private static readonly MacAddress ChAddr = MacAddress.Parse("02:4c:42:00:00:01");
    private readonly FakeChannel _channel = new();

    public ValueTask DisposeAsync() => _channel.DisposeAsync();

    [Theory]
    [InlineData(DhcpFrameSource.Nic, "02:11:11:11:11:11", 0)]
    [InlineData(DhcpFrameSource.ChAddr, "02:4c:42:00:00:01", 1)]
    public async Task Frames_bear_the_source_of_the_mode_and_only_full_clients_join(DhcpFrameSource source, string mac, int joined)
    {
        await using var transport = new PacketDhcpTransport(_channel, source, TimeProvider.System);
        transport.Join(ChAddr);
        await transport.SendAsync(Discover(), DhcpDestination.Broadcast, CancellationToken.None);
        var frame = Assert.Single(_channel.Sent);
        Assert.Equal(MacAddress.Parse(mac), MacAddress.Read(frame.AsSpan(6)));
        Assert.True(DhcpMessage.TryParse(frame.AsSpan(42), out var message, out _));
        Assert.Equal(ChAddr, message.HardwareAddress);
        Assert.Equal(joined, _channel.Joined.Count);
        transport.Leave(ChAddr);
        Assert.Empty(_channel.Joined);
    }

    [Fact]
    public async Task A_link_that_is_down_loses_what_is_sent_and_is_counted()
    {
        await using var transport = new PacketDhcpTransport(_channel, DhcpFrameSource.Nic, TimeProvider.System);
        _channel.SendFault = new SocketException((int)SocketError.NetworkDown);
        await transport.SendAsync(Discover(), DhcpDestination.Broadcast, CancellationToken.None);
        Assert.Equal(1, transport.SendFaults);
    }

    [Fact]
    public async Task The_receive_loop_delivers_counts_and_outlives_faults_of_wire_and_link()
    {
        await using var transport = new PacketDhcpTransport(_channel, DhcpFrameSource.Nic, TimeProvider.System);
        var receiver = new Receiver();
        using var stop = new CancellationTokenSource();
        var loop = transport.RunAsync(receiver, stop.Token);
        _channel.Arrive(new SocketException((int)SocketError.NetworkDown));
        _channel.Arrive(new byte[3]);
        _channel.Arrive(Samples.Frame("isc-offer"));
        _channel.Arrive(new IOException("lost"));
        _channel.Arrive(Samples.Frame("kea-ack"));
        await receiver.Enough.Task.WaitAsync(TimeSpan.FromSeconds(30), TimeProvider.System);
        Assert.Equal([DhcpMessageType.Offer, DhcpMessageType.Ack], receiver.Replies.Select(reply => reply.Message.Type));
        Assert.Equal([DhcpDropReason.BadIpHeader], receiver.Drops);
        Assert.Equal(2, transport.ReceiveFaults);
        await stop.CancelAsync();
        await loop;
    }

    [Theory]
    [InlineData("as captured", true)]
    [InlineData("ip options", true)]
    [InlineData("first fragment", true)]
    [InlineData("later fragment", false)]
    [InlineData("ipv6", false)]
    [InlineData("tcp", false)]
    [InlineData("port 67", false)]
    [InlineData("short", false)]
    public void Case40_the_kernel_filter_keeps_what_may_be_an_answer(string what, bool kept)
    {
        var frame = Samples.Frame("isc-offer");
        switch (what)
        {
            case "ip options": frame = [.. frame[..14], 0x46, .. frame[15..34], 1, 1, 1, 0, .. frame[34..]]; break;
            case "first fragment": frame[20] = 0x20; break;
            case "later fragment": frame[21] = 1; break;
            case "ipv6": (frame[12], frame[13]) = (0x86, 0xdd); break;
            case "tcp": frame[23] = 6; break;
            case "port 67": frame[37] = 67; break;
            case "short": frame = frame[..30]; break;
        }
        Assert.Equal(kept, Filter(frame) > 0);
    }

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(0x6000, 0, true)] // a priority, no VLAN
    [InlineData(0x6064, 0, false)]
    [InlineData(0x6064, 100, true)]
    [InlineData(0x0065, 100, false)]
    [InlineData(0, 100, false)]
    public void Case40_frames_of_other_VLANs_are_not_taken(int tag, int vlan, bool kept) =>
        Assert.Equal(kept, Filter(Samples.Frame("isc-offer"), (ushort)tag, 0, (ushort)vlan) > 0);

    [Fact]
    public void Frames_that_this_host_sends_are_not_taken() => Assert.Equal(0u, Filter(Samples.Frame("isc-offer"), packetType: 4));

    private static DhcpMessage Discover() => new() { Type = DhcpMessageType.Discover, HardwareAddress = ChAddr, TransactionId = 7 };

    /// <summary>The kernel's machine, as far as the filter needs it: a load outside the frame drops it.</summary>
    private static uint Filter(byte[] frame, ushort tag = 0, uint packetType = 0, ushort vlan = 0)
    {
        uint a = 0;
        uint x = 0;
        var program = DhcpFilter.For(vlan).ToBytes();
        for (int at = 0; ; at++)
        {
            ushort code = BinaryPrimitives.ReadUInt16LittleEndian(program.AsSpan(at * 8));
            var (ifTrue, ifFalse) = (program[(at * 8) + 2], program[(at * 8) + 3]);
            uint operand = BinaryPrimitives.ReadUInt32LittleEndian(program.AsSpan((at * 8) + 4));
            uint offset = code == 0x48 ? x + operand : operand;
            if (operand is 0xfffff004 or 0xfffff02c)
            {
                a = operand == 0xfffff004 ? packetType : tag;
                continue;
            }
            int size = code is 0x28 or 0x48 ? 2 : code is 0x30 or 0xb1 ? 1 : 0;
            if (size > 0 && offset + size > frame.Length)
                return 0;
            switch (code)
            {
                case 0x28 or 0x48: a = (uint)((frame[offset] << 8) | frame[offset + 1]); break;
                case 0x30: a = frame[offset]; break;
                case 0xb1: x = (uint)(frame[offset] & 15) * 4; break;
                case 0x15: at += a == operand ? ifTrue : ifFalse; break;
                case 0x45: at += (a & operand) != 0 ? ifTrue : ifFalse; break;
                case 0x54: a &= operand; break;
                case 0x06: return operand;
                default: throw new InvalidOperationException($"Code {code:x}.");
            }
        }
    }

    private sealed class Receiver : IDhcpReceiver
    {
        public List<DhcpReply> Replies { get; } = [];

        public List<DhcpDropReason> Drops { get; } = [];

        public TaskCompletionSource Enough { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Received(in DhcpReply reply)
        {
            Replies.Add(reply);
            if (Replies.Count == 2)
                Enough.SetResult();
        }

        public void Dropped(DhcpDropReason reason) => Drops.Add(reason);
    }

    private sealed class FakeChannel : ILinkChannel
    {
        public bool HasPending => false;

        private readonly Channel<object> _arrivals = Channel.CreateUnbounded<object>();

        public List<byte[]> Sent { get; } = [];

        public List<MacAddress> Joined { get; } = [];

        public Exception? SendFault { get; set; }

        public LinkInfo Link { get; } = new(2, "eth0", MacAddress.Parse("02:11:11:11:11:11"));

        public void Arrive(object frameOrFault) => _arrivals.Writer.TryWrite(frameOrFault);

        public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
        {
            if (SendFault is not null)
                throw SendFault;
            Sent.Add(frame.ToArray());
            return ValueTask.CompletedTask;
        }

        public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
        {
            object arrival = await _arrivals.Reader.ReadAsync(cancellationToken);
            if (arrival is Exception fault)
                throw fault;
            var frame = (byte[])arrival;
            frame.CopyTo(buffer);
            return frame.Length;
        }

        public void JoinUnicast(MacAddress address) => Joined.Add(address);

        public void LeaveUnicast(MacAddress address) => Joined.Remove(address);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
