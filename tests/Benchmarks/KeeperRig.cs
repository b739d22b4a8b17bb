using DynamicLb.AddressService.Configuration;
using DynamicLb.AddressService.Leasing;
using DynamicLb.AddressService.Metrics;
using DynamicLb.AddressService.Store;
using DynamicLb.Networking.Addresses;
using DynamicLb.Networking.Dhcp4;
using DynamicLb.Tests.Unit.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DynamicLb.Tests.Benchmarks;

/// <summary>The keeper of the leases on one thread, in virtual time: all that a renewal passes but the queue, the disk and the kernel.</summary>
internal sealed class KeeperRig : ILeaseWire, IDhcpReceiver, ILeaseStore, ILeaseClock, IAsyncDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Queue<(DhcpMessage Message, DhcpDestination Destination)> _outbox = new();
    private readonly Queue<DhcpReply> _inbox = new();
    private readonly EchoingDhcpLink _link;
    private readonly PacketDhcpTransport _transport;
    private readonly LeaseKeeper _keeper;

    public KeeperRig(int leases, uint leaseSeconds)
    {
        _link = new EchoingDhcpLink(leaseSeconds);
        _transport = new PacketDhcpTransport(_link, DhcpFrameSource.Nic, TimeProvider.System);
        Task.Run(() => { _ = _transport.RunAsync(this, CancellationToken.None); }).GetAwaiter().GetResult();
        var options = new AddressServiceOptions();
        var link = options.Interfaces[0];
        link.MessagesPerSecond = 0;
        _keeper = new LeaseKeeper(
            options, this, [new LeaseLink(options, link, "lan0", this, _ => false)], this,
            new LeaseMetrics(_services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>()), NullLogger<LeaseKeeper>.Instance, DhcpRandom.Secure);
        _keeper.Load();
        for (int i = 0; i < leases; i++)
        {
            _keeper.Acquire(new AcquireCall($"bench/s{i}", null, null), new AcquireWaiter());
            Settle();
        }
    }

    /// <summary>Records given to the store.</summary>
    public long Saves { get; private set; }

    public TimeSpan Now { get; private set; } = TimeSpan.FromHours(1);

    public DateTimeOffset UtcNow => DateTimeOffset.UnixEpoch + Now;

    public string BootId => "boot";

    /// <summary>Lets time pass; the bytes that this allocated.</summary>
    public long Run(TimeSpan time)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var end = Now + time;
        while (_keeper.NextDeadline is { } next && next <= end)
        {
            if (next > Now)
                Now = next;
            Settle();
        }
        Now = end;
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    public async ValueTask DisposeAsync()
    {
        await _transport.DisposeAsync();
        await _services.DisposeAsync();
    }

    StoreContents ILeaseStore.Load() => new([], null, []);

    void ILeaseStore.Save(LeaseRecord record) => Saves++;

    void ILeaseStore.Delete(LeaseRecord record)
    {
    }

    void ILeaseStore.SaveMacs(IReadOnlyList<string> macs)
    {
    }

    byte[] ILeaseStore.MacKey() => new byte[32];

    void IDisposable.Dispose()
    {
    }

    void ILeaseWire.Send(DhcpMessage message, in DhcpDestination destination) => _outbox.Enqueue((message, destination));

    void ILeaseWire.Join(MacAddress mac)
    {
    }

    void ILeaseWire.Leave(MacAddress mac)
    {
    }

    void IDhcpReceiver.Received(in DhcpReply reply) => _inbox.Enqueue(reply);

    void IDhcpReceiver.Dropped(DhcpDropReason reason) => throw new InvalidOperationException($"dropped: {reason}");

    private void Settle()
    {
        do
        {
            _keeper.Tick();
            while (_outbox.TryDequeue(out var item))
            {
                var sent = _transport.SendAsync(item.Message, item.Destination, CancellationToken.None);
                if (!sent.IsCompletedSuccessfully)
                    throw new InvalidOperationException("the frame was not sent at once");
                item.Message.Recycle();
                while (_inbox.TryDequeue(out var reply))
                {
                    _keeper.Receive(_keeper.Links[0], reply);
                    reply.Message.Recycle();
                }
            }
        }
        while (_keeper.NextDeadline <= Now);
    }
}
