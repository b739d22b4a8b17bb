using System.ComponentModel;
using System.Net.Sockets;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Nftables;
using DynamicLb.Networking.PacketSocket;
using DynamicLb.Tests.Unit.Support;

namespace DynamicLb.Tests.Unit.Nftables;

/// <summary>Hardware addresses of addresses, before a kernel that refuses, or does not answer.</summary>
public sealed class AddressMacsTests : IDisposable
{
    private const int NotPermitted = 1;
    private static readonly LinkInfo[] Links = [new LinkInfo(2, "eth0", MacAddress.Parse("02:00:00:00:00:02"))];
    private static readonly Dictionary<IPv4Address, MacAddress> Macs = new() { [IPv4Address.Parse("10.0.0.1")] = MacAddress.Parse("02:4c:42:00:00:01") };
    private readonly FakeTime _time = new();
    private readonly AddressMacs _macs;
    private readonly List<FakeSocket> _sockets = [];
    private Exception? _answer;

    public AddressMacsTests() => _macs = new AddressMacs(_time, () =>
    {
        _sockets.Add(new FakeSocket(() => _answer));
        return _sockets[^1];
    });

    public void Dispose() => _macs.Dispose();

    [Fact]
    public void A_fault_is_looked_at_again_after_some_seconds()
    {
        // Another speaker, which is just about to end, owns the table.
        _answer = new Win32Exception(NotPermitted);
        Assert.Contains("NET_ADMIN", _macs.Fault!, StringComparison.Ordinal);
        _answer = null;
        Assert.NotNull(_macs.Fault);
        Assert.Single(_sockets);
        _time.Advance(AddressMacs.RetryAfter);
        Assert.Null(_macs.Fault);
        Assert.Equal([true, false], _sockets.Select(static socket => socket.IsDisposed));
    }

    [Fact]
    public void What_is_not_so_is_not_told_as_so()
    {
        _macs.Apply(Links, Macs);
        _answer = new SocketException((int)SocketError.TimedOut);
        Assert.Throws<SocketException>(() => _macs.Apply([], new Dictionary<IPv4Address, MacAddress>()));
        Assert.True(Assert.Single(_sockets).IsDisposed);

        _answer = new Win32Exception(NotPermitted);
        Assert.Throws<SocketException>(() => _macs.Apply(Links, Macs));
        Assert.Throws<SocketException>(() => _macs.Apply(Links, Macs));
        // Nothing is what is there anyway.
        _macs.Apply([], new Dictionary<IPv4Address, MacAddress>());

        _answer = null;
        _time.Advance(AddressMacs.RetryAfter);
        _macs.Apply(Links, Macs);
        // The table's beginning and end, the elements, and the chains.
        Assert.Equal(4, _sockets[^1].Done);
        _macs.Apply(Links, Macs);
        Assert.Equal(4, _sockets[^1].Done);
    }

    [Fact]
    public void A_host_that_is_never_asked_for_anything_is_left_alone()
    {
        _macs.Apply(Links, new Dictionary<IPv4Address, MacAddress>());
        Assert.Empty(_sockets);
    }

    private sealed class FakeSocket(Func<Exception?> answer) : INftSocket
    {
        public bool IsDisposed { get; private set; }

        public int Done { get; private set; }

        public NftMessageWriter Begin() => new(1);

        public void Do(NftMessageWriter transaction)
        {
            if (answer() is { } refusal)
                throw refusal;
            Done++;
        }

        public void Dispose() => IsDisposed = true;
    }
}
