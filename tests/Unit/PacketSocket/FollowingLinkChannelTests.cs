using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Netlink;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Tests.Unit.Speaker;

namespace DynamicLb.Tests.Unit.PacketSocket;

public sealed class FollowingLinkChannelTests : IAsyncDisposable
{
    private static readonly MacAddress Joined = MacAddress.Parse("02:4c:42:00:00:01");
    private static readonly MacAddress Left = MacAddress.Parse("02:4c:42:00:00:02");
    private readonly FakeLinks _links = new();
    private readonly List<Channel> _opened = [];
    private readonly List<string> _told = [];
    private readonly FollowingLinkChannel _channel;
    private bool _isRefused;

    public FollowingLinkChannelTests()
    {
        _channel = new FollowingLinkChannel(State(7).Link, _links, link =>
        {
            if (_isRefused)
                throw new SocketException((int)SocketError.NetworkDown);
            _opened.Add(new Channel(link));
            return _opened[^1];
        });
        _channel.Gone += _told.Add;
        _channel.Returned += () => _told.Add("back");
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public ValueTask DisposeAsync() => _channel.DisposeAsync();

    [Fact]
    public async Task An_interface_made_anew_gets_a_new_socket_with_the_same_memberships()
    {
        _channel.JoinUnicast(Joined);
        _channel.JoinUnicast(Left);
        _channel.LeaveUnicast(Left);
        var buffer = new byte[10];
        var receiving = _channel.ReceiveAsync(buffer, Cancelled).AsTask();

        _links.Set(State(7));
        _links.Set();
        Assert.True(_opened[0].IsDisposed);
        Assert.False(_channel.IsUp);
        await Assert.ThrowsAsync<SocketException>(async () => await _channel.SendAsync(new byte[1], Cancelled));
        _links.Set(State(9));
        Assert.True(_channel.IsUp);
        Assert.Equal(9, _channel.Link.Index);
        Assert.Equal([Joined], _opened[1].Joined);
        Assert.Equal(["it was removed", "back"], _told);

        _opened[1].Deliver([1, 2, 3]);
        Assert.Equal(3, await receiving);
    }

    [Fact]
    public void Another_index_without_a_look_in_between_is_another_interface()
    {
        _links.Set(State(7));
        _links.Set(State(8));
        Assert.Equal(2, _opened.Count);
        Assert.Equal(["back"], _told);
    }

    [Fact]
    public void A_cable_that_is_pulled_keeps_the_socket()
    {
        _links.Set(State(7));
        _links.Set(State(7) with { HasCarrier = false });
        _links.Set(State(7) with { IsUp = false, HasCarrier = false });
        _links.Set(State(7));
        Assert.Single(_opened);
        Assert.Equal(["it has no carrier", "back"], _told);
    }

    [Fact]
    public void A_new_hardware_address_is_used_from_then_on()
    {
        var mac = MacAddress.Parse("02:00:00:00:00:99");
        _links.Set(State(7) with { Link = State(7).Link with { Mac = mac } });
        Assert.Equal(mac, _channel.Link.Mac);
        Assert.Single(_opened);
    }

    [Fact]
    public void A_socket_that_cannot_be_opened_is_tried_again_at_the_next_look()
    {
        _links.Set(State(7));
        _isRefused = true;
        _links.Set(State(8));
        Assert.False(_channel.IsUp);
        _isRefused = false;
        _links.Set(State(8));
        Assert.True(_channel.IsUp);
        Assert.Equal(2, _told.Count);
    }

    [Fact]
    public async Task A_fault_of_the_socket_itself_is_passed_on()
    {
        var receiving = _channel.ReceiveAsync(new byte[10], Cancelled).AsTask();
        _opened[0].Break(new SocketException((int)SocketError.NetworkDown));
        await Assert.ThrowsAsync<SocketException>(() => receiving);
    }

    [Fact]
    public async Task A_frame_on_its_way_while_the_interface_is_exchanged_fails_as_on_one_that_is_down()
    {
        _links.Set(State(7));
        _opened[0].Sending = () => _links.Set(State(8));
        var fault = await Assert.ThrowsAsync<SocketException>(async () => await _channel.SendAsync(new byte[1], Cancelled));
        Assert.Equal(SocketError.NetworkDown, fault.SocketErrorCode);
        await _channel.SendAsync(new byte[1], Cancelled);
    }

    [Fact]
    public async Task After_disposal_nothing_is_received_or_followed()
    {
        var receiving = _channel.ReceiveAsync(new byte[10], Cancelled).AsTask();
        await _channel.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => receiving);
        _links.Set(State(8));
        Assert.Single(_opened);
    }

    private static InterfaceState State(int index) =>
        new(new LinkInfo(index, "lan0", MacAddress.Parse("02:00:00:00:00:07")), true, true, true, false) { HasCarrier = true };

    private sealed class Channel(LinkInfo link) : ILinkChannel
    {
        private readonly System.Threading.Channels.Channel<byte[]> _in = System.Threading.Channels.Channel.CreateUnbounded<byte[]>();

        public LinkInfo Link => link;

        public bool HasPending => false;

        public bool IsDisposed { get; private set; }

        public HashSet<MacAddress> Joined { get; } = [];

        public void Deliver(byte[] frame) => _in.Writer.TryWrite(frame);

        public void Break(Exception fault) => _in.Writer.TryComplete(fault);

        /// <summary>What happens between the choice of this channel and the sending.</summary>
        public Action? Sending { get; set; }

        public ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken cancellationToken)
        {
            Sending?.Invoke();
            return IsDisposed ? ValueTask.FromException(new ObjectDisposedException("socket")) : ValueTask.CompletedTask;
        }

        public async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
        {
            byte[] frame;
            try
            {
                frame = await _in.Reader.ReadAsync(cancellationToken);
            }
            catch (System.Threading.Channels.ChannelClosedException e) when (e.InnerException is { } fault)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(fault);
                throw;
            }
            frame.CopyTo(buffer);
            return frame.Length;
        }

        public void JoinUnicast(MacAddress address) => Joined.Add(address);

        public void LeaveUnicast(MacAddress address) => Joined.Remove(address);

        public ValueTask DisposeAsync()
        {
            IsDisposed = true;
            _in.Writer.TryComplete(new ObjectDisposedException("socket"));
            return ValueTask.CompletedTask;
        }
    }
}
